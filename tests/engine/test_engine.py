"""The engine: methods, turns, limits, and the paper's promise.

On the default model, whose weights are quantised, near-ties fall as the processor rounds. So only
what holds for any reply, or for most of many, is claimed there; which tokens come, on a tiny model
of float32 weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.engine.engine import Engine
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.evaluation.questions import bundled_questions
from amulet_local.generation.decoding import Decoded
from amulet_local.generation.reply import GrowingReply
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import KvType, LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Finished, Load, Notice, Prefilling, Step
from amulet_local.realignment import log_softmax
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.strengths import AMULET
from tests.asking import HOLIDAY, ask, collect, end, reply, steps
from tests.checks import some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def engine(default_model: Path) -> Iterator[Engine]:
    loaded = Engine(Load(str(default_model), LoadOptions(context=512)), lambda _: True)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def tiny_512(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """It never ends a reply by itself."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    with closing(Engine(Load(str(path), LoadOptions(context=512)), lambda _: True)) as loaded:
        yield loaded


def test_amulet_makes_it_concise_where_the_prompt_alone_does_not(engine: Engine) -> None:
    """Of twenty replies, about half have ended after 12 tokens; of prompted ones, none."""
    ended = {"amulet": 0, "pref": 0}
    for question in bundled_questions()[:20]:
        for method in ended:  # prompting has then been read already
            request = ask(Message("user", question.question), method=method, max_tokens=12)
            ended[method] += reply(engine, request).reason == "stop"
    assert ended["amulet"] >= 5
    assert ended["pref"] <= 2


def test_methods_are_points_of_the_dial(tiny_engine: Engine) -> None:
    for method, strength in (("base", 0.0), ("pref", 1.0), ("la", 3.0)):
        named = reply(tiny_engine, ask(method=method, max_tokens=24))
        dialled = reply(tiny_engine, ask(strength=strength, max_tokens=24))
        assert named.token_ids == dialled.token_ids
    for method, streams in (("base", 1), ("pref", 1), ("amulet", 2)):
        assert reply(tiny_engine, ask(method=method, max_tokens=1)).stats.streams == streams


def test_without_a_preference_there_is_nothing_to_realign(tiny_engine: Engine) -> None:
    plain = reply(tiny_engine, ask(preference="", max_tokens=16))
    assert plain.stats.streams == 1
    assert plain.token_ids == reply(tiny_engine, ask(method="base", max_tokens=16)).token_ids


def test_events_come_in_order_and_steps_spell_the_reply(engine: Engine) -> None:
    events = collect(engine, ask(max_tokens=20))
    assert isinstance(events[0], Prefilling)
    finished = end(events)
    assert not steps(events[events.index(finished) :])
    assert "".join(step.text for step in steps(events)) == finished.text
    assert tuple(step.token for step in steps(events)) == finished.token_ids


def test_the_same_seed_writes_the_same_reply(tiny_engine: Engine) -> None:
    def drawn(seed: int) -> tuple[int, ...]:
        warm = ask(sampling=Sampling(temperature=1.2), seed=seed, max_tokens=24)
        return reply(tiny_engine, warm).token_ids

    assert drawn(5) == drawn(5)
    assert drawn(6) != drawn(5)


def test_the_next_turn_evaluates_only_what_is_new(engine: Engine) -> None:
    first = reply(engine, ask(max_tokens=24))
    answer = Message("assistant", first.text, first.token_ids)
    second = reply(engine, ask(HOLIDAY, answer, Message("user", "Why?"), max_tokens=8))
    assert second.stats.evaluated_tokens < 2 * 20  # the question and its control tokens
    assert second.stats.cached_tokens > first.stats.prompt_tokens


def test_a_chat_that_is_opened_again_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    load = Load(str(path), LoadOptions(context=1024, flash_attention="off"))
    long = Message("user", "Summarise this: " + "The ferry leaves at seven. " * 12)
    request = ask(long, chat="ferry", max_tokens=4)
    first = Engine(load, lambda _: True)
    written = reply(first, request)
    assert reply(first, ask(chat="other", max_tokens=4)).stats.evaluated_tokens > 20
    assert reply(first, request).stats.evaluated_tokens <= 2  # switched back
    first.close()
    second = Engine(load, lambda _: True)
    again = reply(second, request)  # after a restart
    assert again.stats.evaluated_tokens == 2
    assert again.token_ids == written.token_ids
    second.close()


def test_measures_come_only_where_asked_for(tiny_engine: Engine) -> None:
    traced = some(steps(collect(tiny_engine, ask(trace=True, max_tokens=12))))
    assert None not in {measure for step in traced for measure in (step.shift, step.logp_base)}
    flips = [step.flip for step in traced]
    assert True in flips
    assert flips == [step.flip_strength < AMULET for step in traced]  # type: ignore[operator]
    untraced = some(steps(collect(tiny_engine, ask(max_tokens=12))))
    assert {measure for step in untraced for measure in (step.shift, step.logp_base)} == {None}


def test_traced_and_untraced_replies_are_the_same(tiny_engine: Engine) -> None:
    for method in ("base", "pref", "amulet"):
        plain = reply(tiny_engine, ask(method=method, max_tokens=16))
        assert (
            reply(tiny_engine, ask(method=method, max_tokens=16, trace=True)).token_ids
            == plain.token_ids
        )


def test_the_guard_leaves_only_what_the_preference_finds_plausible(tiny_engine: Engine) -> None:
    greedy = reply(tiny_engine, ask(method="pref", max_tokens=24))
    assert reply(tiny_engine, ask(guard=1.0, max_tokens=24)).token_ids == greedy.token_ids


def test_a_stop_string_ends_the_reply_and_is_not_part_of_it(tiny_engine: Engine) -> None:
    whole = reply(tiny_engine, ask(method="pref"))
    stop = whole.text[20:23]
    cut = reply(tiny_engine, ask(method="pref", stop=(stop,)))
    assert cut.reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert whole.token_ids[: len(cut.token_ids)] == cut.token_ids


def test_a_reply_can_be_stopped_and_the_next_one_is_fine(tiny_engine: Engine) -> None:
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if len(steps(events)) == 5:
            tiny_engine.stop()

    tiny_engine.reply(ask(method="base"), listen)
    tiny_engine.resume()
    finished = end(events)
    assert finished.reason == "cancelled"
    assert len(finished.token_ids) == 5
    assert reply(tiny_engine, ask(max_tokens=4)).reason != "cancelled"


def test_when_the_context_is_full_the_oldest_turns_go_and_the_user_is_told(
    tiny_512: Engine,
) -> None:
    chat: list[Message] = []
    for i in range(12):
        chat += [
            Message("user", f"Question {i}? " + "word " * 20),
            Message("assistant", f"Answer {i}."),
        ]
    events = collect(tiny_512, ask(*chat, Message("user", "And now?"), max_tokens=16))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "oldest" in notices[0]
    finished = end(events)
    assert finished.stats.context_tokens < 512
    answer = Message("assistant", finished.text, finished.token_ids)
    more = [*chat, Message("user", "And now?"), answer, Message("user", "Why?")]
    events = collect(tiny_512, ask(*more, max_tokens=8))
    assert not [event for event in events if isinstance(event, Notice)]
    finished = end(events)
    assert finished.stats.evaluated_tokens < 60  # the same turns are left out as before


def test_a_reply_that_fills_the_context_goes_on_without_the_oldest_turns(
    tiny_512: Engine,
) -> None:
    chat = [Message("user", "Tell me. " + "word " * 25), Message("assistant", "Yes.")]
    request = ask(*chat, Message("user", "And?"), method="base", max_tokens=400, stop=())
    events = collect(tiny_512, request)
    finished = end(events)
    assert finished.reason == "length"
    (told,) = [place for place, event in enumerate(events) if isinstance(event, Notice)]
    assert len(steps(events[:told])) > 100
    assert len(steps(events[told:])) > 100
    assert finished.stats.prompt_tokens + len(finished.token_ids) == 513  # no room for the last
    assert finished.stats.context_tokens == 512


def test_a_message_longer_than_the_context_is_refused(engine: Engine) -> None:
    with pytest.raises(UsageError, match="the context only holds 512"):
        reply(engine, ask(Message("user", "word " * 600)))


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_no_number_is_refused(engine: Engine, strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        reply(engine, ask(strength=strength))


@pytest.mark.parametrize(
    "messages",
    [(), (Message("assistant", "a"),), (HOLIDAY, HOLIDAY), (HOLIDAY, Message("assistant", "a"))],
)
def test_a_chat_that_does_not_alternate_is_refused(
    engine: Engine, messages: tuple[Message, ...]
) -> None:
    with pytest.raises(UsageError, match="alternate"):
        reply(engine, ask(messages=messages))


def test_a_load_can_be_cancelled(default_model: Path) -> None:
    with pytest.raises(AbortedError):
        Engine(Load(str(default_model)), lambda fraction: fraction < 0.5)


def test_a_file_llama_cpp_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("just some notes")
    with pytest.raises(NotUsableError, match=r"notes\.gguf could not be loaded \(.*magic"):
        Engine(Load(str(path)), lambda _: True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (LoadOptions(context=256, gpu_layers=5), "cannot use a GPU"),
        (LoadOptions(context=9000), "trained for a context of 8,192"),
    ],
)
def test_what_the_user_should_know_about_a_load_is_said(
    default_model: Path, options: LoadOptions, says: str
) -> None:
    engine = Engine(Load(str(default_model), options), lambda _: True)
    assert any(says in notice for notice in engine.notices())
    engine.close()


def test_the_card_says_what_was_loaded(engine: Engine) -> None:
    card = engine.card()
    assert card.model == "SmolLM2-135M-Instruct.Q4_1"
    assert (card.context, card.vocabulary, card.layers) == (512, 49152, 31)
    assert card.template
    assert card.can_rewind


def test_a_quantised_kv_cache_says_nearly_the_same(model: Model) -> None:
    """Behind every token of a text, in nats; q4_0 shows what it would be to say something else."""
    text = model.vocabulary.tokenize(
        "A walking holiday needs a path that suits your legs, a bed at the end of each day, dry "
        "socks, a map, and company that walks at your pace. Go in spring or in autumn."
    )
    half = len(text) // 2  # a block that is read at once is no longer than this

    def rows(kv_type: KvType) -> list[NDArray[np.floating[Any]]]:
        options = LoadOptions(context=256, flash_attention="on", kv_type=kv_type)
        with closing(Lockstep(model, options, streams=1)) as lockstep:
            lockstep.prefill({0: text[:half]})
            return [log_softmax(row.astype(np.float64)) for (row,) in lockstep.advance(text[half:])]

    def divergence(kv_type: KvType) -> float:
        """The mean of KL(f16 || kv_type)."""
        pairs = zip(float_rows, rows(kv_type), strict=True)
        return float(np.mean([(np.exp(p) * (p - q)).sum() for p, q in pairs]))

    float_rows = rows("f16")
    assert len(float_rows) >= 20
    assert divergence("q8_0") < 0.02 < divergence("q4_0")


def test_a_quantised_kv_cache_without_flash_attention_is_refused(default_model: Path) -> None:
    options = LoadOptions(kv_type="q8_0", flash_attention="off")
    with pytest.raises(UsageError, match="flash attention"):
        Engine(Load(str(default_model), options), lambda _: True)


def test_a_file_that_changed_while_in_use_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    engine = Engine(Load(str(path), LoadOptions(context=1024)), lambda _: True)
    os.utime(path, ns=(1, 1))
    with pytest.raises(NotUsableError, match="changed while in use; choose the model again"):
        reply(engine, ask())
    other = tmp_path / "other.gguf"
    write_llama(other, seed=1)
    other.replace(path)  # what was loaded is still there, without a name
    assert reply(engine, ask(max_tokens=2)).token_ids
    engine.close()


def test_a_thought_is_told_apart_from_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    model = Model(str(path))
    events: list[Event] = []
    text = b"<think>or ride?</think>\n\nWalk."
    with closing(GrowingReply(ask(), model.vocabulary, (), 1.0, events.append)) as growing:
        for byte in text:
            growing.take(Decoded(byte, (), None))
        growing.finish("stop")
    model.close()
    told = [event for event in events if isinstance(event, Step)]
    assert "".join(step.thought for step in told) == "or ride?"
    assert "".join(step.text for step in told) == "Walk."
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.text, finished.thought) == ("Walk.", "or ride?")
    assert bytes(finished.token_ids) == b"Walk."
    assert finished.stats.tokens == len(text)
