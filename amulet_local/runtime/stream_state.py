"""What streams hold, as a sealed file: their tokens with keys and values.

A file fits streams of the same model, build and type of cache, which its key names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.prefix_tree import shared_with_earlier
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
    """Write what the active streams hold to a file, for `restore`; it gets its name once it is
    whole.

    key: names model, build and cache type. stopped: asked every few megabytes. has_room: asked for
    so many bytes. Returns whether it was written; what was there before stays where it was not.
    Raises OSError.
    """
    streams = []
    for number, stream in enumerate(lockstep.all_streams):
        if stopped():
            return False
        # Those that rest may hold another chat, and even one that is never to be kept.
        kept = number in lockstep.active
        streams.append(
            (stream.tokens, stream.context.state(stream.sequence)) if kept else ([], b"")
        )
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
    streams = lockstep.all_streams
    if saved.key != key or len(saved.streams) != len(streams):
        return 0
    kept = [tokens for tokens, _ in saved.streams]
    for stream in streams:
        stream.cut(0)
    lockstep.activate(number for number, tokens in enumerate(kept) if tokens)
    lockstep.make_room([tokens for tokens in kept if tokens])
    one_pool = len({stream.context for stream in streams}) == 1 and not streams[0].context.apart
    shared = shared_with_earlier(kept) if one_pool else {}
    # Backwards, so that cells for what is shared are given back before an earlier one takes them.
    for number in reversed(range(len(streams))):
        stream, (tokens, state) = streams[number], saved.streams[number]
        if stream.context.restore(stream.sequence, state):
            stream.tokens = tokens
        _, end = shared.get(number, (0, 0))
        if not (end and stream.is_whole and stream.context.remove_first(stream.sequence, end)):
            shared.pop(number, None)
    for number, (origin, end) in sorted(shared.items()):
        stream, lender = streams[number], streams[origin]
        if lender.is_whole:
            stream.context.copy(lender.sequence, stream.sequence, end)
        else:
            stream.cut(0, uncertain=True)
    lockstep.activate(number for number, stream in enumerate(streams) if stream.tokens)
    return max(len(stream.tokens) for stream in streams)
