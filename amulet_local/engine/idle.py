"""What the engine does while nothing is asked of it: it measures what the machine takes.

Whatever is measured can be given up at any trial, so that a command never waits for it; and where
other programs use the machine, it is put off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import psutil

from amulet_local.runtime.block_costs import BlockCosts
from amulet_local.runtime.llama.errors import AbortedError

_AFTER_S = 1.0  # without a command
_LATEST_AFTER_S = 60.0  # where others used the machine again and again
_SLICE_S = 3.0  # of measuring, before the machine is looked at again
_BUSY = 25.0  # percent of all processors


class Idle:
    """costs: of one loaded model, to be measured. after_s: how long nobody must have asked for
    anything before `use` is called."""

    def __init__(self, costs: BlockCosts) -> None:
        self._costs = costs
        self._broken = False
        self.after_s = _AFTER_S

    @property
    def wanted(self) -> bool:
        """Whether there is anything to be found out."""
        return not self._broken and self._costs.unfinished

    def begin_waiting(self) -> None:
        """From here to `use`, nothing is asked of the engine, and what runs is others'."""
        psutil.cpu_percent()  # counts from the last call on

    def use(self, is_free: Callable[[], bool]) -> None:
        """Measure for some seconds, if nobody else uses the machine, and for as long as nothing is
        asked for, which is_free tells. Raises AbortedError."""
        if psutil.cpu_percent() > _BUSY:
            self.after_s = min(2 * self.after_s, _LATEST_AFTER_S)
            return
        self.after_s = _AFTER_S
        end = time.monotonic() + _SLICE_S
        try:
            while is_free() and self.wanted and time.monotonic() < end:
                self._costs.go_on()
        except AbortedError:
            raise
        except Exception:  # what was not asked for must not end what may be
            logging.exception("while measuring block costs")
            self._broken = True
