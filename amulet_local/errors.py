"""The ways to fail that a user meets: each carries one sentence and an exit code.

A message says what is wrong and what to do next, in one sentence; front ends print it as it is.
Where the system refused, `cause` and `advice` are what every message takes its words from.
"""

from __future__ import annotations

import errno

from amulet_local.path_text import encodable

INTERRUPTED = 130  # the exit code where the user stopped it: 128 and SIGINT, as shells have it


class AmuletError(Exception):
    """Base of every error that is meant for the user's eyes."""

    exit_code = 1

    def __init__(self, sentence: str = "") -> None:
        super().__init__(encodable(sentence))


class UsageError(AmuletError):
    """The request itself cannot be served: a bad value, a prompt that does not fit."""

    exit_code = 2


class NotUsableError(AmuletError):
    """A model, preset or file is missing, damaged, or not of the right kind."""

    exit_code = 3


class EngineDiedError(AmuletError):
    """The engine process ended while it was needed."""

    exit_code = 4

    @classmethod
    def of(cls, error: Exception) -> EngineDiedError:
        """What the engine, which goes on, says of an error that nobody foresaw."""
        if isinstance(error, MemoryError):
            return cls(
                "the engine has too little memory; close other programs, or choose a smaller model "
                "or context, then try again."
            )
        if isinstance(error, OSError):
            remedy = advice(error, "try again; its log has details")
            return cls(f"the system refused the engine something ({cause(error)}); {remedy}.")
        return cls(f"the engine hit an error ({error!r}); its log has details.")


FULL = (errno.ENOSPC, errno.EDQUOT)
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)


def cause(error: OSError) -> str:
    """What the system says, to stand in brackets: without numbers and paths."""
    said = error.strerror or str(error) or type(error).__name__
    return f"the disk is full: {said}" if error.errno == errno.ENOSPC else said.rstrip(".")


def advice(error: OSError, otherwise: str) -> str:
    """What to do about what the system says; otherwise: where that depends on what was tried."""
    if error.errno in FULL:
        return "free some space and try again"
    if error.errno in _TOO_MANY_OPEN:
        return "close other programs, or allow more open files (ulimit -n), and try again"
    if error.errno == errno.ENAMETOOLONG:
        return "use a shorter name"
    if error.errno == errno.EIO:
        return "check the disk"
    return otherwise
