"""How messages travel between a front end and the engine: as MessagePack, one frame each.

Nothing is pickled; a frame (see frames.py) over MAX_FRAME bytes is refused, so neither side can
exhaust the other's memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import IO, Literal

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


class ImpossibleCommandError(ValueError):
    """A whole command with a value that no command can have; the text says which.

    request: the id of the reply that it is about, as far as it has one.
    """

    def __init__(self, reason: str, request: int | None) -> None:
        super().__init__(reason)
        self.request = request


def read_command(pipe: IO[bytes]) -> Command | None:
    """The next command, or None at the end of the pipe. Raises ImpossibleCommandError, after which
    others can be read, and ValueError or RecursionError on a bad frame."""
    body = read_body(pipe, MAX_FRAME)
    if body is None:
        return None
    try:
        command: Command = _command_decoder.decode(body)
    except msgspec.ValidationError as error:
        with suppress(msgspec.ValidationError):
            about = msgspec.msgpack.decode(body, type=_AnyCommand)
            request = about.id or next((each.id for each in about.replies), about.request.id)
            raise ImpossibleCommandError(str(error), request) from None
        raise
    return command


class _Request(msgspec.Struct, frozen=True):
    id: int | None = None


class _AnyCommand(_Request, frozen=True, kw_only=True):
    """What tells which reply a command is about."""

    type: Literal["load", "reply", "read-ahead", "compare", "examine", "steer"]
    replies: tuple[_Request, ...] = ()
    request: _Request = _Request()


def read_event(pipe: IO[bytes]) -> tuple[Event, int] | None:
    """The next event and the bytes that it came in, or None at the end of the pipe. Raises
    ValueError or RecursionError on a bad frame."""
    body = read_body(pipe, MAX_FRAME)
    return None if body is None else (_event_decoder.decode(body), len(body))
