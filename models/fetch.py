"""What every fetch of a model has in common: its progress, its end by the user, its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from amulet_local.errors import INTERRUPTED, AmuletError

_LOCK = ".fetching.lock"
_POLL_S = 0.1

Stage = Literal["fetching", "verifying", "writing", "measuring"]


class FetchCancelledError(AmuletError):
    """The user stopped a fetch."""

    exit_code = INTERRUPTED


@dataclass(frozen=True)
class Progress:
    """How far a fetch is: bytes that have arrived, then bytes checked; or how many tensors of a
    model are written in another type, then steps and pieces of text that were measured in it.
    type: that type."""

    stage: Stage
    done: int
    total: int
    type: str = ""


OnProgress = Callable[[Progress], object]


@contextmanager
def turn(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Be the only one to fetch into a folder; `waiting` is called until that is so, and may raise.

    The lock is the system's, and ends with the process that holds it, however that ends. Its file
    stays, since to remove it would part those who wait from those who come later.
    """
    lock = FileLock(folder / _LOCK)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()
