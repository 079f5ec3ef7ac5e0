"""The ways in which a request can fail, as OpenAI's API tells them."""

from __future__ import annotations

from typing import Any

BUSY_S = 5  # after which a client may try again


class ApiError(Exception):
    """What a client hears: a sentence, and what kind of failure it is.

    status: of HTTP. param: the field that is wrong, if one is. retry_after: seconds, 0 for never.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind = message, status, kind
        self.code, self.param, self.retry_after = code, param, retry_after

    def body(self) -> dict[str, Any]:
        """The document that stands for it."""
        error = {
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "param": self.param,
        }
        return {"error": error}


def busy() -> ApiError:
    """All slots are taken, and enough requests wait."""
    return ApiError(
        "The server is busy; try again in a few seconds.",
        status=503,
        kind="server_error",
        code="busy",
        retry_after=BUSY_S,
    )


def engine_gone(reason: str = "") -> ApiError:
    """The engine's process ended; the next request starts another."""
    return ApiError(
        f"The engine ended while it was needed; try again. {reason}".strip(),
        status=503,
        kind="server_error",
        code="engine_ended",
        retry_after=BUSY_S,
    )


def not_loaded() -> ApiError:
    """An engine that was started anew could not load the model; the next request tries again."""
    return ApiError(
        "The model cannot be loaded any more; what the server prints says why.",
        status=503,
        kind="server_error",
        code="model_not_loaded",
        retry_after=BUSY_S,
    )


def too_long(details: str) -> ApiError:
    """The prompt does not fit the context. Clients know that by the code, or by these words."""
    return ApiError(
        f"The prompt is longer than the model's context length: {details}",
        code="context_length_exceeded",
        param="messages",
    )
