"""What streams hold, as a file: their tokens with keys and values, under a checksum.

A file fits streams of the same model, build and type of cache, which its key names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from amulet_local.files import replacing
from amulet_local.runtime.lockstep import Lockstep

_BLOCK = 4 * 1024 * 1024  # bytes


class _StoppedError(Exception):
    """Somebody wants the engine for something else than saving."""


class _Saved(msgspec.Struct):
    """The streams on disk: tokens and state of each."""

    key: str
    streams: list[tuple[list[int], bytes]]


def save(
    lockstep: Lockstep, path: Path, key: str, stopped: Callable[[], bool] = lambda: False
) -> bool:
    """Write what all streams hold to a file, for `restore`; it gets its name once it is whole.

    key: names model, build and cache type. stopped: asked every few megabytes. Returns whether it
    was written; what was there before stays where it was not. Raises OSError.
    """
    streams = []
    for stream in range(lockstep.streams):
        if stopped():
            return False
        streams.append(lockstep.state(stream))
    body = memoryview(msgspec.msgpack.encode(_Saved(key, streams)))
    blocks = [body[start : start + _BLOCK] for start in range(0, len(body), _BLOCK)]
    digest = hashlib.blake2b()
    for block in blocks:
        if stopped():
            return False
        digest.update(block)
    with suppress(_StoppedError), replacing(path) as part, part.open("wb") as file:
        file.write(digest.digest())
        for block in blocks:
            if stopped():
                raise _StoppedError
            file.write(block)
        return True
    return False


def restore(lockstep: Lockstep, path: Path, key: str) -> int:
    """Hold what `save` wrote; returns the tokens of the longest stream.

    0 and nothing changed where the file is missing, damaged, or was saved under another key.
    """
    try:
        data = path.read_bytes()
        size = hashlib.blake2b().digest_size
        if hashlib.blake2b(data[size:]).digest() != data[:size]:
            return 0
        saved = msgspec.msgpack.decode(memoryview(data)[size:], type=_Saved)
    except (OSError, msgspec.DecodeError):
        return 0
    return lockstep.hold(saved.streams) if saved.key == key else 0
