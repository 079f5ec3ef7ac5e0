"""A file that tells others on this machine where the server is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from amulet_local.files import private_folder, read_json, write_whole
from amulet_local.settings import data_folder
from amulet_local.system.process_ids import is_alive, this_process

_MOST_BYTES = 4096


class Address(msgspec.Struct, frozen=True):
    """Where a server listens, with which model, and the process it is (see process_ids)."""

    url: str
    model: str
    process: str


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Let others on this machine know of the server for as long as it runs."""
    path = data_folder() / "server.json"
    with suppress(OSError):  # it runs as well where nobody knows
        private_folder(path.parent)
        write_whole(path, msgspec.json.encode(address))
    try:
        yield
    finally:
        found = known_server()
        if found is None or found.process == this_process():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def known_server() -> Address | None:
    """The server that was started last, if it runs."""
    try:
        address = read_json(data_folder() / "server.json", _MOST_BYTES, Address)
    except (OSError, ValueError):
        return None
    return address if is_alive(address.process) else None
