"""Requests that no client would send, to one server: it answers each, and goes on answering.

Valid bodies with values put in place of others, fields of one beside those of another, bytes that
are changed, headers that contradict each other. Wrong are: an answer of 500 or above but 503, none
at all, and a server that does not write the same reply as before.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import tempfile
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.checks import comes
from tests.server.serving import USER, Serving, chat_body, serving, text_of, vanish
from tests.torture.part import Part

_GROWTH = 1.05  # of the server's memory, over all its cases
_SETTLED = 300  # cases after which it is measured

_VALID: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", chat_body(preference="concise", strength=2.0, guard=0.1)),
    ("/v1/chat/completions", chat_body(stream=True, stream_options={"include_usage": True})),
    ("/v1/chat/completions", chat_body(logprobs=True, top_logprobs=4, n=2, stop=["a", "b"])),
    ("/v1/chat/completions", chat_body(response_format={"type": "json_object"})),
    (
        "/v1/chat/completions",
        chat_body(
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "x",
                    "schema": {
                        "type": "object",
                        "properties": {"a": {"type": "array", "items": {"enum": ["b", 1, None]}}},
                        "required": ["a"],
                    },
                },
            }
        ),
    ),
    ("/v1/chat/completions", chat_body(messages=[{"role": "system", "content": "Sing."}, USER])),
    ("/v1/chat/completions", chat_body(system_strength=2, wishes=["in lower case"], seed=3)),
    ("/v1/chat/completions", chat_body(negative_prompt="Be rude.", guidance_scale=2.0)),
    ("/v1/chat/completions", chat_body(logit_bias={"7": -100, "9": 4.5}, frequency_penalty=1)),
    ("/v1/completions", {"prompt": "Once", "max_tokens": 4, "logprobs": 1, "top_p": 0.5}),
]
_ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    -0.0,
    2**63,
    2**200,
    "",
    "x",
    "\x00",
    "\u202e🚀" * 20,
    "<|im_end|>",
    [],
    [[]],
    [None],
    {},
    {"": ""},
    ["a"] * 2000,
    "y" * 200_000,
    {"$ref": "#"},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"anyOf": [{"type": "string", "minLength": 100}] * 40},
    {"allOf": [{}]},
    {"type": ["string", "null"], "format": "date-time"},
]


class _Served:
    """The server of this process, with what it said and took at first."""

    def __init__(self) -> None:
        self.cases = 0
        self.memory = self.files = 0
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            self.server: Serving = opened.enter_context(serving(Path(folder), "--parallel", "4"))
            self.client = opened.enter_context(self.server.client())
            self.reply = text_of(self.server.whole())
            atexit.register(opened.pop_all().close)

    def check(self) -> None:
        """It is as it was."""
        self.cases += 1
        assert self.server.process.poll() is None, "the server ended"
        if self.cases % 100 == 0:
            assert text_of(self.server.whole()) == self.reply
            assert self.server.metric("slots_taken") == 0
        if self.cases == _SETTLED:
            self.memory = self._taken()
        assert self.cases < _SETTLED or comes(lambda: self._taken() <= self.memory * _GROWTH), (
            f"{self._taken()} bytes from {self.memory}"
        )

    def _taken(self) -> int:
        """Bytes of memory, which the last answer may still take some of."""
        return int(psutil.Process(self.server.process.pid).memory_info().rss)


@lru_cache(maxsize=1)
def _served() -> _Served:
    return _Served()


def attempt(random: Random, _folder: Path) -> str:
    """One request; the answer's status."""
    served = _served()
    path, body = random.choice(_VALID)
    body = json.loads(json.dumps(body))
    for _ in range(random.choice([1, 1, 2, 4])):
        _mutate(body, random)
    # What was drawn is not to write for long.
    if isinstance(body.get("max_tokens"), int) and not 0 <= body["max_tokens"] <= 50:
        body["max_tokens"] = 8  # a negative number sets no bound
    if body.get("max_tokens") is None:
        body["max_completion_tokens" if "chat" in path else "max_tokens"] = 8
    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    if random.random() < 0.2:
        raw = _changed(raw, random)
    headers = {}
    if random.random() < 0.1:
        headers = {random.choice(["content-type", "accept", "authorization", "te"]): "x" * 99}
    answer = served.client.post(path, content=raw, headers=headers)
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
    served.check()
    return str(answer.status_code)


def leave(random: Random, _folder: Path) -> str:
    """Eight clients that ask at once, and are gone at some moment, or stay; nothing is left."""
    served = _served()
    server = served.server

    async def come() -> None:
        await asyncio.gather(
            *(
                vanish(
                    server,
                    random.choice([-300, -1, 0, 1, 150, 400, 1500, 10**6]),
                    chat_body(
                        max_tokens=random.choice([1, 20, 300]),
                        stream=random.random() < 0.7,
                        n=random.choice([1, 1, 2]),
                        preference=random.choice(["", "concise", ["formal", "concise"]]),
                    ),
                )
                for _ in range(8)
            )
        )

    asyncio.run(asyncio.wait_for(come(), 50))
    assert comes(lambda: server.metric("slots_taken") == 0), "a slot is lost"
    assert server.metric("requests_waiting") == 0
    files = psutil.Process(server.process.pid).num_fds()
    served.files = served.files or files
    assert comes(lambda: psutil.Process(server.process.pid).num_fds() <= served.files + 4), (
        "descriptors are left open"
    )
    served.check()
    return "fine"


def _mutate(value: Any, random: Random) -> None:
    """Put something in place of a value anywhere below."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    if not places:
        return
    node, key = random.choice(places)
    kind = random.random()
    if kind < 0.5:
        node[key] = json.loads(json.dumps(random.choice(_ODD)))
    elif kind < 0.7 and isinstance(node, dict):
        del node[key]
    elif kind < 0.85:
        other = random.choice(_VALID)[1]
        field = random.choice(list(other))
        value[field] = json.loads(json.dumps(other[field]))
    else:
        node[key] = [node[key], node[key]]


def _changed(raw: bytes, random: Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.randint(1, 4)):
        index = random.randrange(len(changed))
        choice = random.random()
        if choice < 0.4:
            changed[index] = random.randrange(256)
        elif choice < 0.7:
            del changed[index : index + random.randint(1, 9)]
            changed = changed or bytearray(b"{")
        else:
            changed[index:index] = changed[: random.randint(1, 40)]
    return bytes(changed)


PARTS = [
    Part("requests", attempt, quick=40, full=10_000, limit_s=60.0),
    Part("vanishing", leave, quick=2, full=2_000, limit_s=60.0),
]
