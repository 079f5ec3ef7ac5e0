"""A server on this machine that speaks as much of the hub's protocol as a fetch needs.

It tells of one repository and hands out its files, in part where asked to. It can cut connections,
lie about checksums, want a token, or know no models at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40
REPOSITORY = "org/tiny"


@dataclass
class Hub:
    """What the server has and how it behaves. files: contents by name.

    cut_after: bytes after which a connection ends, as often as `cuts`. asked: each request's path,
    with its range where it had one.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    repository: str = REPOSITORY
    cut_after: int = 0
    cuts: int = 0
    token: str = ""
    gated: bool = False
    wrong_checksums: bool = False
    ranges: bool = True
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

        def log_message(self, *_: object) -> None:
            """Silence."""

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.split("?")[0]
            wanted = self.headers.get("Range", "")
            hub.asked.append(f"{self.command} {path} {wanted}".strip())
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self._fail(401, "RepoNotFound")
            if hub.gated:
                return self._fail(403, "GatedRepo")
            about = f"/api/models/{hub.repository}"
            if path == about or path.startswith(f"{about}/revision/"):
                return self._send(json.dumps(hub.tree()).encode(), "application/json")
            name = re.sub(rf"^/{re.escape(hub.repository)}/resolve/[^/]+/|^/", "", path)
            if name not in hub.files:
                return self._fail(404, "RepoNotFound")
            self._send(hub.files[name], "application/octet-stream", wanted, with_body=with_body)

        def _fail(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(
            self, body: bytes, kind: str, wanted: str = "", *, with_body: bool = True
        ) -> None:
            start = int(wanted.removeprefix("bytes=").rstrip("-") or 0) if hub.ranges else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"tag"')
            self.end_headers()
            if not with_body:
                return
            if kind != "application/json" and hub.cuts and len(body) > hub.cut_after:
                hub.cuts -= 1
                self.wfile.write(body[: hub.cut_after])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
