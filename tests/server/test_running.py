"""The server's socket."""

from __future__ import annotations

import socket

from amulet_local.server.running import listening_socket


def test_what_is_written_to_a_client_waits_for_no_acknowledgement() -> None:
    """A small write behind another would wait for 40 ms: at every answer, at every token."""
    with (
        listening_socket("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
