"""Why an engine process has ended: from its exit status and the end of its log to a sentence."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from itertools import takewhile
from typing import IO

from amulet_local.protocol.messages import SETTLED

_LOG_END = 256 * 1024  # bytes that are looked through for a reason
_CRASHES = {
    getattr(signal, name, 0)
    for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")
}
# llama.cpp ends a process with "file.c:line: why", C++ with what(), the C library with what it
# found of its memory; Python's report comes behind.
_FATAL = re.compile(
    r"GGML_(ASSERT|ABORT)|what\(\):|^\S+\.(c|cc|cpp|cu|cuh|h|hpp|m|mm):\d+: "
    r"|^(free|malloc|realloc|munmap_chunk)\w*\(\): |^(double free|corrupted) "
    r"|^terminate called without"
)
_BUILT_AT = re.compile(r"^\S*/(?=[^/\s]+:\d+: )")  # the folder, of whoever built it
_ERROR = re.compile(r"error|failed|out of memory", re.IGNORECASE)
_REPORT = re.compile(r"Fatal Python error: ")


def last_lines(log: IO[bytes] | None) -> list[str]:
    """The end of what the engine said, from where all that stands above is settled; once it has
    ended, since it writes where this reads."""
    if log is None:
        return []
    try:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_END))
        lines = log.read().decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []
    settled = [number for number, line in enumerate(lines) if line == SETTLED]
    return lines[settled[-1] + 1 :] if settled else lines


def epitaph(status: int, lines: Sequence[str]) -> str:
    """One sentence on why the process ended, from its exit status and the end of its log.

    Whoever sends a signal that is no crash has reasons of their own: no line is quoted then.
    """
    said = _last_words(lines)
    if status == -signal.SIGKILL:
        reason = "it was killed, most likely because memory ran out"
    elif status < 0 and -status not in _CRASHES:
        reason = f"it was terminated by {_signal_name(-status)}"
    elif status < 0:
        reason = f"it crashed with {_signal_name(-status)}" + (f": {said}" if said else "")
    else:
        reason = said or f"exit status {status}"
    return f"The engine stopped ({reason})."


def _last_words(lines: Sequence[str]) -> str:
    """The line that tells why: the one that llama.cpp ends the process with, else the last that
    tells of an error. Python's own report of a crash, and what follows, say no more."""
    words = [line.strip() for line in takewhile(lambda line: not _REPORT.match(line), lines)]
    fatal, errors = (list(filter(each.search, words)) for each in (_FATAL, _ERROR))
    return _BUILT_AT.sub("", (fatal[:1] or errors[-1:] or [""])[0])[:200].rstrip(".")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
