"""Connections within bounds: how many there are, how long one may take to say what it wants, and
how long to read the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from amulet_local.server.failures import ApiError

MOST = 512
HEADERS_S = 10.0  # in which a request's headers have to be there
PATIENCE_S = 30.0  # with a client that reads nothing


class BoundedConnection(H11Protocol):
    """A connection that is closed where no whole request comes in time, its client reads nothing
    for too long, or too many are open."""

    _deadline: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio has it."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # so that whatever is not read pauses
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:  # the headers of a further request have begun
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._stop_waiting()
        self._stop_minding()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """As asyncio has it."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """As asyncio has it."""
        self._stop_minding()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn has it, in OpenAI's form."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # nothing was answered yet
            content = msgspec.json.encode(ApiError("The request is not valid HTTP/1.1.").body())
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(content)),
                (b"connection", b"close"),
            ]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True  # or what it would answer were an error, told as news
        self.transport.close()

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _await_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._patience = self.loop.call_later(PATIENCE_S, self._mind, left)

    def _mind(self, left: int) -> None:
        if self.transport.get_write_buffer_size() < left:
            self._await_reading()
        else:
            self._too_slow()

    def _stop_minding(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._deadline = None
        transport: Any = self.transport
        transport.abort()
