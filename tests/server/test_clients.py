"""The official client, as its documentation has it used.

It is imported where it is used: that takes a second, and every worker of the suite reads this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.checks import some
from tests.server.serving import MODEL, Serving, serving

if TYPE_CHECKING:
    from openai import OpenAI

pytestmark = pytest.mark.model

ASK: Any = [{"role": "user", "content": "What makes a good holiday?"}]
TOOLS: Any = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[OpenAI]:
    from openai import OpenAI

    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_models_are_listed(client: OpenAI) -> None:
    assert f"{MODEL}@concise" in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).owned_by == "amulet"


def test_a_chat_whole_and_streamed(client: OpenAI) -> None:
    whole = client.chat.completions.create(
        model=f"{MODEL}@concise", messages=ASK, max_completion_tokens=20, temperature=0
    )
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 20
    stream = client.chat.completions.create(
        model=f"{MODEL}@concise",
        messages=ASK,
        max_completion_tokens=20,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert text == whole.choices[0].message.content
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == whole.usage.total_tokens
    told: Any = whole
    assert told.amulet["preferences"][0]["name"] == "concise"


def test_the_dial_is_an_extra_field(client: OpenAI) -> None:
    mix = [{"preference": name, "strength": s} for name, s in (("concise", 2), ("formal", -1))]
    extra = {"preference": mix}
    reply: Any = client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=5, extra_body=extra
    )
    strengths = [each["strength"] for each in reply.amulet["preferences"]]
    assert (strengths, reply.amulet["stats"]["streams"]) == ([2, -1], 3)


def test_structured_output_is_parsed(client: OpenAI) -> None:
    from pydantic import BaseModel

    class Answer(BaseModel):
        sunny: bool
        days: int

    parsed = client.chat.completions.parse(
        model=MODEL, messages=ASK, response_format=Answer, max_tokens=200, temperature=0
    )
    assert isinstance(parsed.choices[0].message.parsed, Answer)
    plain = client.chat.completions.create(
        model=MODEL,
        messages=ASK,
        response_format={"type": "json_object"},
        logit_bias={str(ord("}")): 100},  # noise would not end
        max_tokens=100,
    )
    assert json.loads(plain.choices[0].message.content or "") == {}


def test_logprobs_are_read(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=ASK, logprobs=True, top_logprobs=2, max_tokens=3, temperature=0
    )
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert [len(each.top_logprobs) for each in some(logprobs.content or [])] == [2, 2, 2]


def test_completions(client: OpenAI) -> None:
    reply = client.completions.create(model=MODEL, prompt="Once", max_tokens=5, n=2, seed=3)
    assert [choice.index for choice in reply.choices] == [0, 1]
    stream = client.completions.create(model=MODEL, prompt="Once", max_tokens=5, stream=True)
    assert [each.choices[0].finish_reason for each in stream][-1] == "length"


def test_errors_are_those_that_the_client_knows(client: OpenAI) -> None:
    import openai

    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert raised.value.code == "model_not_found"
    many: Any = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model=MODEL, messages=many)
    assert too_long.value.code == "context_length_exceeded"


@pytest.mark.parametrize("more", [{}, {"tool_choice": "auto"}])
def test_tools_are_refused(client: OpenAI, more: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="--ignore-tools") as raised:
        client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, **more)
    assert raised.value.param == "tools"


def test_tools_that_are_not_to_be_called_do_no_harm(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=4, tools=TOOLS, tool_choice="none"
    )
    assert reply.choices[0].message.content


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_call_that_is_required_is_refused(client: OpenAI, choice: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="does not call tools") as raised:
        client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, tool_choice=choice)
    assert raised.value.param == "tool_choice"


def test_a_server_that_ignores_tools_answers_in_words(tmp_path: Path) -> None:
    with serving(tmp_path, "--ignore-tools") as server:
        reply = server.whole(max_tokens=4, tools=TOOLS, tool_choice="auto")
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"]


async def test_the_asynchronous_client(server: Serving) -> None:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=ASK, max_tokens=8, stream=True
        )
        reasons = [each.choices[0].finish_reason async for each in stream]
        assert reasons[-1] == "length"
        async with client.chat.completions.stream(
            model=MODEL, messages=ASK, max_tokens=8, temperature=0
        ) as events:
            told = [event.delta async for event in events if event.type == "content.delta"]
        whole = await client.chat.completions.create(
            model=MODEL, messages=ASK, max_tokens=8, temperature=0
        )
        assert "".join(told) == whole.choices[0].message.content
