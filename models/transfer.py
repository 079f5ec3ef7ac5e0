"""One file from a server to this disk, gone on with where an earlier try ended.

An address and a path go in; the bytes are there in the end, or an AmuletError is raised and what
has come stays. Nothing that a server says of itself is trusted to be so: it may know no ranges,
tell a wrong length or none, pack what was not to be packed, or have another file by now.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from amulet_local.errors import NotUsableError
from models.cards import printable
from models.network import (
    BrokenOffError,
    blocks,
    refused,
    require_success,
    response_to,
    unpackable,
)

if TYPE_CHECKING:
    from huggingface_hub.errors import Response

_TRIES = 5  # in a row that bring nothing new
_PLAIN = {"Accept-Encoding": "identity"}  # weights hardly shrink, and packed ones have no ranges
_RANGE = re.compile(r"bytes\s+(?:(?P<start>\d{1,18})-\d+|\*)/(?P<total>\d{1,18}|\*)", re.I)


@dataclass(frozen=True)
class Remote:
    """What a server tells of a file. size: in bytes, 0 where it does not say; tag: of this version
    of the file, "" where there is none."""

    size: int
    tag: str


def look(name: str, url: str) -> Remote:
    """Ask for a file, and leave its contents: there are servers that refuse HEAD, and addresses
    that are signed for GET alone. Raises AmuletError where the file cannot be had."""
    with response_to(name, url, _PLAIN) as response:
        if response.status_code != 200:
            raise refused(name, response)
        return Remote(_total(response), _tag(response))


def transfer(
    name: str,
    url: str,
    path: Path,
    on_bytes: Callable[[int], object],
    *,
    headers: Mapping[str, str],
    size: int = 0,
    tag: str = "",
) -> None:
    """Have a file at a path, whole. on_bytes gets how much of it is there, with every block, and
    may raise to end it. size, tag: as `look` tells them, or another who knows.

    Raises OSError where it cannot be stored, AmuletError where it cannot be had.
    """
    with path.open("ab") as target:
        most, tries = target.seek(0, 2), _TRIES
        while True:
            try:
                return _attempt(name, url, target, on_bytes, headers, size, tag)
            except BrokenOffError as error:
                here = target.seek(0, 2)
                tries = _TRIES if here > most else tries - 1
                most = max(most, here)
                if not tries:
                    raise
                for _ in range(error.pause):
                    on_bytes(here)
                    time.sleep(1)


def _attempt(
    name: str,
    url: str,
    target: IO[bytes],
    on_bytes: Callable[[int], object],
    headers: Mapping[str, str],
    size: int,
    tag: str,
) -> None:
    """Raises BrokenOffError where it is worth another one, which goes on with what is there."""
    done = target.seek(0, 2)
    if size and done > size:  # not this file's, or damaged
        done = target.truncate(0)
    if size and done == size:
        return
    asked = {**headers, **_PLAIN}
    if done:
        asked["Range"] = f"bytes={done}-"
        if tag.startswith('"'):  # else the whole of what is there now
            asked["If-Range"] = tag
    with response_to(name, url, asked) as response:
        if done and response.status_code == 416:
            if _total(response) == done:  # there is no more
                return
            raise _anew(name, target)
        if response.status_code == 206 and not _goes_on(response, done, tag):
            raise _anew(name, target)
        require_success(name, response)
        if response.status_code == 200:
            done = target.truncate(0)
        packed = _packing(response)
        if packed and not unpackable(packed):
            raise NotUsableError(
                f"{printable(name)} is compressed as {printable(packed)}, which cannot be unpacked "
                "here; look for another source."
            )
        known = max(size, _total(response)) if _same(_tag(response), tag) else _total(response)
        on_bytes(done)
        try:
            for block in blocks(name, response):
                done += target.write(block)
                if done > known > 0:
                    target.truncate(0)
                    raise NotUsableError(
                        f"{printable(name)} does not end where its server said ({known:,} bytes); "
                        "nothing was kept; look for another source."
                    )
                on_bytes(done)
        except BrokenOffError:
            if packed:  # ranges count packed bytes
                target.truncate(0)
            raise
    if done < known:
        raise BrokenOffError(
            f"{printable(name)} is incomplete ({done:,} of {known:,} bytes); check the network, "
            "then try again: what has already been fetched is kept."
        )


def _anew(name: str, target: IO[bytes]) -> BrokenOffError:
    """What is here is no beginning of what the server has."""
    target.truncate(0)
    error = BrokenOffError(
        f"the server can neither resume {printable(name)} nor start it again; look for another "
        "source."
    )
    error.pause = 0
    return error


# -- what an answer says of itself ----------------------------------------------------------------


def _goes_on(response: Response, done: int, tag: str) -> bool:
    """Whether a part begins where what is here ends, of the same version of the file."""
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    begins = match is not None and match["start"] is not None and int(match["start"]) == done
    return begins and not _packing(response) and _same(_tag(response), tag)


def _total(response: Response) -> int:
    """Bytes of the whole file; 0 where that is not told."""
    if response.status_code == 200:
        length = "" if _packing(response) else response.headers.get("Content-Length", "")
    else:
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        length = match["total"] if match else ""
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else 0


def _tag(response: Response) -> str:
    tag: str = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return tag


def _same(tag: str, other: str) -> bool:
    """Whether tags are of one version, or tell nothing."""
    return not tag or not other or tag.removeprefix("W/") == other.removeprefix("W/")


def _packing(response: Response) -> str:
    encoding: str = response.headers.get("Content-Encoding", "").strip().casefold()
    return "" if encoding == "identity" else encoding
