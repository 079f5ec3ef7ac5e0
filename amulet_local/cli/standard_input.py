"""Standard input: read as text and bounded where it was asked for, noticed where it was not."""

from __future__ import annotations

import os
import select
import stat
import struct
import sys
import threading
from typing import (
    BinaryIO,
)

from amulet_local.cli.output import say
from amulet_local.errors import UsageError, advice, cause
from amulet_local.system.text_files import NotTextError, decode_text

MOST_PIPED = 4 * 1024 * 1024
PATIENCE_S = 2.0  # before it is said that standard input is waited for
_WAITING = "standard input is read to its end; at a keyboard, Ctrl+D ends it."


def piped() -> bool:
    """Whether standard input is something to read rather than a keyboard."""
    return sys.stdin is None or not sys.stdin.isatty()


def read_input() -> str:
    """All of standard input, to its end; who waits long for that is told so.

    Raises UsageError where it is too large, is no text, or cannot be read.
    """
    if sys.stdin is None:
        return ""
    told = threading.Timer(0 if sys.stdin.isatty() else PATIENCE_S, say, [_WAITING])
    told.daemon = True
    told.start()
    try:
        data = _all_of(sys.stdin.buffer)
    except OSError as error:
        raise UsageError(
            f"standard input cannot be read ({cause(error)}); {advice(error, 'pipe a text')}."
        ) from None
    finally:
        told.cancel()
    if len(data) > MOST_PIPED:
        raise UsageError(f"the piped text is larger than {MOST_PIPED:,} bytes; shorten it.")
    try:
        text = decode_text(data, lossy=True)
    except NotTextError as error:
        raise UsageError(f"standard input is no text ({error}); pipe a text.") from None
    if "\ufffd" in text:
        _warn_of_lost(data)
    return text.strip()


def _all_of(source: BinaryIO) -> bytes:
    """Everything up to the end, or a byte more than may be."""
    blocks, room = [], MOST_PIPED + 1
    while room:
        block = source.read(room)
        if block is None:  # a pipe that does not wait, with nothing in it yet
            select.select([source], [], [])
            continue
        if not block:
            break
        blocks.append(block)
        room -= len(block)
    return b"".join(blocks)


def _warn_of_lost(data: bytes) -> None:
    try:
        decode_text(data)
    except NotTextError as error:
        say(f"standard input is read with \ufffd for what cannot be ({error}).")


def unread_input() -> bool:
    """Whether there is something on standard input that nobody has read; reads none of it."""
    try:
        number = sys.stdin.fileno()
        status = os.fstat(number)
        if stat.S_ISREG(status.st_mode):
            return os.lseek(number, 0, os.SEEK_CUR) < status.st_size
        if not stat.S_ISFIFO(status.st_mode):
            return False
        import fcntl  # which Windows has not
        import termios

        (waiting,) = struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, bytes(4)))
    except (AttributeError, OSError, ImportError):
        return False
    return bool(waiting)
