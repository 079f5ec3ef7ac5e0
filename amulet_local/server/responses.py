"""Responses that end when their client goes away, whichever part of the work is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amulet_local.server.failures import ApiError

_encode = msgspec.json.encode


def json_response(document: Any, status: int = 200) -> Response:
    """A JSON document."""
    return Response(_encode(document), status, media_type="application/json")


def error_response(error: ApiError) -> Response:
    """An error in OpenAI's form."""
    response = json_response(error.body(), error.status)
    if error.retry_after:
        response.headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


class Answering(Response):
    """A response that is made while it is waited for.

    make: gives the response; it is cancelled once the client is gone.
    """

    def __init__(self, make: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def answer() -> None:
            try:
                response = await self._make()
            except ApiError as error:
                response = error_response(error)
            await response(scope, receive, send)

        working = asyncio.ensure_future(answer())
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, gone):
                task.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)
        if not working.cancelled() and (error := working.exception()):
            raise error


class ServerSentEvents(Response):
    """Documents, each as an event, and then [DONE]; an error ends them, as an event of its own."""

    def __init__(self, documents: AsyncIterator[Any]) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"
        self._documents = documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def tell(body: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for document in self._documents:
                await tell(b"data: %b\n\n" % _encode(document))
        except ApiError as error:
            await tell(b"data: %b\n\n" % _encode(error.body()), more=False)
        else:
            await tell(b"data: [DONE]\n\n", more=False)


async def _gone(receive: Receive) -> None:
    """Wait until the client is: nothing else comes behind a body that was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
