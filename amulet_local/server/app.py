"""The endpoints: OpenAI's, /health and /metrics.

A request goes through security.py, becomes requests to the engine (asking.py), and its events
become the answer (answers.py). Nothing of what was asked or answered is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from amulet_local.protocol.messages import Finished, Reply, Step
from amulet_local.server.answers import Document
from amulet_local.server.asking import Limits, chat_requests, completion_requests
from amulet_local.server.bodies import LONGEST_BODY, Body, ChatBody, CompletionBody, read_body
from amulet_local.server.desk import Desk
from amulet_local.server.failures import ApiError
from amulet_local.server.metrics import Metrics
from amulet_local.server.responses import (
    Answering,
    ServerSentEvents,
    error_response,
    json_response,
)
from amulet_local.server.security import Access, Guarded
from amulet_local.server.steering import House, model_names

_BODY_S = 30.0  # in which a body has to come
_MOST_READ = 8 * LONGEST_BODY
SomeBody = TypeVar("SomeBody", bound=Body)
Make = Callable[[SomeBody, House, Limits, Callable[[], int]], list[Reply]]


def make_app(desk: Desk, house: House, limits: Limits, access: Access) -> ASGIApp:
    """The whole application."""
    server = _Server(desk, house, limits)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        desk.start()
        yield

    app = Starlette(
        routes=[
            Route("/health", server.health),
            Route("/metrics", server.metrics),
            Route("/v1/models", server.models),
            Route("/v1/models/{name:path}", server.model),
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            Route("/v1/completions", server.complete, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _told, ClientDisconnect: _nobody, ApiError: _failed},
        lifespan=life,
    )
    return Guarded(app, access)


class _Server:
    def __init__(self, desk: Desk, house: House, limits: Limits) -> None:
        self._desk, self._house, self._limits = desk, house, limits
        self._metrics = Metrics()
        self._began = int(time.time())

    async def health(self, _request: Request) -> Response:
        return json_response({"status": "ok"})

    async def metrics(self, _request: Request) -> Response:
        return PlainTextResponse(self._metrics.text(self._desk.slots))

    async def models(self, _request: Request) -> Response:
        return json_response(
            {"object": "list", "data": [*map(self._card, model_names(self._house))]}
        )

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in model_names(self._house):
            raise ApiError("There is no such model here.", status=404, code="model_not_found")
        return json_response(self._card(name))

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._began, "owned_by": "amulet"}

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, ChatBody, chat_requests)

    async def complete(self, request: Request) -> Response:
        return await self._answer(request, CompletionBody, completion_requests)

    async def _answer(
        self, request: Request, kind: type[SomeBody], make: Make[SomeBody]
    ) -> Response:
        path = request.url.path
        try:
            body = read_body(await _body(request), kind)
            requests = make(body, self._house, self._limits, self._desk.new_id)
        except ApiError as error:
            self._metrics.answered(path, error.status)
            raise
        document = Document(self._model(body), requests, chat=kind is ChatBody)

        async def answer() -> Response:
            try:
                response = await self._begin(body, requests, document)
            except ApiError as error:
                self._metrics.answered(path, error.status)
                raise
            self._metrics.answered(path, 200)
            return response

        return Answering(answer)

    def _model(self, body: Body) -> str:
        """What the answer calls it: as it was asked for, where that says how it is steered."""
        return body.model if body.model and "@" in body.model else self._house.model

    async def _begin(self, body: Body, requests: Sequence[Reply], document: Document) -> Response:
        """The whole answer, or its beginning, once the engine has begun: what it refuses is then
        told by a status, not in the middle of a stream."""
        events = self._desk.events(requests, streamed=bool(body.stream))
        if not body.stream:
            async with aclosing(events):
                async for event in events:
                    document.choices[event.id].add(event)
                    self._count(event)
            return json_response(document.whole(document.usage()))
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        options = body.stream_options
        told = bool(options and options.include_usage)
        return ServerSentEvents(self._chunks(first, events, document, told=told))

    async def _chunks(
        self,
        first: Step | Finished,
        events: AsyncGenerator[Step | Finished],
        document: Document,
        *,
        told: bool,
    ) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(events):
            for chunk in document.begin():
                yield chunk
            for chunk in document.chunks(first):
                yield chunk
            self._count(first)
            async for event in events:
                for chunk in document.chunks(event):
                    yield chunk
                self._count(event)
            if told:
                yield document.usage_chunk(document.usage())

    def _count(self, event: Step | Finished) -> None:
        if isinstance(event, Finished):
            self._metrics.replied(event.stats)


async def _body(request: Request) -> bytes:
    """Within bounds of size and time. Raises ApiError."""
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                size += len(piece)
                # What is too long is read on for a while, or its client would not read why.
                if size <= LONGEST_BODY:
                    body += piece
                if size > _MOST_READ:
                    break
    except TimeoutError:
        raise ApiError("The request body did not arrive in time.", status=408) from None
    if size > LONGEST_BODY:
        raise ApiError(
            f"The body is longer than {LONGEST_BODY:,} bytes.", status=413, code="body_too_large"
        )
    return bytes(body)


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    wrong = "There is nothing at this address" if error.status_code == 404 else error.detail
    return error_response(ApiError(f"{wrong}.", status=error.status_code))


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # which nobody reads
