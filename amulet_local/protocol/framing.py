"""How messages travel between a front end and the engine: as MessagePack, one frame each.

A frame is the length of its body, as four bytes, little endian, and the body. Nothing is pickled; a
frame over MAX_FRAME bytes is refused, so neither side can exhaust the other's memory.
"""

from __future__ import annotations

import struct
from typing import IO

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.messages import Command, Event

MAX_FRAME = 16 * 1024 * 1024
_LENGTH = struct.Struct("<I")

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(Command)
_event_decoder = msgspec.msgpack.Decoder(Event)


def write_frame(pipe: IO[bytes], message: Command | Event) -> None:
    """Send one message and flush. Raises UsageError if it is larger than MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise UsageError(
            f"a message of {len(body):,} bytes is over the bound of {MAX_FRAME:,}; shorten it."
        )
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def read_command(pipe: IO[bytes]) -> Command | None:
    """The next command, or None at the end of the pipe. Raises ValueError on a bad frame."""
    body = _read_frame(pipe)
    return None if body is None else _command_decoder.decode(body)


def read_event(pipe: IO[bytes]) -> Event | None:
    """The next event, or None at the end of the pipe. Raises ValueError on a bad frame."""
    body = _read_frame(pipe)
    return None if body is None else _event_decoder.decode(body)


def _read_frame(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > MAX_FRAME:
        raise ValueError(f"frame of {size} bytes is over the bound of {MAX_FRAME}")
    body = pipe.read(size)
    return body if len(body) == size else None
