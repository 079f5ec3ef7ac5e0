"""The standard streams: all three are there, and what is written to standard output is written
whole, or that it was not is told.

Python itself leaves both to chance. Where it does not buffer (-u, PYTHONUNBUFFERED), what a disk
that fills up or a signal cuts short is dropped without a word; and where a terminal or a pipe was
told by another program not to wait (O_NONBLOCK), so is what its reader is not ready for.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def replace_closed() -> None:
    """Have all three standard streams, where some are closed: else the next file that is opened
    would be taken for one of them. Nothing is read from a closed one, what goes to standard error
    is dropped, and what is written to standard output fails: that would be a result lost.
    """
    for number, name, mode, way in (
        (0, "stdin", "r", os.O_RDONLY),
        (1, "stdout", "w", os.O_RDONLY),
        (2, "stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, way)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def is_closed() -> bool:
    """Whether nothing can be written to standard output, by any name of it."""
    try:
        os.write(sys.stdout.fileno(), b"")
    except (OSError, ValueError):
        return True
    return False


def write_no_more() -> None:
    """Drop what cannot be written to standard output, now and when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Whole(io.FileIO):
    """A file that writes all that it is given, however long that takes, or raises."""

    def write(self, data: Buffer) -> int:
        """All of it. Raises OSError."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            written: int | None = super().write(left)
            if written is None:
                select.select([], [self.fileno()], [])
            left = left[written or 0 :]
        return size


class _Courtesy(_Whole):
    """The same for what is told beside the result: where nobody can read it, that is no failure."""

    def write(self, data: Buffer) -> int:
        """All of it, if that is possible."""
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def make_whole() -> None:
    """Have standard output and standard error write like that; those that a test put in their
    places stay."""
    for name, kind in (("stdout", _Whole), ("stderr", _Courtesy)):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper and os.name == "posix":  # Windows writes as it should
            file = io.BufferedWriter(kind(stream.fileno(), "w", closefd=False))
            stream = io.TextIOWrapper(
                file, stream.encoding, line_buffering=stream.line_buffering or kind is _Courtesy
            )
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
