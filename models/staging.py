"""The files of one model, from their server into the models folder: whole and verified, or none.

Bytes gather in a hidden file that a later fetch goes on with, and get their name in one step once
size and checksum are right. How they come is known to transfer.py.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from msgspec import structs

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.files import RESERVE, free_space, require_space
from amulet_local.settings import models_folder
from amulet_local.system import paths
from models import receipts
from models.cards import printable
from models.fetch import FetchCancelledError, OnProgress, Progress, Stage, turn
from models.header import read_header
from models.receipts import Part, Receipt
from models.transfer import transfer

_PART = ".part-"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch. path: where to, below the models folder. sha256: "" where it is not
    known. tag: of the version that the server had when it was asked."""

    url: str
    path: str
    size: int
    sha256: str = ""
    tag: str = ""


def fetch_files(
    what: str,
    receipt: Receipt,
    files: Sequence[RemoteFile],
    headers: dict[str, str],
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
) -> Receipt:
    """Have all files of a model in their places; returns the receipt with them, which is kept.

    what: the model, as it was asked for. Raises OSError where they cannot be stored, UsageError
    where there is no room, NotUsableError where one cannot be had or is not the one expected,
    FetchCancelledError.
    """
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(file.size for file in files)
    parts = [folder / f"{_PART}{_key(file, receipt.revision)}" for file in files]

    def report(stage: Stage, done: int) -> None:
        if cancelled():
            raise FetchCancelledError(
                f"stopped; what was fetched of {printable(what)} is kept for later."
            )
        on_progress(Progress(stage, min(done, total) if total else done, total))

    with turn(folder, lambda: report("fetching", 0)):
        _require_free(receipt.source, files, folder)
        left = total - sum(map(_size, parts))
        require_space(f"fetching {printable(what)}", left, folder, "AMULET_MODELS")
        done = 0
        for file, part in zip(files, parts, strict=True):
            _download(what, file, part, headers, done, report)
            done += _size(part)
        done = 0
        for file, part in zip(files, parts, strict=True):
            _verify(file, part, done, report)
            done += _size(part)
        kept = [Part(f.path, _size(p), f.sha256) for f, p in zip(files, parts, strict=True)]
        receipt = structs.replace(receipt, parts=tuple(kept))
        receipts.keep(receipt)  # first: what lies there without one is not ours
        # The first file last: a model is there once its first file is.
        for file, part in reversed(list(zip(files, parts, strict=True))):
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
    return receipt


def half_fetched() -> int:
    """Bytes of models that a later fetch will go on with."""
    return sum(map(_size, paths.matching(models_folder(), f"{_PART}*")))


def _require_free(source: str, files: Sequence[RemoteFile], folder: Path) -> None:
    """Raises UsageError where a file would take the place of the user's own, or of one from another
    address; those of a repository lie in a folder of its name."""
    address = source.partition("#")[0]
    known = {
        part.file: receipt.source.partition("#")[0]
        for receipt in receipts.begun()
        for part in receipt.parts
    }
    for file in files:
        path = folder / file.path
        ours = file.path in known and ("/" in file.path or known[file.path] == address)
        if not ours and os.path.lexists(path):
            raise UsageError(
                f"{path} is there already, and was not fetched from there; rename or remove it, or "
                "set AMULET_MODELS to another folder."
            )


def _download(
    what: str,
    file: RemoteFile,
    part: Path,
    headers: dict[str, str],
    before: int,
    report: Callable[[Stage, int], None],
) -> None:
    """Fetch what is not there yet of a file. before: bytes of the files before it."""

    def arrived(done: int) -> None:
        if not file.size and (free := free_space(part.parent)) < RESERVE:
            raise UsageError(
                f"the server does not say how large {printable(what)} is, and only "
                f"{free / 1e6:,.0f} MB are free in {part.parent}; make room, or set AMULET_MODELS "
                "to another folder."
            )
        report("fetching", before + done)

    transfer(
        what,
        file.url,
        part,
        arrived,
        headers=headers,
        size=file.size,
        tag=file.tag,
    )


def _verify(
    file: RemoteFile, part: Path, before: int, report: Callable[[Stage, int], None]
) -> None:
    """Check a file against its checksum, where there is one, and that it is GGUF."""
    name = PurePosixPath(file.path).name
    if file.sha256:
        digest = hashlib.sha256()
        with part.open("rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                report("verifying", before := before + len(block))
        if digest.hexdigest() != file.sha256:
            part.unlink()
            raise NotUsableError(
                f"what was fetched from {name} is not that file (its sha256 "
                f"is {digest.hexdigest()}, not {file.sha256}); nothing was kept; try again."
            )
    try:
        read_header(part, compare_tokens=False)
    except NotUsableError as error:
        part.unlink()
        reason = str(error).replace(str(part), name)
        raise NotUsableError(f"the fetched file cannot be used: {reason}") from None


def _key(file: RemoteFile, revision: str) -> str:
    """Names a half-fetched file by what it will be, so that no other is ever continued with it."""
    identity = file.sha256 or f"{file.url} {revision} {file.size}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _size(path: Path) -> int:
    status = paths.status(path)
    return status.st_size if status else 0
