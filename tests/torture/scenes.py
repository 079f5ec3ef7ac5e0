"""What a death needs around it: a store of an older version, and a server that takes its time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from amulet_local.chats.migrations import STEPS

OLD_MESSAGES = 20_000  # whose index takes a second or more
_A_CHAT = 40  # messages
_PIECES, _PAUSE_S = 60, 0.05


def older_store(home: Path) -> None:
    """A store of the first version, before there was a search."""
    path = home / "data" / "chats.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"{number:026}" for number in range(OLD_MESSAGES)]
    rows = [
        (ids[n], f"chat{n // _A_CHAT:04}", ids[n - 1] if n % _A_CHAT else None,
         "assistant" if n % 2 else "user", f"Old message {n} of a lighthouse. " * 8)
        for n in range(OLD_MESSAGES)
    ]  # fmt: skip
    with closing(sqlite3.connect(path)) as db, db:
        STEPS[0](db)
        db.execute("PRAGMA user_version = 1")
        last = {row[1]: row[0] for row in rows}
        db.executemany(
            "INSERT INTO chats (id, title, changed, leaf) VALUES (?, 'Old', 1.0, ?)", last.items()
        )
        db.executemany(
            "INSERT INTO messages (id, chat, parent, role, text, token_ids, measures) "
            "VALUES (?, ?, ?, ?, ?, x'', x'')",
            rows,
        )


def lost_of_older(home: Path) -> list[str]:
    """What of that store is not there any more, or not of the newest version."""
    with closing(sqlite3.connect(home / "data" / "chats.sqlite")) as db:
        ((version,),) = db.execute("PRAGMA user_version")
        ((count,),) = db.execute("SELECT count(*) FROM messages WHERE text LIKE 'Old message %'")
        ((found,),) = db.execute("SELECT count(*) FROM found WHERE found MATCH 'lighthouse'")
    wanted = (len(STEPS), OLD_MESSAGES)
    return [] if (version, count) == wanted and found >= count else [f"{version} {count} {found}"]


@contextmanager
def slow_server(data: bytes) -> Iterator[str]:
    """The address of a file that comes in pieces, for some seconds; a part of it where asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._begin(0)

        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self._begin(start)
            piece = len(data) // _PIECES
            with suppress(ConnectionError):
                for at in range(start, len(data), piece):
                    self.wfile.write(data[at : at + piece])
                    time.sleep(_PAUSE_S)

        def _begin(self, start: int) -> None:
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", '"tag"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/slow.gguf"
        server.shutdown()
