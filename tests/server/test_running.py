"""The server's socket, and what it says."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from amulet_local.server.connections import BoundedConnection
from amulet_local.server.running import is_news, listening_socket
from tests.checks import comes
from tests.server.serving import HEAD, chat_body, serving


def test_what_is_written_to_a_client_waits_for_no_acknowledgement() -> None:
    """A small write behind another would wait for 40 ms: at every answer, at every token."""
    with (
        listening_socket("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.model
def test_it_ends_without_a_word_where_nobody_waits_for_replies_under_way(tmp_path: Path) -> None:
    """Ctrl+C twice."""
    with serving(tmp_path) as server, socket.socket() as client:
        host, port = server.url.removeprefix("http://").split(":")
        client.connect((host, int(port)))
        server.engine.suspend()
        body = json.dumps(chat_body())
        client.sendall((HEAD.format(len(body)) + body).encode())
        assert comes(lambda: server.metric("slots_taken") == 1)
        for each in (signal.SIGTERM, signal.SIGINT):
            server.process.send_signal(each)
        assert server.process.wait(30) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


def test_only_what_nobody_foresaw_is_told_of_a_connection() -> None:
    news = {
        type(error): is_news(
            logging.LogRecord("", logging.ERROR, "", 0, "", None, (type(error), error, None))
        )
        for error in (asyncio.CancelledError(), ValueError())
    }
    assert news == {asyncio.CancelledError: False, ValueError: True}


@pytest.mark.model
def test_what_is_no_http_is_told_in_openais_form_and_ends_without_a_word(tmp_path: Path) -> None:
    """Before an answer, or behind the one that the body was not waited for."""
    chunked = "POST /v1/models HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")

        def told(*parts: str) -> str:
            """What comes until the server has closed the connection."""
            with socket.create_connection((host, int(port))) as client:
                answer = b""
                for part in parts:
                    client.sendall(part.encode())
                    answer += client.recv(4096)
                while more := client.recv(4096):
                    answer += more
            return answer.decode()

        for nothing in ("\0\r\n\r\n", chunked.format("localhost") + "zz\r\n"):
            head, _, body = told(nothing).partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 400 ")
            assert json.loads(body)["error"]["message"] == "The request is not valid HTTP/1.1."
        refused = told(chunked.format("evil.example"), "zz\r\n")
        assert refused.startswith("HTTP/1.1 403 ")
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


async def test_a_client_that_reads_nothing_of_a_whole_answer_is_left_and_a_slow_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amulet_local.server.connections.PATIENCE_S", 0.3)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"x" * 10_000_000)(scope, receive, send)

    state = ServerState()
    config = uvicorn.Config(app, http=BoundedConnection, ws="none", lifespan="off")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedConnection(config, state, {}), "127.0.0.1")
    address = server.sockets[0].getsockname()

    async def ask() -> socket.socket:
        client = socket.create_connection(address)
        client.setblocking(False)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client

    async def read_slowly() -> int:
        size = 0
        with await ask() as client:
            while size < 10_000_000:
                size += len(await loop.sock_recv(client, 1_000_000))
                await asyncio.sleep(0.1)
        return size

    slow = asyncio.ensure_future(read_slowly())
    silent = await ask()
    while len(state.connections) < 2:
        await asyncio.sleep(0.01)
    assert await slow > 10_000_000
    while state.connections:
        await asyncio.sleep(0.01)
    silent.close()
    server.close()
