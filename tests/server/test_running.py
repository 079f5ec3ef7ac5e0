"""The server's socket, and what it says."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from pathlib import Path

import pytest

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
        for error in (TimeoutError(), asyncio.CancelledError(), ValueError())
    }
    assert news == {TimeoutError: False, asyncio.CancelledError: False, ValueError: True}
