"""A client's body -> the requests that the engine is to write replies to."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from amulet_local.protocol.message import LONGEST_WISH, Message, wishing
from amulet_local.protocol.messages import LARGEST_SEED, LONGEST_SCHEMA, Reply
from amulet_local.server.bodies import Body, ChatBody, CompletionBody, ResponseFormat
from amulet_local.server.chats import chat_of
from amulet_local.server.failures import ApiError, too_long
from amulet_local.server.steering import House, steering_of

_MOST_PER_TOKEN = 32  # characters, of all but runs of white space


@dataclass(frozen=True)
class Limits:
    """context: tokens of a reply with its prompt. parallel: replies at once. max_tokens: of a
    reply, where the client sets no bound. ignores_tools: whether requests that offer tools are
    answered in words, and not refused."""

    context: int
    parallel: int
    max_tokens: int
    ignores_tools: bool = False


def chat_requests(
    body: ChatBody, house: House, limits: Limits, new_id: Callable[[], int]
) -> list[Reply]:
    """One request for each choice. Raises ApiError."""
    _check_calls(body, limits.ignores_tools)
    chat = chat_of(body.messages)
    steering = steering_of(body, chat.system, house)
    wish = _wish(body)
    listed = (body.top_logprobs or 0) if body.logprobs else None
    if body.top_logprobs is not None and not body.logprobs:
        raise ApiError("top_logprobs needs logprobs to be true.", param="top_logprobs")
    most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    request = Reply(
        id=0,
        messages=wishing(chat.messages, wish) if wish else chat.messages,
        seed=0,
        system=steering.system,
        alignment=steering.alignment,
        begun=chat.begun,
        likeliest=listed,
        schema=_schema(body.response_format),
        **_usual(body, most, limits),
    )
    return _each(request, body, limits, new_id)


def completion_requests(
    body: CompletionBody, house: House, limits: Limits, new_id: Callable[[], int]
) -> list[Reply]:
    """One request for each choice. Raises ApiError."""
    prompt = body.prompt if isinstance(body.prompt, str) else body.prompt[0]
    if not isinstance(prompt, str):
        raise ApiError("The prompt must be a single string.", param="prompt")
    if body.suffix:
        raise ApiError("This server does not support suffix.", param="suffix")
    if body.echo:
        raise ApiError("This server does not repeat the prompt; leave echo out.", param="echo")
    steering = steering_of(body, "", house)
    wish = _wish(body)
    request = Reply(
        id=0,
        messages=(Message("user", prompt, wish=wish),),
        seed=0,
        system="",
        alignment=steering.alignment,
        plain=True,
        likeliest=body.logprobs,
        **_usual(body, body.max_tokens, limits),
    )
    return _each(request, body, limits, new_id)


def _usual(body: Body, most: int | None, limits: Limits) -> dict[str, Any]:
    """The fields that both kinds have."""
    if most == 0:
        name = "max_tokens" if body.max_tokens == 0 else "max_completion_tokens"
        raise ApiError(f"{name} must be at least 1.", param=name)
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return {
        "max_tokens": limits.max_tokens if most is None or most < 0 else min(most, limits.context),
        "stop": tuple(filter(None, stop)),
        "bias": tuple((body.logit_bias or {}).items()),
    }


def _each(request: Reply, body: Body, limits: Limits, new_id: Callable[[], int]) -> list[Reply]:
    """A request for each choice, with seeds of their own."""
    count = body.n or 1
    if count > limits.parallel:
        raise ApiError(f"n must be at most {limits.parallel} here.", param="n")
    said = sum(len(message.text) for message in request.messages) + len(request.system)
    if said > _MOST_PER_TOKEN * limits.context:  # tokenising it would only take time
        raise too_long(
            f"{said:,} characters are more than {limits.context:,} tokens; shorten it, or serve "
            "the model with a larger --context."
        )
    seed = secrets.randbelow(LARGEST_SEED + 1) if body.seed is None else body.seed
    return [
        msgspec.structs.replace(
            request,
            id=new_id(),
            seed=(seed + number) % (LARGEST_SEED + 1),
            trace=request.steered,
        )
        for number in range(count)
    ]


def _check_calls(body: ChatBody, ignores_tools: bool) -> None:
    """Raises ApiError where the client wants tools called, or leaves it to the model."""
    for param, offered, by, choice in (
        ("tools", body.tools, "tool_choice", body.tool_choice),
        ("functions", body.functions, "function_call", body.function_call),
    ):
        if choice not in (None, "auto", "none"):
            raise ApiError(
                f'This server does not call tools; leave {by} out, or send "none".',
                param=by,
                code="unsupported_parameter",
            )
        if offered and choice != "none" and not ignores_tools:
            raise ApiError(
                f"This server does not call tools; send the request without {param}, or start the "
                "server with --ignore-tools, which answers such requests in words.",
                param=param,
                code="unsupported_parameter",
            )


def _wish(body: Body) -> str:
    wishes = [body.wishes] if isinstance(body.wishes, str) else body.wishes or []
    wish = "\n".join(filter(None, map(str.strip, wishes)))
    if len(wish) > LONGEST_WISH:
        raise ApiError(
            f"The wishes may have at most {LONGEST_WISH:,} characters in all.", param="wishes"
        )
    return wish


def _schema(wanted: ResponseFormat | None) -> str:
    """The JSON Schema that a reply is held to, as text; "" for none."""
    if wanted is None or wanted.type == "text":
        return ""
    if wanted.type == "json_object":
        return '{"type":"object"}'
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        raise ApiError("A json_schema is missing.", param="response_format.json_schema")
    try:
        text = msgspec.json.encode(wanted.json_schema.schema).decode()
    except RecursionError:
        text = " " * (LONGEST_SCHEMA + 1)
    if len(text) > LONGEST_SCHEMA:
        raise ApiError("The JSON schema is too large.", param="response_format.json_schema")
    return text
