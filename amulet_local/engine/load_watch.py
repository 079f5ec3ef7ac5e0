"""Whether a load still makes progress: one that does not is ended, since nobody can stop it.

While a model is loaded, the engine tells how far it is, reads the file, waits for the disk, and
takes more memory; a native loader that is caught in a loop, or waits for ever, does none of it. A
thread looks once a second, from the load to its end. Time in which the engine wanted a processor
and others had them all does not count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from amulet_local.engine.pulse import Pulse

STALLED_S = 10.0
_LOOK_S = 1.0
_PAUSE_S = 5.0  # this process was stopped itself, if nobody looked for so long
_MEMORY = 1 << 16  # bytes; less may come and go without any work

Ran = Mapping[str, tuple[int, int]]  # threads: ns on a processor, and ns waiting for one


class LoadWatch:
    """pid: of the engine's process. end: ends it. ended: whether that was done."""

    def __init__(self, pid: int, pulse: Pulse, end: Callable[[], None]) -> None:
        self.ended = False
        self._pid, self._pulse, self._end = pid, pulse, end
        self._over = threading.Event()

    def begin(self) -> None:
        """A load begins; the watch of an earlier one ends."""
        self._over.set()
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()

    def over(self) -> None:
        """The load has ended, whatever came of it."""
        self._over.set()

    def _watch(self, over: threading.Event) -> None:
        seen, looked, stalled, ran = self._signs(), time.monotonic(), 0.0, _ran(self._pid)
        while not over.wait(_LOOK_S):
            signs, now, runs = self._signs(), time.monotonic(), _ran(self._pid)
            if _differ(signs, seen) or now - looked > _PAUSE_S:
                seen, stalled = signs, 0.0
            else:
                stalled += had(ran, runs, now - looked)
            looked, ran = now, runs
            if stalled >= STALLED_S:
                self.ended = True
                self._end()
                return

    def _signs(self) -> tuple[float, int, int]:
        """What changes with progress: when the engine spoke last, its memory, what it has read and
        written (the chat that was open goes to the disk first)."""
        import psutil  # takes a while, and the first token is waited for

        try:
            process = psutil.Process(self._pid)
            memory = process.memory_info().rss
            counters = getattr(process, "io_counters", None)  # which not all systems have
            moved = counters() if counters else None
            disk = moved.read_bytes + moved.write_bytes if moved else 0
            if process.status() == psutil.STATUS_DISK_SLEEP:
                return time.monotonic(), memory, disk
        except psutil.Error:  # it has ended, which is told, or may not be looked at
            return time.monotonic(), 0, 0
        return self._pulse.heard_at, memory, disk


def _differ(signs: tuple[float, int, int], seen: tuple[float, int, int]) -> bool:
    (heard, memory, disk), (heard_before, memory_before, disk_before) = signs, seen
    said, moved = heard != heard_before, disk != disk_before
    return said or moved or abs(memory - memory_before) >= _MEMORY


def had(before: Ran, after: Ran, elapsed: float) -> float:
    """Of so many seconds, those that an engine could use: all, unless a thread of it waited for a
    processor most of the time; then what the busiest thread ran."""
    times = [
        ((ran - before[thread][0]) / 1e9, (waited - before[thread][1]) / 1e9)
        for thread, (ran, waited) in after.items()
        if thread in before
    ]
    starved = any(waited > elapsed / 2 for _, waited in times)
    return min(elapsed, max(ran for ran, _ in times)) if starved else elapsed


def _ran(pid: int) -> Ran:
    """Of each thread, and of those of its children, which it may wait for; nothing where the system
    does not tell, as only Linux does."""
    found: dict[str, tuple[int, int]] = {}
    pids = [str(pid)]
    while pids:
        try:
            for thread in Path("/proc", pids.pop(), "task").iterdir():
                ran, waited, *_ = (thread / "schedstat").read_text("ascii").split()
                found[thread.name] = int(ran), int(waited)
                pids += (thread / "children").read_text("ascii").split()
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return found
