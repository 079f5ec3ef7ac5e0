"""On PYTHONPATH, it notes what every Python process does with sockets, by Python's own audit: a
line in the file that AMULET_WATCHED names for each process, and for each use of a network."""

import os
import sys

_USES = {
    "http.client.connect",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
    "urllib.Request",
}
_log = os.open(os.environ["AMULET_WATCHED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in _USES:
        os.write(_log, f"{event} {arguments!r} in {sys.orig_argv}\n".encode())


os.write(_log, f"watched: {' '.join(sys.orig_argv)}\n".encode())
sys.addaudithook(_note)
