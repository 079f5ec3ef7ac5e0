"""The server while it runs: its socket, its signals, and a file that tells others where it is."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import uvicorn
from starlette.types import ASGIApp

from amulet_local.errors import UsageError, cause
from amulet_local.files import private_folder, read_bounded, write_whole
from amulet_local.server.connections import BoundedConnection
from amulet_local.settings import data_folder
from amulet_local.system.process_ids import is_alive, this_process

_LARGEST_HEADERS = 32 * 1024  # bytes
_KEEP_ALIVE_S = 30
_GRACE_S = 5  # for replies under way once the server is to end
_MOST_BYTES = 4096


class Address(msgspec.Struct, frozen=True):
    """Where a server listens, with which model, and the process it is (see process_ids)."""

    url: str
    model: str
    process: str


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket to be served. Raises UsageError where there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError, OverflowError) as error:
        why = cause(error) if isinstance(error, OSError) else "it is no address"
        raise UsageError(
            f"the server cannot listen on {host}, port {port} ({why}); choose another with --port."
        ) from None


def url_of(listening: socket.socket) -> str:
    """As clients write it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until a signal asks for the end; replies under way then have a moment."""
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
    )
    uvicorn.Server(config).run(sockets=[listening])


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
        body = read_bounded(data_folder() / "server.json", _MOST_BYTES)
        address = msgspec.json.decode(body, type=Address)
    except (OSError, msgspec.DecodeError):
        return None
    return address if is_alive(address.process) else None
