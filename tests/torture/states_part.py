"""Evaluated chats on the disk that something is wrong with: none of them reaches llama.cpp."""

from __future__ import annotations

import atexit
import os
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_state import restore, save
from amulet_local.settings import data_folder
from tests.tiny_models import write_llama
from tests.torture.part import Part

_TOKENS, _OTHERS = list(range(1, 200)), [9, 8, 7]
_KEY = "model f16 1"


@cache
def _streams() -> Lockstep:
    path = Path(mkdtemp(prefix="states-"), "tiny.gguf")
    write_llama(path)
    model = Model(str(path))
    lockstep = Lockstep(model, LoadOptions(context=512))
    atexit.register(model.close)
    atexit.register(lockstep.close)
    return lockstep


def _state(random: Random, folder: Path) -> str:
    """A file that is not as it was written counts as none, and what the streams hold stays."""
    streams, path = _streams(), folder / "chat.kv"
    data_folder().mkdir(parents=True)
    streams.prefill({0: _TOKENS, 1: [*_TOKENS, 7]})
    assert save(streams, path, _KEY)
    whole = path.read_bytes()
    kind = random.choice([_flipped, _cut, _spliced, _longer, _lengths, _nothing, _odd, _other_key])
    kind(random, path)
    changed = not path.is_file() or path.read_bytes() != whole or kind is _other_key
    streams.prefill({0: _OTHERS, 1: _OTHERS})
    held = restore(streams, path, _KEY)
    assert held == (0 if changed else len(_TOKENS) + 1), (kind.__name__, held)
    if changed:
        assert streams.used == len(_OTHERS)
    return f"{kind.__name__[1:]}: {'as none' if changed else 'the same'}"


def _flipped(random: Random, path: Path) -> None:
    body = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 3, 99])):
        end = random.choice([80, 400, len(body)])  # the head, the names, anywhere
        body[random.randrange(end)] ^= 1 << random.randrange(8)
    path.write_bytes(body)


def _cut(random: Random, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(1 << random.randrange(1, 20))])


def _spliced(random: Random, path: Path) -> None:
    body = bytearray(path.read_bytes())
    place, size = random.randrange(len(body)), random.randrange(1, 5_000)
    body[place : place + size] = random.choice([b"", random.randbytes(size), bytes(size)])
    path.write_bytes(body)


def _longer(random: Random, path: Path) -> None:
    path.write_bytes(path.read_bytes() + random.randbytes(random.choice([1, 100, 1 << 20])))


def _lengths(random: Random, path: Path) -> None:
    """What the head says of its body: too much, too little."""
    body = bytearray(path.read_bytes())
    body[8:16] = random.choice([0, 1, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little")
    path.write_bytes(body)


def _nothing(random: Random, path: Path) -> None:
    path.write_bytes(random.choice([b"", b"AMULET1\n", b"GGUF", b"\0" * 99]))


def _odd(random: Random, path: Path) -> None:
    """What is no file, or another one."""
    path.unlink()
    match random.randrange(4):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path)
        case 3:
            path.symlink_to("/dev/zero")


def _other_key(random: Random, path: Path) -> None:
    """It was sealed by another user's Amulet, or is of another model."""
    if random.random() < 0.5:
        (data_folder() / "state.key").unlink()
    else:
        assert save(_streams(), path, "another")


PARTS = [Part("states", _state, quick=8, full=2_000)]
