"""Several preferences at once, on float32 weights: one is a mix of one, and however they are
evaluated, they come to the same tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.engine.engine import Engine
from amulet_local.engine.requests import prompts_of
from amulet_local.errors import UsageError
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.alignment import MOST_FADERS, Alignment, Fader, Placement
from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.protocol.message import Message, wishing
from amulet_local.protocol.messages import Event, Examined, Load, Reply
from amulet_local.runtime.llama.model import Model
from amulet_local.strengths import LINEAR
from tests.asking import CONCISE, HOLIDAY, ask, collect, end, reply, steps
from tests.checks import some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

FORMAL = "Your answer should be formal as much as possible."
FLATTERING = "Your answer should be sycophantic as much as possible."
THREE = (Fader(CONCISE, 2.5), Fader(FORMAL, 1.5), Fader(FLATTERING, -2.0))


def mixed(*faders: Fader, **changes: object) -> Reply:
    settings: dict[str, object] = {"preference": "", "mix": faders, "guard": 0.1, "max_tokens": 40}
    return ask(**{**settings, **changes})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    return path


def engine(path: Path, **options: object) -> closing[Engine]:
    settings: dict[str, object] = {"context": 1024, "flash_attention": "off", **options}
    load = Load(str(path), LoadOptions(**settings))  # type: ignore[arg-type]
    return closing(Engine(load, lambda _: True))


# -- one preference is a mix of one ---------------------------------------------------------------


@pytest.mark.parametrize("strength", [-1.5, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("placement", ["system", "turn"])
def test_a_mix_of_one_is_that_preference(
    tiny_engine: Engine, strength: float, placement: Placement
) -> None:
    alone = ask(strength=strength, placement=placement, guard=0.1, max_tokens=40, trace=True)
    mix = mixed(Fader(CONCISE, strength), placement=placement, trace=True)
    ones, others = (steps(collect(tiny_engine, request)) for request in (alone, mix))
    assert ones == others
    assert len(ones) == 40


def test_a_muted_fader_changes_nothing_and_is_not_evaluated(path: Path) -> None:
    with engine(path) as fresh:
        two = reply(fresh, mixed(*THREE[:2]))
    with engine(path) as fresh:
        muted = msgspec.structs.replace(THREE[2], muted=True)
        three = reply(fresh, mixed(*THREE[:2], muted))
    assert three.token_ids == two.token_ids
    assert three.stats.evaluated_tokens == two.stats.evaluated_tokens
    assert three.stats.streams == two.stats.streams == 3


def test_where_all_are_muted_the_model_is_left_as_it_is(tiny_engine: Engine) -> None:
    muted = [msgspec.structs.replace(fader, muted=True) for fader in THREE]
    silent = reply(tiny_engine, mixed(*muted))
    assert silent.token_ids == reply(tiny_engine, ask(preference="", max_tokens=40)).token_ids
    assert silent.stats.streams == 1


# -- the mathematics ------------------------------------------------------------------------------


def test_a_mix_adds_what_each_preference_changes(path: Path) -> None:
    """Against logits of each prompt from streams that share nothing."""
    request = mixed(*THREE, guard=0.0, max_tokens=12, trace=True)
    with engine(path) as fresh:
        written = steps(collect(fresh, request))
    with closing(Model(str(path))) as model:
        prompts = prompts_of(request, Prompter(model.vocabulary, model.chat_template))
    rows = {
        stream: list(_rows(path, prompt, [step.token for step in written]))
        for stream, prompt in prompts.items()
    }
    assert list(rows) == [0, 1, 2, 3]
    for number, step in enumerate(some(written)):
        base, *prefs = (rows[stream][number] for stream in rows)
        differences = [pref - base for pref in prefs]
        strengths = [fader.strength for fader in THREE]
        mix = base + sum(s * d for s, d in zip(strengths, differences, strict=True))
        assert mix[step.token] > mix.max() - 0.2
        rival = int(np.argmax(np.where(np.arange(base.size) == step.token, -np.inf, base)))
        shares = [
            s * (d[step.token] - d[rival]) for s, d in zip(strengths, differences, strict=True)
        ]
        assert step.shares == pytest.approx(shares, abs=0.2)
        lead = base[step.token] - base[rival] + sum(step.shares)
        assert lead == pytest.approx(mix[step.token] - mix[rival], abs=0.3)
        assert step.strengths == tuple(strengths)
        assert step.strength == 4.0


def _rows(path: Path, prompt: list[int], tokens: list[int]) -> Iterator[NDArray[np.float64]]:
    from amulet_local.runtime.lockstep import Lockstep

    with (
        closing(Model(str(path))) as model,
        closing(Lockstep(model, LoadOptions(context=1024, flash_attention="off"), 1)) as lockstep,
    ):
        yield lockstep.prefill({0: prompt})[0].astype(np.float64)
        for token in tokens[:-1]:
            yield lockstep.advance([token])[0][0].astype(np.float64)


def test_arrangements_and_drafts_change_no_token_of_a_mix(path: Path) -> None:
    arrangements: tuple[Arrangement, ...] = ("one-context", "two-contexts")
    question = Message("user", "Say it again: one two three one two three one two three.")
    request = mixed(*THREE, messages=(question,), max_tokens=80)
    replies = []
    for arrangement, draft in itertools.product(arrangements, ("ngram", "off", str(path))):
        with engine(path, streams=arrangement, draft=draft) as loaded:
            replies.append(reply(loaded, request))
    assert [finished.stats.streams for finished in replies] == [4] * 6
    assert len({finished.token_ids for finished in replies}) == 1
    assert len(set(replies[0].token_ids)) > 5


def test_a_mix_beside_others_is_written_as_it_is_alone(tiny_engine: Engine) -> None:
    requests = [
        mixed(*THREE, id=1),
        mixed(*THREE[:2], id=2),
        ask(id=3, guard=0.1, max_tokens=40),
    ]
    alone = [reply(tiny_engine, request).token_ids for request in requests]
    events: list[Event] = []
    tiny_engine.compare(requests, events.append)
    beside = [
        tuple(step.token for step in steps(events) if step.id == request.id) for request in requests
    ]
    assert beside == alone
    assert len(set(alone)) == 3


def test_methods_of_a_mix(tiny_engine: Engine) -> None:
    """Prompting puts what it is led towards into one prompt; LA leads as far as it always does."""
    prompt = mixed(*THREE, method="pref", guard=0.0)
    both = ask(preference=f"{CONCISE} {FORMAL}", method="pref", max_tokens=40)
    assert reply(tiny_engine, prompt).token_ids == reply(tiny_engine, both).token_ids
    base = reply(tiny_engine, mixed(*THREE, method="base"))
    assert base.stats.streams == 1
    linear = steps(collect(tiny_engine, mixed(*THREE[:2], method="la")))
    assert {step.strength for step in some(linear)} == {LINEAR}
    assert linear[0].strengths == pytest.approx((2.5 / 4 * LINEAR, 1.5 / 4 * LINEAR))


def test_a_wish_beside_several_has_a_stream_as_strong_as_the_strongest(
    tiny_engine: Engine,
) -> None:
    messages = wishing((HOLIDAY,), "in lower case")
    written = collect(tiny_engine, mixed(*THREE, messages=messages, max_tokens=4))
    assert end(written).stats.streams == 5
    assert {step.strengths for step in some(steps(written))} == {(2.5, 1.5, -2.0, 2.5)}


# -- faders turned meanwhile ----------------------------------------------------------------------


@pytest.mark.parametrize("draft", ["ngram", "off"])
@pytest.mark.parametrize(
    "turned", [(1.0, 1.5, -2.0), (2.5, None, -2.0), (None, None, None), (2.5, 3.0, None)]
)
def test_a_fader_turned_or_muted_counts_from_the_next_token_on(
    path: Path, draft: str, turned: tuple[float | None, ...]
) -> None:
    with engine(path, draft=draft) as loaded:
        still = reply(loaded, mixed(*THREE)).token_ids
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if len(steps(events)) == 10:
                loaded.steer(1, turned)

        loaded.reply(mixed(*THREE), listen)
        tokens = tuple(step.token for step in steps(events))
        assert tokens[:10] == still[:10]
        faders = [
            msgspec.structs.replace(fader, strength=strength or 0.0, muted=strength is None)
            for fader, strength in zip(THREE, turned, strict=True)
        ]
        begun = Message("assistant", "", still[:10])
        resumed = reply(loaded, mixed(*faders, begun=begun, max_tokens=30, id=2))
        assert resumed.token_ids == tokens[10:]


def test_a_fader_that_is_heard_again_joins_in(path: Path) -> None:
    muted = msgspec.structs.replace(THREE[1], muted=True)
    with engine(path) as loaded:
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if len(steps(events)) == 10:
                loaded.steer(1, (2.5, 1.5, -2.0))

        loaded.reply(mixed(THREE[0], muted, THREE[2]), listen)
        written = steps(events)
        assert {step.strengths for step in written[:10]} == {(2.5, 0.0, -2.0)}
        assert {step.strengths for step in written[10:]} == {(2.5, 1.5, -2.0)}
        begun = Message("assistant", "", tuple(step.token for step in written[:10]))
        resumed = reply(loaded, mixed(*THREE, begun=begun, max_tokens=30, id=2))
        assert resumed.token_ids == tuple(step.token for step in written[10:])


# -- what it costs --------------------------------------------------------------------------------


def test_a_shared_prompt_is_evaluated_once_for_all(path: Path) -> None:
    """A tree: what all have in common, and what only some have, each once."""
    with engine(path) as loaded, closing(Model(str(path))) as model:
        prompter = Prompter(model.vocabulary, model.chat_template)
        for placement in ("system", "turn"):
            request = mixed(*THREE, placement=placement, max_tokens=1)
            prompts = prompts_of(request, prompter).values()
            prefixes = {tuple(p[: n + 1]) for p in prompts for n in range(len(p) - 1)}
            rows = len(prefixes) + len(prompts)  # the last token of each gives its logits
            with engine(path) as fresh:
                assert reply(fresh, request).stats.evaluated_tokens == rows
        del loaded


def test_a_new_fader_of_a_long_chat_evaluates_its_own_last_turn_alone(path: Path) -> None:
    words = "Tell me more about the long evenings in the harbour towns of the north. "
    chat = [Message("user" if n % 2 == 0 else "assistant", words * 6) for n in range(3)]
    with engine(path, context=2048) as loaded, closing(Model(str(path))) as model:
        prompter = Prompter(model.vocabulary, model.chat_template)

        def request(*faders: Fader) -> Reply:
            return mixed(*faders, messages=tuple(chat), placement="turn", max_tokens=8)

        reply(loaded, request(*THREE[:2]))
        added = reply(loaded, request(*THREE))
        base, *_, new = prompts_of(request(*THREE), prompter).values()
        own = len(new) - next(n for n, (a, b) in enumerate(zip(base, new, strict=False)) if a != b)
        assert added.stats.prompt_tokens > 1000
        assert added.stats.evaluated_tokens <= own + 3
        turned = msgspec.structs.replace(THREE[2], strength=-1.0)
        assert reply(loaded, request(*THREE[:2], turned)).stats.evaluated_tokens == 0


# -- looked at again, and refused -----------------------------------------------------------------


def test_a_mix_is_examined_with_the_strengths_that_it_had(tiny_engine: Engine) -> None:
    request = mixed(*THREE, max_tokens=20, trace=True)
    written = collect(tiny_engine, request)
    tokens = end(written).token_ids
    begun = msgspec.structs.replace(request, begun=Message("assistant", "", tokens), id=2)
    events: list[Event] = []
    tiny_engine.examine(begun, [step.strengths for step in steps(written)], events.append)
    places = [place for e in events if isinstance(e, Examined) for place in e.candidates]
    assert [place.realigned[0].token for place in some(places)] == list(tokens)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_strengths_that_are_no_numbers_are_refused(tiny_engine: Engine, bad: float) -> None:
    with pytest.raises(UsageError, match="must be a number"):
        reply(tiny_engine, mixed(Fader(CONCISE, bad)))


def test_a_request_cannot_have_too_many_faders_or_two_ways_to_say_one() -> None:
    many = {"mix": [{"preference": f"No. {n}"} for n in range(MOST_FADERS + 1)]}
    with pytest.raises(msgspec.ValidationError, match="mix"):
        msgspec.convert(many, Alignment)
    both = {"preference": "Be brief.", "mix": [{"preference": "Be kind."}]}
    with pytest.raises(msgspec.ValidationError, match="by itself"):
        msgspec.convert(both, Alignment)
    with pytest.raises(msgspec.ValidationError, match="mix"):
        msgspec.convert({"mix": [{"preference": "x", "strength": 1001.0}]}, Alignment)
