"""How messages travel between a front end and the engine: as MessagePack, one frame each.

Nothing is pickled; a frame (see frames.py) over MAX_FRAME bytes is refused, so neither side can
exhaust the other's memory.
"""

from __future__ import annotations

from typing import IO

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.frames import framed, read_body
from amulet_local.protocol.messages import Command, Event

MAX_FRAME = 16 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(Command)
_event_decoder = msgspec.msgpack.Decoder(Event)


def write_frame(pipe: IO[bytes], message: Command | Event) -> None:
    """Send one message and flush. Raises UsageError if it is larger than MAX_FRAME."""
    pipe.write(frame_of(message))
    pipe.flush()


def frame_of(message: Command | Event) -> bytes:
    """One message as it travels. Raises UsageError if it is larger than MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise UsageError(
            f"a message of {len(body):,} bytes exceeds the limit of {MAX_FRAME:,}; shorten it."
        )
    return framed(body)


def read_command(pipe: IO[bytes]) -> Command | None:
    """The next command, or None at the end of the pipe. Raises ValueError on a bad frame."""
    body = read_body(pipe, MAX_FRAME)
    return None if body is None else _command_decoder.decode(body)


def read_event(pipe: IO[bytes]) -> tuple[Event, int] | None:
    """The next event and the bytes that it came in, or None at the end of the pipe. Raises
    ValueError or RecursionError on a bad frame."""
    body = read_body(pipe, MAX_FRAME)
    return None if body is None else (_event_decoder.decode(body), len(body))
