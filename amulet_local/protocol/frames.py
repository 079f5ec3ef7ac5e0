"""Frames: a body of bytes with its length in front, as four bytes, little endian.

What the bodies say is not known here (see framing.py). Nobody reads more than a bound.
"""

from __future__ import annotations

import struct
from typing import IO

_LENGTH = struct.Struct("<I")


def write_body(pipe: IO[bytes], body: bytes) -> None:
    """Send one frame and flush. Raises OSError where nobody reads."""
    pipe.write(framed(body))
    pipe.flush()


def framed(body: bytes) -> bytes:
    """One frame as it travels."""
    return _LENGTH.pack(len(body)) + body


def read_body(pipe: IO[bytes], most: int) -> bytes | None:
    """The next body, or None at the end of the pipe, be it amid a frame.

    Raises ValueError where a frame claims more than `most` bytes.
    """
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > most:
        raise ValueError(f"frame of {size} bytes exceeds the limit of {most}")
    body = pipe.read(size)
    return body if len(body) == size else None
