"""What is to be saved: at once, or in turn on a thread of its own, so that a screen never waits.

Acts on the database go in, each carried out in a transaction. In turn, whoever saves waits a moment
for the outcome, as long as nothing is held up, so that what is read next has it, and raises what
went wrong. Where another process, a full disk or a closed folder is in the way, acts wait in order
until that is over, which is told; they are lost only with the process. Between them, the thread
empties the log, so that the file alone has everything.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from amulet_local.chats import erasing
from amulet_local.chats.database import Database
from amulet_local.chats.database_errors import BusyError, NotKeptError
from amulet_local.errors import AmuletError, UsageError

Act = Callable[[sqlite3.Connection], object]

PACE_S = 0.2  # between two times that a growing reply is saved
_PATIENCE_S = 0.25  # that whoever saves waits
_TOLD_AFTER_S = 1.0
_AGAIN_S = 0.1  # from one try to the next
_IDLE_S = 1.0  # until the log is emptied
_EMPTIED_S = 10.0  # at the latest, while there is always something to save
_LAST_S = 1.0  # for what waits when the store is closed

_BUSY = "Another program is using your chats file; what happens here will be saved once it is done."
_SLOW = "The disk with your chats is not responding; your chat will be saved once it does."
_REFUSED = (
    "Nothing can be saved now ({}). You can go on; your chat will be saved once that is fixed."
)
_LANDED = "Everything is saved now."
_LOST = "{} could not be saved, because {}."


class Saving(Protocol):
    """Both ways."""

    @property
    def held_up(self) -> bool:
        """Whether something has been waiting for long."""

    def save(self, act: Act, key: str = "") -> None:
        """Carry out an act. key: an act of the same that still waits is not needed any more.

        Raises what the act does, and UsageError where it cannot be stored and is not kept waiting.
        """

    def news(self) -> list[str]:
        """What is to be told since the last time, in sentences; to be asked for about twice a
        second."""

    def close(self) -> str:
        """Save what waits, for a second at most; what was lost, in a sentence or nothing."""


class AtOnce:
    """On the thread of whoever saves."""

    held_up = False

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, act: Act, key: str = "") -> None:
        """See Saving."""
        with self._database.writing() as db:
            act(db)

    def news(self) -> list[str]:
        """See Saving."""
        return []

    def close(self) -> str:
        """See Saving."""
        return ""


@dataclass(eq=False)
class _Task:
    """due: when it is carried out at the latest. awaited: somebody hears how it ends."""

    act: Act
    key: str
    due: float
    awaited: bool
    then: Callable[[], object]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class InTurn:
    """On a thread of its own, which gives way to nothing but room: make_room is called once where
    the disk is full, before an act is tried again."""

    def __init__(self, database: Database, make_room: Callable[[], object]) -> None:
        self._database, self._make_room = database, make_room
        self._tasks: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._ended = threading.Event()  # set when the store is being closed
        self._begun: float | None = None  # when the first task was tried first
        self._trouble: BusyError | NotKeptError | None = None
        self._told: str = ""  # why nothing is saved, as long as it was not
        self._failed: list[str] = []
        self._named: set[str] = set()
        self._emptied = time.monotonic()
        self._written = self._first = True
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def held_up(self) -> bool:
        """See Saving."""
        return self._late(_TOLD_AFTER_S)

    def save(self, act: Act, key: str = "") -> None:
        """See Saving."""
        task = _Task(act, key, 0.0, awaited=not self._late(_PATIENCE_S), then=_nothing)
        self._put(task)
        if not task.awaited:
            return
        if not task.done.wait(_PATIENCE_S):
            with self._changed:
                if not task.done.is_set():
                    task.awaited = False
                    return
        if task.error:
            raise task.error

    def save_soon(self, act: Act, key: str, then: Callable[[], object]) -> None:
        """Carry out an act before long, together with others of its key: one that waits stands for
        all. then: is called once it is stored."""
        with self._changed:
            if not any(task.key == key for task in list(self._tasks)[self._at_work :]):
                self._put(_Task(act, key, time.monotonic() + PACE_S, awaited=False, then=then))

    def news(self) -> list[str]:
        """See Saving."""
        with self._changed:
            told, self._failed = self._failed, []
            if self.held_up and not self._told:
                trouble = self._trouble
                self._told = _BUSY if trouble else _SLOW
                if isinstance(trouble, NotKeptError):
                    self._told = _REFUSED.format(trouble.reason)
                told.append(self._told)
            elif self._told and not self._tasks:
                self._told = ""
                told.append(_LANDED)
            return told

    def close(self) -> str:
        """See Saving."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_LAST_S)
        with self._changed:
            waiting = len(self._tasks)
        if not waiting:
            return " ".join(self._failed)
        why = self._trouble or "the disk is too slow"
        what = "The last change" if waiting == 1 else f"The last {waiting:,} changes"
        return _LOST.format(what, str(why).rstrip("."))

    # -- the thread ---------------------------------------------------------------------------

    @property
    def _at_work(self) -> int:
        """How many tasks at the front are being carried out."""
        return 1 if self._begun is not None else 0

    def _late(self, patience_s: float) -> bool:
        begun = self._begun
        return begun is not None and time.monotonic() - begun >= patience_s

    def _put(self, task: _Task) -> None:
        with self._changed:
            if self._ended.is_set():
                raise UsageError("the chats file is already closed.")
            for other in list(self._tasks)[self._at_work :]:
                if task.key and other.key == task.key and not other.awaited:
                    self._tasks.remove(other)
            self._tasks.append(task)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            if task := self._next():
                if not self._carry_out(task):
                    return
            elif self._ended.is_set():
                return
            if self._written and (not task or time.monotonic() - self._emptied > _EMPTIED_S):
                self._tidy()

    def _tidy(self) -> None:
        """Empty the log; the first time, erase what was removed for good, if anything was."""
        first, self._first = self._first, False
        with suppress(AmuletError):
            if not first or not erasing.is_marked(self._database):
                erasing.empty_log(self._database)
            else:
                erasing.erase(self._database)
        self._emptied, self._written = time.monotonic(), False

    def _next(self) -> _Task | None:
        """The first task, once it is due or another waits behind it; None where there was none for
        a while, or never will be."""
        with self._changed:
            while not self._ended.is_set():
                if self._tasks:
                    left = self._tasks[0].due - time.monotonic()
                    if left <= 0 or len(self._tasks) > 1:
                        break
                    self._changed.wait(left)
                elif not self._changed.wait(_IDLE_S if self._written else None):
                    return None
            return self._tasks[0] if self._tasks else None

    def _carry_out(self, task: _Task) -> bool:
        """Try until it is done or has failed for good; False where the store is closed before."""
        self._begun, gave_way = time.monotonic(), False
        deadline = None
        while True:
            try:
                with self._database.writing() as db:
                    task.act(db)
            except (BusyError, NotKeptError) as error:
                self._trouble = error
                if isinstance(error, NotKeptError) and error.full and not gave_way:
                    gave_way = True
                    self._make_room()
                    continue
                if self._ended.wait(_AGAIN_S):
                    deadline = deadline or time.monotonic() + _LAST_S / 2
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(_AGAIN_S)
                continue
            except Exception as error:
                task.error = error
            else:
                task.then()
                self._written, self._trouble = True, None
            break
        with self._changed:
            self._tasks.popleft()
            self._begun = None
            if task.error and not task.awaited:
                self._tell(task.error)
            task.done.set()
        return True

    def _tell(self, error: Exception) -> None:
        """Have it told, once, what nobody waited for and was not saved."""
        reason = str(error).rstrip(".")
        if reason not in self._named:
            self._named.add(reason)
            self._failed.append(_LOST.format("Something", reason))


def _nothing() -> None:
    pass
