"""What streams hold, as a sealed file: their tokens with keys and values.

A file fits streams of the same model, build and type of cache, which its key names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from amulet_local.runtime.lockstep import Lockstep
from amulet_local.sealing import NotOursError, StoppedError, read_sealed, write_sealed

_BLOCK = 4 * 1024 * 1024  # bytes
_PURPOSE = b"streams"


class _Saved(msgspec.Struct):
    """The streams on disk: tokens and state of each."""

    key: str
    streams: list[tuple[list[int], bytes]]


def save(
    lockstep: Lockstep,
    path: Path,
    key: str,
    stopped: Callable[[], bool] = lambda: False,
    has_room: Callable[[int], bool] = lambda _: True,
) -> bool:
    """Write what all streams hold to a file, for `restore`; it gets its name once it is whole.

    key: names model, build and cache type. stopped: asked every few megabytes. has_room: asked for
    so many bytes. Returns whether it was written; what was there before stays where it was not.
    Raises OSError.
    """
    streams = []
    for stream in range(len(lockstep.all_streams)):
        if stopped():
            return False
        streams.append(lockstep.state(stream))
    body = memoryview(msgspec.msgpack.encode(_Saved(key, streams)))
    if not has_room(len(body)):
        return False
    blocks = [body[start : start + _BLOCK] for start in range(0, len(body), _BLOCK)]
    try:
        write_sealed(path, _PURPOSE, blocks, stopped)
    except StoppedError:
        return False
    return True


def restore(lockstep: Lockstep, path: Path, key: str) -> int:
    """Hold what `save` wrote; returns the tokens of the longest stream.

    0 and nothing changed where the file is missing, is not as Amulet wrote it here, or was saved
    under another key: llama.cpp trusts what it is given.
    """
    try:
        saved = msgspec.msgpack.decode(read_sealed(path, _PURPOSE), type=_Saved)
    except (OSError, NotOursError, msgspec.DecodeError):
        return 0
    return lockstep.hold(saved.streams) if saved.key == key else 0
