"""Who may talk to the server: keys, names of hosts, origins of web pages.

A page in a browser can send requests to this machine, and by DNS rebinding read what comes back. So
without a key, the Host header must be a name of this machine; pages of other origins are refused
unless they are allowed by name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amulet_local.server.failures import ApiError
from amulet_local.server.responses import error_response

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.IGNORECASE)
_WHOLE = re.compile(r"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)
_OPEN = "/health"  # says nothing of anybody, to anybody
_REMEMBERED_S = 600


@dataclass(frozen=True)
class Access:
    """key: that every client must send; "" for none, which is for loopback only. origins: of web
    pages that may ask, as browsers write them."""

    key: str = ""
    origins: tuple[str, ...] = ()


class Guarded:
    """An application behind these checks."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._digest = _digest(access.key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if whole := _WHOLE.fullmatch(scope["path"]):  # as clients of proxies send it
            hosts = [whole[1]]  # which counts then, by RFC 9112
            scope = {**scope, "path": whole[2] or "/"}
        origin = headers.get("origin", "")
        allowed = origin in self._access.origins
        response: Response
        try:
            self._check_host(hosts)
            if origin and not allowed:
                raise ApiError(
                    "Pages of this origin may not use the server; allow it with --allow-origin.",
                    status=403,
                    kind="permission_error",
                    code="origin_not_allowed",
                )
            if scope["method"] == "OPTIONS" and allowed:
                response = _preflight(headers.get("access-control-request-headers", ""))
                await response(scope, receive, _with_origin(send, origin))
                return
            if scope["path"] != _OPEN:
                self._check_key(headers)
        except ApiError as error:
            response = error_response(error)
            await response(scope, receive, _with_origin(send, origin) if allowed else send)
            return
        await self._app(scope, receive, _with_origin(send, origin) if allowed else send)

    def _check_host(self, hosts: Sequence[str]) -> None:
        if self._access.key:
            return  # which no page knows
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None or match[1].strip("[]").casefold() not in LOOPBACK:
            raise ApiError(
                "The Host header names another machine; use 127.0.0.1 or localhost.",
                status=403,
                kind="permission_error",
                code="host_not_allowed",
            )

    def _check_key(self, headers: Headers) -> None:
        if not self._access.key:
            return
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(_digest(sent.strip()), self._digest)
        if not right or scheme.casefold() != "bearer":
            raise ApiError(
                "The API key is missing or wrong; send it as a bearer token.",
                status=401,
                kind="authentication_error",
                code="invalid_api_key",
            )


def _digest(key: str) -> bytes:
    """Of equal length for every key, so that comparing two tells nothing of either."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _preflight(wanted: str) -> Response:
    # Clients send headers of their own; a key is asked for by the request itself.
    names = wanted if re.fullmatch(r"[A-Za-z0-9, _-]{0,1000}", wanted) else ""
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": names or "authorization, content-type",
            "access-control-max-age": str(_REMEMBERED_S),
        },
    )


def _with_origin(send: Send, origin: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [
                (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
                (b"vary", b"Origin"),
            ]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
