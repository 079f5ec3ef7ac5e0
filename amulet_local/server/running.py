"""The server while it runs: its socket, its bounds, its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import uvicorn
from starlette.types import ASGIApp

from amulet_local.errors import UsageError, cause
from amulet_local.server.connections import BoundedConnection

_LARGEST_HEADERS = 32 * 1024  # bytes
_KEEP_ALIVE_S = 30
_OF_PORTS = (errno.EADDRINUSE, errno.EACCES)  # while whatever else is wrong is wrong with the host
_GRACE_S = 5  # for replies under way once the server is to end


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket to be served. Raises UsageError where there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError, OverflowError) as error:
        why = cause(error) if isinstance(error, OSError) else "it is not an address"
        of_port = isinstance(error, OSError) and error.errno in _OF_PORTS
        raise UsageError(
            f"the server cannot listen on {host or repr(host)}, port {port} ({why}); choose "
            f"another with {'--port' if of_port else '--host'}."
        ) from None
    # What it accepts inherits this; asyncio sees to it only where a socket names its protocol. Else
    # every small write waits, for 40 ms, until the client acknowledges the one before.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


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
    logging.getLogger("uvicorn.error").addFilter(is_news)  # which Config has set up
    uvicorn.Server(config).run(sockets=[listening])


def is_news(record: logging.LogRecord) -> bool:
    """Whether it tells of what nobody foresaw. That a reply was given up as the server ended would
    be told as an error, with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and not isinstance(error, asyncio.CancelledError)
