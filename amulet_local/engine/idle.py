"""What the engine does while nothing is asked of it: it measures what the machine takes.

First what blocks of tokens cost, then which settings are fastest, then the blocks more exactly.
Whatever is measured can be given up at any moment, so that a command never waits for it; and where
other programs use the machine, it is put off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from amulet_local.path_text import from_text
from amulet_local.protocol.messages import Load
from amulet_local.runtime.autotune import Tuning
from amulet_local.runtime.block_costs import BlockCosts
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.load_defaults import Autotuned
from amulet_local.runtime.loader import LoadResult
from amulet_local.settings import is_autotuned
from amulet_local.system import paths

_AFTER_S = 1.0  # without a command
_LATEST_AFTER_S = 60.0  # where others used the machine again and again
_SLICE_S = 3.0  # of measuring, before the machine is looked at again
_BUSY = 25.0  # percent of all processors
_ROUNDS = 5
_LARGE = 400_000_000  # bytes, from which reading long prompts is a lot of work for nobody


def tuning_of(loaded: LoadResult, command: Load) -> Tuning | None:
    """The search for the settings that suit a model, where none was made: of what a processor does,
    for replies that are written alone."""
    alone = command.parallel == 1 and not loaded.layers
    if not alone or not loaded.lockstep.can_rewind or is_autotuned(command.model):
        return None
    status = paths.status(from_text(command.model))
    slow = status is None or status.st_size > _LARGE
    return Tuning(loaded.model, command.options, _ROUNDS, slow=slow)


class Idle:
    """costs: of one loaded model, to be measured. tuning: its settings, where they are to be found;
    keep is called with them. after_s: how long nobody must have asked for anything before `use`.
    """

    def __init__(
        self,
        costs: BlockCosts,
        tuning: Tuning | None = None,
        keep: Callable[[Autotuned], None] = lambda _: None,
    ) -> None:
        self._costs, self._tuning, self._keep = costs, tuning, keep
        self._broken = False
        self.after_s = _AFTER_S

    @property
    def wanted(self) -> bool:
        """Whether there is anything to be found out."""
        return not self._broken and (self._tuning is not None or self._costs.unfinished)

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
                self._go_on()
        except AbortedError:
            raise
        except Exception:  # what was not asked for must not end what may be
            logging.exception("while measuring this machine")
            self.close()
            self._broken = True

    def _go_on(self) -> None:
        tuning = self._tuning
        if tuning is None or (self._costs.unfinished and not self._costs.table):
            self._costs.go_on()
            return
        tuning.go_on()
        if tuning.over:
            self._tuning = None
            with suppress(OSError):  # it is found again then
                self._keep(tuning.best)

    def abort(self) -> None:
        """From any thread: end what is measured on streams of its own, until `resume`."""
        if tuning := self._tuning:
            tuning.abort()

    def resume(self) -> None:
        """Allow measuring again."""
        if tuning := self._tuning:
            tuning.resume()

    def close(self) -> None:
        """Free the memory that measuring takes, while something else is to be done."""
        if tuning := self._tuning:
            tuning.close()
