"""A server on this machine that speaks as much of the hub's protocol as a fetch needs.

It tells of one repository and hands out its files, in part where asked to. It can cut connections,
lie about checksums and lengths, want a token, pack, redirect, refuse, or know no models at all.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40
REPOSITORY = "org/tiny"


@dataclass
class Hub:
    """What the server has and how it behaves. files: contents by name.

    cut_after: bytes after which a connection ends, as often as `cuts`. asked: each request's path,
    with its range where it had one.
    refusals: statuses for the next requests of files, in place of these; heads: whether HEAD is
    answered; api: the status that the hub's API has.
    packed: send files packed by gzip, whatever was asked for. length: what Content-Length is off
    by; None for none. tags: of the file, one for each request, the last for all further ones.
    elsewhere: another server's address, to which requests for files are sent on.
    more: what is sent behind a file, of whose size its length, tag and checksum know nothing.
    headers: further ones for files. piece: bytes that are sent at once. proxy: be one that wants a
    password.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    repository: str = REPOSITORY
    cut_after: int = 0
    cuts: int = 0
    token: str = ""
    gated: bool = False
    wrong_checksums: bool = False
    ranges: bool = True
    refusals: list[int] = field(default_factory=list)
    heads: bool = True
    api: int = 200
    packed: bool = False
    length: int | None = 0
    tags: list[str] = field(default_factory=lambda: ['"tag"'])
    elsewhere: str = ""
    more: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    piece: int = 1 << 30
    proxy: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def tree(self) -> dict[str, object]:
        """The repository, as the hub's API has it."""
        siblings = []
        for name, data in self.files.items():
            digest = "0" * 64 if self.wrong_checksums else hashlib.sha256(data).hexdigest()
            lfs = {"sha256": digest, "size": len(data), "pointerSize": 130}
            siblings.append({"rfilename": name, "size": len(data), "blobId": "b", "lfs": lfs})
        return {
            "id": self.repository,
            "modelId": self.repository,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "cardData": {"license": "mit"},
            "siblings": siblings,
        }


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may break off, and some tests have them do so; that is nothing to tell of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Serves until left."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_CONNECT(self) -> None:
            self._fail(407)

        def log_message(self, *_: object) -> None:
            """Silence."""

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.split("?")[0]
            wanted = self.headers.get("Range", "")
            hub.asked.append(f"{self.command} {path} {wanted}".strip())
            if hub.proxy:
                return self._fail(407)
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self._fail(401, "RepoNotFound")
            if hub.gated:
                return self._fail(403, "GatedRepo")
            about = f"/api/models/{hub.repository}"
            if path == about or path.startswith(f"{about}/revision/"):
                if hub.api != 200:
                    return self._fail(hub.api)
                return self._send_all(json.dumps(hub.tree()).encode())
            name = re.sub(rf"^/{re.escape(hub.repository)}/resolve/[^/]+/|^/", "", path)
            if name not in hub.files:
                return self._fail(404, "RepoNotFound")
            if not with_body and not hub.heads:
                return self._fail(405)
            if hub.refusals:
                return self._fail(hub.refusals.pop(0))
            if hub.elsewhere:
                return self._fail(302, Location=f"{hub.elsewhere}/{name}")
            self._send(hub.files[name], wanted, with_body=with_body)

        def _fail(self, status: int, code: str = "", **headers: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            for name, value in {**headers, **hub.headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def _send_all(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _send(self, body: bytes, wanted: str, *, with_body: bool) -> None:
            tag = hub.tags.pop(0) if len(hub.tags) > 1 else hub.tags[0]
            same = self.headers.get("If-Range", tag) == tag
            start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
            start = start if hub.ranges and same else 0
            if start >= len(body):
                return self._fail(416, **{"Content-Range": f"bytes */{len(body)}"})
            headers = {"ETag": tag}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = gzip.compress(body[start:]) if hub.packed else body[start:]
            if hub.packed:
                headers["Content-Encoding"] = "gzip"
            if hub.length is not None:
                headers["Content-Length"] = str(len(body) + hub.length)
            self.send_response(206 if start else 200)
            for name, value in {**headers, **hub.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if not with_body:
                return
            if hub.cuts and len(body) > hub.cut_after:
                hub.cuts -= 1
                body = body[: hub.cut_after]
                self.close_connection = True
            self.close_connection = self.close_connection or hub.length != 0
            body += hub.more
            with suppress(ConnectionError):  # whoever asked has read enough
                for at in range(0, len(body), hub.piece):
                    self.wfile.write(body[at : at + hub.piece])
                self.wfile.flush()

    with _Server(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
