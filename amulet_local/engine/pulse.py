"""Whether an engine that should be at something still is: by what it says, and what work it does.

Its work is what the system counts for its process, looked at from the front end. Beats that the
engine sends would tell less: from a thread of its own they go on while native code hangs; from
between two steps they stay away while one batch takes a minute on a slow machine; and llama.cpp
looks for a stop by a function of the C library that cannot count (see runtime/llama/context.py).
A process that was stopped, or waits for ever, does no work; one that is caught in a loop does, so
that it is given more time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

IDLE_S = 10.0  # without a word and without work
SILENT_S = 120.0  # without a word; a batch of a long prompt takes less even on slow machines
_PAUSE_S = 5.0  # this process was stopped itself, if nobody looked for so long
_LEAST_WORK_S = 0.01  # of a processor, the smallest step in which systems count


class Pulse:
    """pid: of the engine's process. heard_at: when it was heard of last, by a clock of ours."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process: psutil.Process | None = None
        self.heard_at = self._worked_at = self._looked_at = time.monotonic()
        self._work_s = 0.0

    def beat(self) -> None:
        """It said something, or was asked something new; for any thread."""
        self.heard_at = time.monotonic()

    def trouble(self) -> str:
        """Why it seems stuck, in a sentence; "" where it does not. To be asked for about once a
        second while something is expected of it."""
        now = time.monotonic()
        if now - self._looked_at > _PAUSE_S:
            self.heard_at = self._worked_at = now
        self._looked_at = now
        silent_s = now - self.heard_at
        if self._works():
            self._worked_at = now
        if now - max(self.heard_at, self._worked_at) >= IDLE_S:
            return f"The engine has not responded for {silent_s:.0f} seconds and seems to be stuck."
        if silent_s >= SILENT_S:
            return (
                f"The engine has not responded for {silent_s:.0f} seconds, but it is still working."
            )
        return ""

    def _works(self) -> bool:
        """Whether it did anything since this was asked last; where that is hidden, it may have."""
        import psutil  # takes a while, and the first token is waited for

        try:
            self._process = self._process or psutil.Process(self._pid)
            with self._process.oneshot():
                times, status = self._process.cpu_times(), self._process.status()
        except psutil.Error:  # it has ended, which is told, or may not be looked at
            return True
        before, self._work_s = self._work_s, times.user + times.system
        return self._work_s - before >= _LEAST_WORK_S or status == psutil.STATUS_DISK_SLEEP
