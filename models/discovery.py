"""Which GGUF files lie in a location, and what a user may call them.

Places go in; sightings come out, one for each model, and a note for each folder that cannot be
read. Files are not opened here, except for the small ones in which Ollama and the hub keep names.
What other programs wrote is not trusted: every walk is bounded in depth and number.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from amulet_local.errors import cause
from amulet_local.files import read_bounded, read_json
from amulet_local.path_text import as_text
from amulet_local.system import paths
from models.cards import part_paths
from models.locations import Location

MOST_FILES = 20_000
DEEPEST = 8

_PART = re.compile(r"-\d{5}-of-\d{5}$")
_NAMELESS = ("model", "ggml-model")  # called after their folder
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MODEL_LAYER = "application/vnd.ollama.image.model"
_LARGEST_MANIFEST = 1 << 20
_LONGEST_REVISION = 256  # bytes; a commit has forty digits

Name = tuple[str, ...]


@dataclass(frozen=True)
class Sighting:
    """A model's file, not yet looked into.

    path: of its first file. names: what it may be called, the usual one first; each in parts, from
    the location to the file, of which a user types as many of the last as tell it apart;
    as text (see paths.py). Several sightings may be of one file.
    """

    path: Path
    names: tuple[Name, ...]
    program: str


@dataclass(frozen=True)
class Unread:
    """A folder that could not be looked into, or not to its end, and why."""

    path: Path
    reason: str


def look_into(locations: Iterable[Location]) -> tuple[list[Sighting], list[Unread]]:
    """All models in these locations, by name, one location after another."""
    sightings: list[Sighting] = []
    unread: list[Unread] = []
    for location in locations:
        found = _LAYOUTS[location.layout](location, unread)
        named = [
            Sighting(each.path, tuple(map(_text, each.names)), as_text(each.program))
            for each in found
        ]
        sightings += sorted(named, key=lambda each: [part.casefold() for part in each.names[0]])
    return sightings, unread


def _text(name: Name) -> Name:
    return tuple(map(as_text, name))


# -- any nesting of folders -----------------------------------------------------------------------


def _tree(location: Location, unread: list[Unread]) -> Iterator[Sighting]:
    for path in _files(location.folder, unread):
        inside = path.relative_to(location.folder).with_suffix("")
        yield Sighting(path, _named((location.key, *inside.parts)), location.program)


def _files(folder: Path, unread: list[Unread]) -> Iterator[Path]:
    """The GGUF files below a folder that stand for a model each. Links are followed, once."""
    seen: set[tuple[int, int]] = set()
    waiting, met = [(folder, 0)], 0
    while waiting:
        here, depth = waiting.pop()
        try:
            status = here.stat()
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except (FileNotFoundError, ValueError):  # ValueError: no folder can have that name
            continue
        except OSError as error:
            unread.append(Unread(here, cause(error)))
            continue
        for entry in entries:
            met += 1
            if met > MOST_FILES:
                unread.append(Unread(folder, f"it holds more than {MOST_FILES:,} files"))
                return
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if entry.name.casefold().endswith(".gguf"):
                if _stands_for_model(path):
                    yield path
            elif depth < DEEPEST and paths.leads_to_folder(entry):
                waiting.append((path, depth + 1))


def _stands_for_model(path: Path) -> bool:
    """Whether a file stands for its model; a part whose first part is missing does, too."""
    first = part_paths(path)[0]
    return path == first or not paths.exists(first)


def _named(parts: Name) -> tuple[Name, ...]:
    """By the file's name; a split model without its number too, a nameless one by its folder."""
    *folders, stem = parts
    if stem.casefold() in _NAMELESS and len(folders) > 1:
        return (tuple(folders), parts)
    if _PART.search(stem):
        return ((*folders, _PART.sub("", stem)), parts)
    return (parts,)


# -- Hugging Face's cache -------------------------------------------------------------------------


def _hub(location: Location, unread: list[Unread]) -> Iterator[Sighting]:
    """`models--org--name/snapshots/revision/file`: of several revisions that have
    the file, the one in use."""
    try:
        folders = sorted(location.folder.glob("models--*/snapshots/*/"))
    except OSError as error:
        unread.append(Unread(location.folder, cause(error)))
        return
    newest: dict[Name, tuple[tuple[bool, bool, float], Path]] = {}
    for snapshot in folders:
        repository = snapshot.parent.parent
        current, changed = _current_revision(repository) == snapshot.name, _changed(snapshot)
        names = repository.name.split("--")[1:]
        for path in _files(snapshot, unread):
            rank = (paths.exists(path), current, changed)  # its blob may be gone
            parts = (location.key, *names, *path.relative_to(snapshot).with_suffix("").parts)
            newest[parts] = max(newest.get(parts, (rank, path)), (rank, path))
    for parts, (_, path) in newest.items():
        yield Sighting(path, _named(parts), location.program)


def _current_revision(repository: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return read_bounded(repository / "refs/main", _LONGEST_REVISION).decode().strip()
    return ""


def _changed(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


# -- Ollama's store -------------------------------------------------------------------------------


class _Layer(msgspec.Struct):
    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


def _ollama(location: Location, unread: list[Unread]) -> Iterator[Sighting]:
    """`manifests/host/namespace/model/tag` names layers; that of the weights is a GGUF file."""
    manifests = location.folder / "manifests"
    try:
        found = sorted(manifests.glob("*/*/*/*"))[:MOST_FILES]
        if not found and paths.exists(location.folder):
            os.scandir(location.folder).close()  # which tells what glob keeps to itself
    except OSError as error:
        unread.append(Unread(location.folder, cause(error)))
        return
    for manifest in found:
        *owner, model, tag = manifest.relative_to(manifests).parts
        digest = _weights(manifest)
        if not digest:
            continue
        full = (location.key, *owner, f"{model}:{tag}")
        names = ((*full[:-1], model), full) if tag == "latest" else (full,)
        blob = location.folder / "blobs" / digest.replace(":", "-")
        yield Sighting(blob, names, location.program)


def _weights(manifest: Path) -> str:
    """The digest of the layer with the weights; "" where there is none, or no manifest."""
    with suppress(OSError, ValueError):
        layers = read_json(manifest, _LARGEST_MANIFEST, _Manifest).layers
        digests = [layer.digest for layer in layers if layer.media_type == _MODEL_LAYER]
        if len(digests) == 1 and _DIGEST.fullmatch(digests[0]):
            return digests[0]
    return ""


_LAYOUTS = {"tree": _tree, "hub": _hub, "ollama": _ollama}
