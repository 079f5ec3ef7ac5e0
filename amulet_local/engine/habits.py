"""What a model said in earlier replies, kept on disk from one process to the next.

The table of generation/continuations.py, under our seal; a file that is damaged, of another model
or not ours counts as none. It is read when the first reply asks for it and written when one has
ended. Where two processes learn at once, what the last one writes stays.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from amulet_local.chats.habit_files import begin, beginning, forget_oldest
from amulet_local.generation.continuations import Continuations
from amulet_local.sealing import NotOursError, read_sealed, write_sealed
from amulet_local.settings import habits_file

_PURPOSE = b"habits"
_SOONEST_S = 5.0  # from one writing to the next


class Habits:
    """Of one loaded model. model: the path of its file. vocabulary: how many tokens it has."""

    def __init__(self, model: str, vocabulary: int) -> None:
        self._file, self._vocabulary = habits_file(model), vocabulary
        self._model = self._file.stem.encode()
        self._table: Continuations | None = None
        self._beginning = b""
        self._changed, self._kept_at = False, -_SOONEST_S

    def table(self) -> Continuations:
        """For a reply, which adds to it; empty once more where all chats were wiped meanwhile."""
        if self._table is None or beginning() != self._beginning:
            self._beginning = begin()
            self._table = self._read()
        self._changed = True
        return self._table

    def keep(self, *, now: bool = False) -> None:
        """Write what was learned, unless that was done some seconds ago; now: even then. A disk
        that does not take it is no reason to fail."""
        soon = time.monotonic() - self._kept_at < _SOONEST_S
        if not self._table or not self._changed or (soon and not now):
            return
        if not self._beginning or beginning() != self._beginning:
            return
        try:
            write_sealed(self._file, _PURPOSE, [self._model, *self._table.state()])
            self._changed, self._kept_at = False, time.monotonic()
            forget_oldest()
        except OSError as error:
            logging.warning("what guesses learned was not kept (%s)", error)
        if beginning() != self._beginning:  # the chats were wiped while it was written
            with suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _read(self) -> Continuations:
        with suppress(OSError, NotOursError, ValueError):
            found = read_sealed(self._file, _PURPOSE)
            size = len(self._model)
            if found[:size] == self._model:
                return Continuations.of(found[size:], self._vocabulary)
        return Continuations()
