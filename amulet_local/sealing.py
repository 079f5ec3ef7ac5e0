"""Files that only Amulet itself may have written: they carry a checksum under a secret key.

Blocks of bytes go in, with what they are for; out comes the whole, or NotOursError where a file was
made by anybody else, for something else, or is not as it was written. The key is a file of its own
in the data folder, 0600: whoever can read it can forge. How much is to be read is known, and known
to be ours, before more than the head of a file is read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from amulet_local.files import replacing, write_whole
from amulet_local.settings import state_key
from amulet_local.system import paths

_MAGIC = b"AMULET1\n"
_LENGTH = 8  # bytes of the length, little endian
_DIGEST = 32
_HEAD = len(_MAGIC) + _LENGTH + 2 * _DIGEST  # the checksum of the length, and that of the body
_KEY = 32
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotOursError(Exception):
    """A file is not one that Amulet wrote, or was changed since."""


class StoppedError(Exception):
    """Writing was given up, as asked."""


def write_sealed(
    path: Path,
    purpose: bytes,
    blocks: Sequence[bytes | memoryview],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Put a file in place, whole or not at all. purpose: at most 16 bytes, the same for reading.

    stopped: asked before each block is summed up, and before each is written. Raises StoppedError
    where it says so, and what was there stays; OSError.
    """
    secret = _key()
    length = _MAGIC + sum(map(len, blocks)).to_bytes(_LENGTH, "little")
    body = _checksum(secret, purpose, length)
    head = length + body.digest()
    for block in blocks:
        _unless(stopped)
        body.update(block)
    with replacing(path) as part, part.open("wb") as file:
        file.write(head + body.digest())
        for block in blocks:
            _unless(stopped)
            file.write(block)


def read_sealed(path: Path, purpose: bytes) -> memoryview:
    """What `write_sealed` was given, as one. Raises NotOursError, OSError."""
    secret = _key()
    if not paths.is_file(path):  # to open a pipe would wait for its other end
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
        length, digests = head[: -2 * _DIGEST], head[-2 * _DIGEST :]
        body = _checksum(secret, purpose, length)
        if len(head) < _HEAD or not hmac.compare_digest(body.digest(), digests[:_DIGEST]):
            raise NotOursError
        size = int.from_bytes(length[-_LENGTH:], "little")
        if os.fstat(file.fileno()).st_size != _HEAD + size:
            raise NotOursError
        data = file.read(size)
    body.update(data)
    if not hmac.compare_digest(body.digest(), digests[_DIGEST:]):
        raise NotOursError
    return memoryview(data)


def _unless(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise StoppedError


def _checksum(secret: bytes, purpose: bytes, begin: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(begin, digest_size=_DIGEST, key=secret, person=purpose)


def _key() -> bytes:
    """The key; a new one where there is none, or where others may have made or read it: what was
    sealed by an old one is then as good as none. Raises OSError."""
    path = state_key()
    if (found := _read_key(path)) is None:
        write_whole(path, secrets.token_bytes(_KEY))
        found = _read_key(path)  # another process may have been last
    if found is None:
        raise PermissionError(f"{path} cannot be kept from others")
    return found


def _read_key(path: Path) -> bytes | None:
    try:
        with paths.opened(path) as file:
            status = os.fstat(file.fileno())
            key = file.read(_KEY + 1)
    except FileNotFoundError:
        return None
    if os.name != "nt" and (status.st_uid != os.geteuid() or status.st_mode & _OF_OTHERS):
        return None
    return key if len(key) == _KEY and stat.S_ISREG(status.st_mode) else None
