"""What is known of files that were looked into before: their cards, kept by path, size and time.

Paths go in, cards come out, or the sentence that says why there is none. A header is read once for
as long as its file stays the same; what is kept is a cache and may be deleted at any time. How
files are found and named is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from amulet_local.errors import NotUsableError
from amulet_local.files import Stamp, stamp
from amulet_local.path_text import as_text, encodable, from_text
from amulet_local.runtime.llama.build import build_stamp
from amulet_local.sealing import NotOursError, read_sealed, write_sealed
from amulet_local.settings import cache_folder
from amulet_local.system import paths
from models.cards import ModelCard, part_paths

_PURPOSE = b"model cards"
_FORMAT = 2  # counted up when cards change
_THREADS = 2  # reading waits for the disk, and much of it leaves the interpreter alone
_SAMPLES = 16
_SAMPLE = 1 << 16


class CachedCard(msgspec.Struct):
    """One model. stamp: of each of its files that is seen.

    card: None where `problem` says why. digest: of samples, "" until it was wanted.
    """

    stamp: tuple[Stamp, ...]
    card: ModelCard | None
    problem: str
    digest: str = ""


class _Kept(msgspec.Struct):
    """build: of llama.cpp, on which it hangs what can be read."""

    format: int
    build: str
    models: dict[str, CachedCard]


class CardCache:
    """The cards of all models that were asked for; `save` keeps them for the next time."""

    def __init__(self) -> None:
        self._models: dict[str, CachedCard] = {}
        self._changed = False
        with suppress(OSError, NotOursError, msgspec.DecodeError, ValueError):
            kept = msgspec.msgpack.decode(
                read_sealed(_file(), _PURPOSE), type=_Kept, dec_hook=_decode
            )
            if (kept.format, kept.build) == (_FORMAT, build_stamp()):
                self._models = kept.models

    def look_at(self, paths: Iterable[Path]) -> list[CachedCard]:
        """One for each path, of a model's first file; in order."""
        paths = list(paths)  # of which some may come twice
        stamps = {path: _stamps(path) for path in paths}
        new = [path for path, found in stamps.items() if not self._has(path, found)]
        if new:
            self._changed = True
            inspected = _inspected(new, [stamps[path] for path in new])
            self._models.update(zip(map(as_text, new), inspected, strict=True))
        return [self._models[as_text(path)] for path in paths]

    def digest(self, path: Path) -> str:
        """What tells models of one size apart without reading gigabytes: a hash of the header and
        of samples from all over the file; "" where it cannot be read."""
        (known,) = self.look_at([path])
        if not known.digest:
            with suppress(OSError):
                known.digest = _digest(path)
                self._changed = True
        return known.digest

    def save(self) -> None:
        """Keep what is known; a full disk is no reason to fail."""
        if not self._changed:
            return
        self._models = {
            name: known for name, known in self._models.items() if paths.exists(from_text(name))
        }
        body = msgspec.msgpack.encode(_Kept(_FORMAT, build_stamp(), self._models), enc_hook=as_text)
        with suppress(OSError):
            write_sealed(_file(), _PURPOSE, [body])

    def _has(self, path: Path, stamps: tuple[Stamp, ...]) -> bool:
        known = self._models.get(as_text(path))
        return known is not None and known.stamp == stamps


def _inspected(paths: Sequence[Path], stamps: Sequence[tuple[Stamp, ...]]) -> list[CachedCard]:
    """What reads headers takes a while to import, and is not needed where all are known."""
    from concurrent.futures import ThreadPoolExecutor

    from models.inspection import inspect

    def look(path: Path, stamps: tuple[Stamp, ...]) -> CachedCard:
        try:
            return CachedCard(stamps, inspect(path, compare_tokens=False), "")
        except NotUsableError as error:
            return CachedCard(stamps, None, str(error))
        except Exception as error:  # one file must not hide all others, whatever is wrong with it
            said = f"{path} cannot be understood ({error!r:.200}); choose another file."
            return CachedCard(stamps, None, encodable(said))

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(look, paths, stamps))


def _stamps(path: Path) -> tuple[Stamp, ...]:
    return tuple(filter(None, map(stamp, part_paths(path))))


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for sample in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _file() -> Path:
    return cache_folder() / "models.msgpack"


def _decode(_: type, value: Any) -> Path:
    return from_text(value)
