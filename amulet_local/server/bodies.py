"""What clients send, as OpenAI's API has it, with Amulet's own fields beside.

A body goes in, a struct comes out, or ApiError with the field that is wrong. Every optional field
may be null; what nobody here knows is ignored, as clients send more and more of it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from amulet_local.protocol.alignment import MOST_FADERS, Placement, Strength
from amulet_local.protocol.message import LONGEST_WISH
from amulet_local.protocol.messages import MOST_BIASED, MOST_LIKELIEST, Bias
from amulet_local.protocol.numbers import Fraction, Natural
from amulet_local.server.failures import ApiError

LONGEST_BODY = 4 * 1024 * 1024  # bytes
MOST_MESSAGES = 4096
MOST_STOPS = 16
_LONGEST_STOP = 256  # characters
_LONGEST_PREFERENCE = 8 * 1024

Words = Annotated[str, msgspec.Meta(max_length=_LONGEST_PREFERENCE)]
Wish = Annotated[str, msgspec.Meta(max_length=LONGEST_WISH)]
StopText = Annotated[str, msgspec.Meta(max_length=_LONGEST_STOP)]
Scale = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]
Penalty = Annotated[float, msgspec.Meta(ge=-2.0, le=2.0)]


class Part(msgspec.Struct):
    """A part of a message; only text can be read."""

    type: str = "text"
    text: str | None = None


class ChatMessage(msgspec.Struct):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[Part], msgspec.Meta(max_length=1024)] | None = None


class Fading(msgspec.Struct):
    """One preference of a mix: a preset's name, or words."""

    preference: Words
    strength: Strength | None = None


class StreamOptions(msgspec.Struct):
    """include_usage: a last chunk tells what the reply took."""

    include_usage: bool | None = None


class SchemaFormat(msgspec.Struct):
    """A JSON Schema, and its name."""

    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct):
    """What the reply is to be."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: SchemaFormat | None = None


class Body(msgspec.Struct, kw_only=True):
    """What both kinds of completion take."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] | None = None
    top_p: Fraction | None = None
    top_k: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Fraction | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=32)] | None = None
    stop: StopText | Annotated[list[StopText], msgspec.Meta(max_length=MOST_STOPS)] | None = None
    seed: int | None = None
    logit_bias: Annotated[dict[Natural, Bias], msgspec.Meta(max_length=MOST_BIASED)] | None = None
    # Amulet's own
    preference: (
        Words | Annotated[list[Words | Fading], msgspec.Meta(max_length=MOST_FADERS)] | None
    ) = None
    strength: Strength | None = None
    guard: Fraction | None = None
    placement: Placement | None = None
    wishes: Wish | Annotated[list[Wish], msgspec.Meta(max_length=16)] | None = None
    system_strength: Strength | None = None
    # as other servers name them
    guidance_scale: Scale | None = None
    negative_prompt: Words | None = None


class ChatBody(Body, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], msgspec.Meta(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MOST_LIKELIEST)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    function_call: Any = None


class CompletionBody(Body, kw_only=True):
    """POST /v1/completions."""

    prompt: str | Annotated[list[Any], msgspec.Meta(min_length=1, max_length=1)]
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=MOST_LIKELIEST)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


SomeBody = TypeVar("SomeBody", bound=Body)


def read_body(raw: bytes, kind: type[SomeBody]) -> SomeBody:
    """A body as it came; some clients begin theirs with a byte order mark. Raises ApiError, which
    names the field but repeats nothing of it."""
    if not raw:
        raise ApiError("The request has no body; send JSON, and its length or chunks.")
    try:
        return msgspec.json.decode(raw.decode("utf-8-sig"), type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        param = path.rpartition("$")[2].strip("`").lstrip(".") or None
        if missing := re.search(r"missing required field `(\w+)`", text):
            param = param or missing[1]
        told = re.sub(r"'[^']*'", "", text).replace("`", "").strip()
        where = f"{param}: " if param else ""
        raise ApiError(f"{where}{told}.", param=param) from None
    except UnicodeDecodeError:
        raise ApiError("The body is not UTF-8; send it in that encoding, uncompressed.") from None
    except (msgspec.DecodeError, RecursionError):
        raise ApiError("The body is not valid JSON.") from None
