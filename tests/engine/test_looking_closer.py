"""A dial turned while a reply is written, replies that go on, replies side by side, and what could
have been said instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import convert

from amulet_local.engine.engine import Engine
from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Candidates, Event, Examined, Finished, Load, Pace, Reply
from amulet_local.strengths import AMULET
from tests.asking import HOLIDAY, ask, collect, reply, steps
from tests.checks import some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


def begun(*tokens: int, text: str = "") -> Message:
    return Message("assistant", text, tokens)


# -- steering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("draft", ["ngram", "off"])
def test_a_turned_dial_counts_from_the_next_token_on(tmp_path: Path, draft: str) -> None:
    write_llama(tmp_path / "llama.gguf")
    options = LoadOptions(context=512, flash_attention="off", draft=draft)
    engine = Engine(Load(str(tmp_path / "llama.gguf"), options), lambda _: True)
    still = reply(engine, ask(max_tokens=30)).token_ids
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if len(steps(events)) == 10:
            engine.steer(1, (-2.0,))

    engine.reply(ask(max_tokens=30), listen)
    assert [step.strength for step in steps(events)] == [AMULET] * 10 + [-2.0] * 20
    turned = tuple(step.token for step in steps(events))
    assert turned[:10] == still[:10]
    assert turned != still
    resumed = reply(engine, ask(strength=-2.0, begun=begun(*still[:10]), max_tokens=20, id=2))
    assert resumed.token_ids == turned[10:]
    engine.close()


def test_a_dial_turned_for_another_reply_leaves_this_one_alone(tiny_engine: Engine) -> None:
    tiny_engine.steer(7, (0.0,))
    assert {step.strength for step in steps(collect(tiny_engine, ask(max_tokens=4)))} == {AMULET}


def test_at_the_prompt_mark_penalties_count_as_they_do_for_prompting(tiny_engine: Engine) -> None:
    penalties = Sampling(
        temperature=0, repeat_penalty=1.3, frequency_penalty=0.2, dry_multiplier=1.0
    )
    settings: dict[str, object] = {"max_tokens": 60, "sampling": penalties}
    prompted = reply(tiny_engine, ask(method="pref", **settings))
    assert prompted.token_ids != reply(tiny_engine, ask(method="pref", max_tokens=60)).token_ids
    for guard in (0.0, 0.1):
        request = ask(strength=1.0, guard=guard, trace=True, **settings)
        events = collect(tiny_engine, request)
        assert tuple(step.token for step in steps(events)) == prompted.token_ids
        assert not any(step.flip for step in some(steps(events)))


def test_methods_of_one_stream_have_no_dial(tiny_engine: Engine) -> None:
    tiny_engine.steer(1, (5.0,))
    request = ask(method="pref", max_tokens=4)
    assert {step.strength for step in steps(collect(tiny_engine, request))} == {1.0}


# -- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_goes_on_as_if_it_had_never_stopped(
    tiny_engine: Engine, temperature: float
) -> None:
    sampling = Sampling(temperature=temperature, top_k=1)
    whole = reply(tiny_engine, ask(max_tokens=24, sampling=sampling))
    first = begun(*whole.token_ids[:9])
    rest = reply(tiny_engine, ask(max_tokens=15, sampling=sampling, begun=first))
    assert rest.token_ids == whole.token_ids[9:]
    assert whole.text.endswith(rest.text)
    assert rest.stats.context_tokens == whole.stats.context_tokens


def test_cut_anywhere_a_reply_comes_to_the_same_text(tiny_engine: Engine) -> None:
    events = collect(tiny_engine, ask(max_tokens=24))
    (whole,) = finished(events)
    for cut in range(0, 24, 5):
        text = "".join(step.text for step in steps(events)[:cut])
        first = begun(*whole.token_ids[:cut], text=text)
        rest = reply(tiny_engine, ask(max_tokens=24 - cut, begun=first))
        assert text + rest.text == whole.text


def test_a_reply_in_the_users_words_is_gone_on_with(tiny_engine: Engine) -> None:
    vocabulary = tiny_engine._model.vocabulary
    words = "Take the coast path"
    by_text = reply(tiny_engine, ask(begun=begun(text=words), max_tokens=8))
    by_tokens = reply(tiny_engine, ask(begun=begun(*vocabulary.tokenize(words)), max_tokens=8))
    assert by_text.token_ids == by_tokens.token_ids
    assert by_text.begun_ids == tuple(vocabulary.tokenize(words))
    assert by_tokens.begun_ids == ()


# -- side by side ---------------------------------------------------------------------------------

METHODS = ("base", "pref", "amulet")


def three(**changes: object) -> list[Reply]:
    settings: dict[str, object] = {"max_tokens": 20} | changes
    return [ask(id=k, method=method, **settings) for k, method in enumerate(METHODS)]


def finished(events: Sequence[Event]) -> list[Finished]:
    found = [event for event in events if isinstance(event, Finished)]
    return sorted(found, key=lambda event: event.id)


def test_replies_side_by_side_are_those_written_alone(tiny_engine: Engine) -> None:
    chat = reply(tiny_engine, ask(max_tokens=6))
    events: list[Event] = []
    tiny_engine.compare(three(), events.append)
    together = finished(events)
    for request, side in some(zip(three(), together, strict=True)):
        alone = reply(tiny_engine, request)
        assert (side.token_ids, side.text) == (alone.token_ids, alone.text)
        assert (side.reason, side.stats.streams) == (alone.reason, alone.stats.streams)
    ids = [step.id for step in steps(events)]
    assert ids[:6] == [0, 1, 2, 0, 1, 2]  # they grow together
    again = reply(tiny_engine, ask(max_tokens=6))  # and the chat has kept its place
    assert again.token_ids == chat.token_ids
    assert again.stats.evaluated_tokens < again.stats.prompt_tokens


def test_each_side_ends_by_itself_and_the_others_go_on(tiny_engine: Engine) -> None:
    requests = three()
    alone = [reply(tiny_engine, request) for request in requests]
    short = ask(id=0, method="base", max_tokens=3)
    events: list[Event] = []
    tiny_engine.compare([short, *requests[1:]], events.append)
    sides = finished(events)
    assert [len(side.token_ids) for side in sides] == [3, 20, 20]
    assert [side.token_ids for side in sides[1:]] == [it.token_ids for it in alone[1:]]


def test_stopped_every_side_stands_as_it_is(tiny_engine: Engine) -> None:
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if len(steps(events)) == 12:
            tiny_engine.stop()

    tiny_engine.compare(three(), listen)
    tiny_engine.resume()
    assert [side.reason for side in finished(events)] == ["cancelled"] * 3
    assert [len(side.token_ids) for side in finished(events)] == [4] * 3


def test_a_comparison_that_does_not_fit_is_refused(tiny_engine: Engine) -> None:
    long = Message("user", "word " * 2000)
    with pytest.raises(UsageError, match="shorten it"):
        tiny_engine.compare([ask(long)], lambda _: None)


# -- what could have been said --------------------------------------------------------------------


def examined(engine: Engine, request: Reply, *strengths: float) -> list[Candidates]:
    events: list[Event] = []
    engine.examine(request, strengths, events.append)
    blocks = [event for event in events if isinstance(event, Examined)]
    total = 0
    for block in blocks:
        assert block.start == total
        total += len(block.candidates)
    assert {block.total for block in blocks} == {total}
    return [place for block in blocks for place in block.candidates]


@pytest.mark.parametrize("penalties", [{}, {"repeat_penalty": 1.5, "dry_multiplier": 2.0}])
def test_every_place_of_a_reply_is_looked_at_in_one_reading(
    tiny_engine: Engine, penalties: dict[str, float]
) -> None:
    sampling = convert({"temperature": 0, **penalties}, Sampling)
    events = collect(tiny_engine, ask(max_tokens=70, trace=True, guard=0.1, sampling=sampling))
    written = steps(events)
    reply(tiny_engine, ask(HOLIDAY, Message("assistant", "No."), HOLIDAY, max_tokens=1))
    before = tiny_engine._lockstep.evaluated
    tokens = [step.token for step in written]
    request = ask(begun=begun(*tokens), guard=0.1, sampling=sampling)
    places = examined(tiny_engine, request, AMULET)
    assert tiny_engine._lockstep.evaluated - before <= 2 * (70 + 80)
    assert len(places) == 70
    seen = []
    for step, place in some(zip(written, places, strict=True)):
        assert place.realigned[0].token == step.token
        assert step.flip == (place.pref[0].token != step.token)
        for likeliest in (place.base, place.pref):
            chances = [candidate.p for candidate in likeliest]
            assert chances == sorted(chances, reverse=True)
            assert sum(chances) <= 1.0001
            assert len(likeliest) == 5
        shown = {candidate.token: candidate.p for candidate in place.pref}
        if step.token in shown and step.logp_pref is not None:
            seen.append((shown[step.token], math.exp(step.logp_pref)))
    shown_p, measured_p = zip(*seen, strict=True)
    assert len(seen) > 35
    assert shown_p == pytest.approx(measured_p, rel=0.01)


def test_the_strength_of_each_token_counts(tiny_engine: Engine) -> None:
    tokens = reply(tiny_engine, ask(method="pref", max_tokens=12)).token_ids
    request = ask(begun=begun(*tokens), guard=0.0)
    prompted = examined(tiny_engine, request, *[1.0] * 6, 8.0)
    assert [place.realigned[0] for place in prompted[:6]] == [
        place.pref[0] for place in prompted[:6]
    ]
    assert any(place.realigned[0] != place.pref[0] for place in prompted[6:])


def test_without_a_preference_there_is_base_alone(tiny_engine: Engine) -> None:
    tokens = reply(tiny_engine, ask(preference="", max_tokens=5)).token_ids
    places = examined(tiny_engine, ask(preference="", begun=begun(*tokens)), 0.0)
    assert [place.base[0].token for place in places] == list(tokens)
    assert {place.pref for place in places} == {()}


def test_an_empty_reply_cannot_be_examined(tiny_engine: Engine) -> None:
    with pytest.raises(UsageError, match="empty"):
        tiny_engine.examine(ask(begun=begun()), (1.0,), lambda _: None)


# -- what it costs --------------------------------------------------------------------------------


def test_the_cost_of_realigning_is_told_once(default_model: Path) -> None:
    engine = Engine(Load(str(default_model), LoadOptions(context=512)), lambda _: True)
    told = [
        event
        for _ in range(2)
        for event in collect(engine, ask(max_tokens=4))
        if isinstance(event, Pace)
    ]
    assert len(told) == 1
    assert told[0].cost > 0
    engine.close()
