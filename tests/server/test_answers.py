"""What a server answers: OpenAI's documents, and how a reply was steered."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.checks import some
from tests.server.serving import MODEL, USER, Serving, chat_body, text_of

pytestmark = pytest.mark.model


def streamed(server: Serving, path: str = "/v1/chat/completions", **body: Any) -> list[Any]:
    """All that a stream tells but its end."""
    with server.client() as client:
        response = client.post(path, json={**body, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, end = response.text.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def joined(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    own = [choice for choice in choices if choice["index"] == index]
    return "".join(choice["delta"].get("content", "") for choice in own)


def test_health_and_models(server: Serving) -> None:
    with server.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        listed = client.get("/v1/models").json()
        first = client.get(f"/v1/models/{MODEL}@concise").json()
        none = client.get("/v1/models/other")
    names = [model["id"] for model in listed["data"]]
    assert (names[0], f"{MODEL}@concise" in names, first["id"]) == (MODEL, True, f"{MODEL}@concise")
    assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")


def test_a_stream_tells_what_the_whole_answer_has(server: Serving) -> None:
    body = chat_body(preference="concise", max_tokens=24)
    whole = server.whole(**body)
    chunks = streamed(server, **body)
    assert joined(chunks) == text_of(whole)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["amulet"]["preferences"] == whole["amulet"]["preferences"]


def test_usage_comes_last_and_has_no_choices(server: Serving) -> None:
    *_, last = streamed(server, **chat_body(stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 16
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + 16


def test_the_answer_tells_how_it_was_steered_and_what_came_of_it(server: Serving) -> None:
    told = server.whole(model=f"{MODEL}@concise:2.5", guard=0.05)
    assert told["model"] == f"{MODEL}@concise:2.5"
    measured = told["amulet"]
    assert measured["preferences"] == [{"name": "concise", "strength": 2.5}]
    assert (measured["guard"], measured["method"]) == (0.05, "amulet")
    assert measured["mean_shift"] > 0
    assert isinstance(measured["gain"], float)
    assert measured["stats"]["streams"] == 2
    plain = server.whole()["amulet"]
    assert (plain["method"], plain["mean_shift"], plain["stats"]["streams"]) == ("base", None, 1)


def test_the_dial_is_turned_by_strength_alone(server: Serving) -> None:
    def said(**fields: Any) -> str:
        return text_of(
            server.whole(messages=[{"role": "system", "content": "Sing."}, USER], **fields)
        )

    assert said(system_strength=1.0, guard=0.0) != said(system_strength=4.0, guard=0.0)
    assert said(preference="Rhyme.", strength=0.0, guard=0.0) == said()


def test_choices_are_as_many_as_asked_for_each_with_its_seed(server: Serving) -> None:
    body = chat_body(n=3, seed=5, temperature=1.5)
    texts = [choice["message"]["content"] for choice in server.whole(**body)["choices"]]
    assert len(set(texts)) == 3
    assert text_of(server.whole(**{**body, "n": 1, "seed": 6})) == texts[1]
    chunks = streamed(server, **body)
    assert [joined(chunks, index) for index in range(3)] == texts


def test_logprobs_have_the_shape_that_clients_read(server: Serving) -> None:
    choice = server.whole(logprobs=True, top_logprobs=3, max_tokens=4)["choices"][0]
    content = choice["logprobs"]["content"]
    assert len(content) == 4
    for each in some(content):
        assert each["logprob"] <= 0
        assert [likely["logprob"] for likely in each["top_logprobs"]] == sorted(
            (likely["logprob"] for likely in each["top_logprobs"]), reverse=True
        )
        assert len(each["top_logprobs"]) == 3
    assert server.chat(top_logprobs=3).json()["error"]["param"] == "top_logprobs"


def test_a_schema_is_kept_to(server: Serving) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = text_of(server.whole(response_format=wanted, max_tokens=200, preference="concise"))
    assert set(json.loads(reply)) == {"ok"}
    refused = server.chat(
        response_format={"type": "json_schema", "json_schema": {"schema": {"$ref": "#/x"}}}
    )
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


def test_plain_completions_go_on_with_a_text(server: Serving) -> None:
    body = {"prompt": "Once upon a time", "max_tokens": 6, "temperature": 0, "logprobs": 2}
    with server.client() as client:
        whole = client.post("/v1/completions", json=body).json()
        many = client.post("/v1/completions", json={**body, "prompt": ["Once upon a time"]}).json()
    assert whole["object"] == "text_completion"
    choice = whole["choices"][0]
    assert len(choice["logprobs"]["token_logprobs"]) == 6
    assert many["choices"][0]["text"] == choice["text"]
    chunks = streamed(server, "/v1/completions", **body)
    told = "".join(each["text"] for chunk in chunks for each in chunk["choices"])
    assert told == choice["text"]


def test_an_answer_is_the_same_among_others_as_alone(server: Serving) -> None:
    bodies = [
        chat_body(
            messages=[{"role": "user", "content": f"Tell me about {thing}."}],
            preference="concise",
            max_tokens=30,
        )
        for thing in ("ships", "tea", "the long history of the harbour and its town", "rain")
    ]
    alone = [text_of(server.whole(**body)) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda body: text_of(server.whole(**body)), bodies * 2))
    assert together == alone * 2
    assert server.metric("slots_taken") == 0


def test_an_assistant_message_last_is_continued(server: Serving) -> None:
    first = text_of(server.whole(max_tokens=12, logit_bias=None))
    begun = {"role": "assistant", "content": "One, two, "}
    rest = server.whole(messages=[USER, begun], max_tokens=4)
    assert not text_of(rest).startswith("One, two,")
    assert first


def test_a_stop_text_ends_the_reply_and_is_no_part_of_it(server: Serving) -> None:
    text = text_of(server.whole(max_tokens=30))
    stop = text[4:7]
    for choice in (
        server.whole(max_tokens=30, stop=stop)["choices"][0],
        server.whole(max_tokens=30, stop=["never to be found", stop])["choices"][0],
    ):
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == text[: text.index(stop)]
    assert (
        joined(streamed(server, **chat_body(max_tokens=30, stop=stop))) == text[: text.index(stop)]
    )
