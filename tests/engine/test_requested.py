"""What a request may ask of its tokens: the likeliest ones, a bias, a schema, no chat around it."""

from __future__ import annotations

import json
import math

import pytest
from msgspec import structs

from amulet_local.engine.engine import Engine
from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Reply
from tests.asking import ask, collect, reply, steps
from tests.checks import some

pytestmark = pytest.mark.model

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "kind": {"enum": ["cat", "dog"]},
            "names": {"type": "array", "items": {"enum": ["Tom", "Rex"]}, "maxItems": 3},
            "legs": {"type": "integer"},
        },
        "required": ["kind", "names"],
        "additionalProperties": False,
    }
)


def test_the_likeliest_tokens_are_those_of_the_realigned_distribution(tiny_engine: Engine) -> None:
    for step in some(steps(collect(tiny_engine, ask(likeliest=3, trace=True, max_tokens=12)))):
        chosen, *likeliest = step.candidates
        assert (chosen.token, len(likeliest)) == (step.token, 3)
        assert chosen.token == likeliest[0].token  # it is greedy
        assert math.isclose(chosen.p, likeliest[0].p, rel_tol=1e-5)
        assert step.logp_realigned is not None
        assert math.isclose(math.log(chosen.p), step.logp_realigned, abs_tol=1e-4)
    (bare,) = steps(collect(tiny_engine, ask(likeliest=0, preference="", max_tokens=1)))
    assert len(bare.candidates) == 1


def test_none_are_told_where_none_were_asked_for(tiny_engine: Engine) -> None:
    assert [step.candidates for step in steps(collect(tiny_engine, ask(max_tokens=2)))] == [(), ()]


def test_a_bias_bans_and_forces_whatever_the_strength(tiny_engine: Engine) -> None:
    first, second, *_ = reply(tiny_engine, ask(max_tokens=4)).token_ids
    for strength in (-2.0, 1.0, 40.0):
        banned = ask(bias=((first, -100.0),), strength=strength, max_tokens=20, guard=0.1)
        assert first not in reply(tiny_engine, banned).token_ids
        forced = ask(bias=((second, 100.0),), strength=strength, max_tokens=3, guard=0.1)
        assert reply(tiny_engine, forced).token_ids == (second,) * 3
    beyond = ask(bias=((10**6, 5.0),), max_tokens=4)  # of no token
    assert reply(tiny_engine, beyond).token_ids[:1] == (first,)


@pytest.mark.parametrize(
    "steered",
    [{"strength": 8.0, "guard": 0.3}, {"strength": 0.0, "guard": 0.0}, {"preference": ""}],
    ids=["beyond the guard", "unguarded", "plain"],
)
def test_a_reply_fits_its_schema(tiny_engine: Engine, steered: dict[str, object]) -> None:
    """Whatever the model would rather say, which is noise here; a seed of each kind."""
    for seed in range(4):
        hot = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0)
        request = ask(schema=SCHEMA, seed=seed, sampling=hot, max_tokens=120, **steered)
        finished = reply(tiny_engine, request)
        found = json.loads(finished.text)
        assert found["kind"] in ("cat", "dog")
        assert set(found) <= {"kind", "names", "legs"}
        assert set(found["names"]) <= {"Tom", "Rex"}
        assert finished.reason == "stop"


def test_marks_that_json_escapes_are_written_as_json_has_them(tiny_engine: Engine) -> None:
    """In values and in names; what is not ASCII stands for itself."""
    for odd in ("C:\\new", 'say "hi"', "one\ntwo\t", "\\\\", "\x07\x7f", "Tür 😀", "\u2028"):
        schema = {"type": "object", "properties": {odd: {"const": odd}}, "required": [odd]}
        request = ask(schema=json.dumps(schema), max_tokens=120)
        text = reply(tiny_engine, request).text
        assert json.loads(text) == {odd: odd}
    assert json.loads(reply(tiny_engine, ask(schema='{"const": "😀"}')).text) == "😀"


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "[]",
        "no JSON",
        '{"type": "nothing"}',
        '{"$ref": "https://example.com/schema.json"}',
        '{"$ref": "#/definitions/missing"}',
        '{"type": "string", "pattern": "^(a|a)*$"}',
        '{"type": "array", "items": {"type": "string"}, "maxItems": 1000000}',
        '{"a":' * 500 + "1" + "}" * 500,
        '{"enum": [' + ",".join(f'"{k}"' for k in range(3000)) + "]}",
        '{"enum": []}',
    ],
    ids=range(11),
)
def test_a_schema_that_cannot_be_followed_is_refused_in_a_sentence(
    tiny_engine: Engine, schema: str
) -> None:
    request = ask(schema=schema or "{", max_tokens=4)
    with pytest.raises(UsageError, match="JSON schema"):
        reply(tiny_engine, request)
    assert reply(tiny_engine, ask(max_tokens=2)).reason == "length"


def test_plain_text_is_gone_on_with_and_steered_by_what_stands_before_it(
    tiny_engine: Engine,
) -> None:
    def plain(text: str, **changes: object) -> Reply:
        request = ask(Message("user", text), max_tokens=6, **changes)
        return structs.replace(request, plain=True)

    alone = reply(tiny_engine, plain("Once upon a time", preference=""))
    assert alone.stats.prompt_tokens < len("Once upon a time")  # which has no chat around it
    written = Message("user", "Be brief.\n\nOnce upon a time")
    prompted = structs.replace(ask(written, max_tokens=6, preference=""), plain=True)
    led = reply(tiny_engine, plain("Once upon a time", preference="Be brief.", strength=1.0))
    assert led.token_ids == reply(tiny_engine, prompted).token_ids
    assert reply(tiny_engine, plain("", preference="")).stats.tokens == 6
