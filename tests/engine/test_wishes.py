"""A wish steers the reply to its message, and is gone from what later turns read."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from amulet_local.engine.engine import Engine
from amulet_local.engine.requests import combination_of, prompts_of, strength_of
from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load, Reply
from amulet_local.protocol.voices import turned_to
from amulet_local.realignment import Combination
from amulet_local.runtime.llama.model import Model
from tests.asking import ask, reply
from tests.checks import some

pytestmark = pytest.mark.model

QUESTIONS = ("Why is the sky blue?", "Write a review of the film.", "Name three birds.")
WISH = "all in lower case, under 100 words"
PLAIN = {"preference": "", "method": "base"}


@pytest.fixture(scope="module")
def prompter(model: Model) -> Prompter:
    return Prompter(model.vocabulary, model.chat_template)


def wished(question: str, wish: str = WISH) -> Message:
    return Message("user", question, wish=wish)


@pytest.mark.parametrize("preference", ["", "Be brief."])
def test_base_reads_the_message_alone_and_pref_the_wish_with_it(
    prompter: Prompter, preference: str
) -> None:
    for question in some(QUESTIONS):
        base, pref = prompts_of(ask(wished(question), preference=preference), prompter).values()
        said = [Message("user", question)]
        assert base == prompter.prompt(DEFAULT_SYSTEM, said)
        both = [Message("user", f"{question}\n\n{WISH}")]
        assert pref == prompter.prompt(DEFAULT_SYSTEM, both, preference)


def test_later_turns_read_no_earlier_wish(prompter: Prompter) -> None:
    answer, next_question = Message("assistant", "Yes."), Message("user", "And how?")
    after = ask(wished("Why?"), answer, next_question)
    never = ask(Message("user", "Why?"), answer, next_question)
    assert prompts_of(after, prompter) == prompts_of(never, prompter)
    assert not ask(wished("Why?"), answer, next_question, preference="").steered


@pytest.mark.parametrize(
    ("changes", "streams"),
    [
        ({}, {0, 1}),
        ({"method": "base"}, {0}),
        ({"method": "base", "trace": True}, {0, 1}),
        ({"method": "pref"}, {1}),
    ],
)
def test_a_wish_alone_asks_for_the_streams_of_its_method(
    prompter: Prompter, changes: dict[str, object], streams: set[int]
) -> None:
    request = ask(wished("Why?"), preference="", **changes)
    assert prompts_of(request, prompter).keys() == streams


def test_a_wish_alone_is_followed_at_the_dial_and_guarded(model: Model) -> None:
    request: Reply = ask(wished("Why?"), preference="", strength=2.5, guard=0.1)
    assert combination_of(request, (0, 1), model.vocabulary) == Combination((2.5,), 0.1)
    assert strength_of(request) == 2.5


@pytest.mark.parametrize(
    "wish", ['Do not use the word "sky".', 'without the word "sky", no commas']
)
def test_words_to_leave_out_are_known_to_the_streams(model: Model, wish: str) -> None:
    request = ask(wished("Why?", wish), preference="", strength=2.0, guard=0.1)
    held = combination_of(request, (0, 1), model.vocabulary)
    assert [word for word, _ in held.withheld] == ["sky"]
    assert held.withholds
    turned = combination_of(turned_to(request, (1.0,)), (0, 1), model.vocabulary)
    assert not turned.withholds
    unclear = ask(wished("Why?", "nothing about the sky, or so"), preference="", strength=2.0)
    assert combination_of(unclear, (0, 1), model.vocabulary).withheld == ()


def test_a_word_to_leave_out_is_not_said_beyond_prompting(default_model: Path) -> None:
    question, wish = "Why is the sky blue?", 'Do not use the word "sky".'
    engine = Engine(Load(str(default_model), LoadOptions(context=512)), lambda _: True)
    with closing(engine):
        plain = reply(engine, ask(wished(question, ""), max_tokens=64, **PLAIN)).text
        held_back = {"preference": "", "guard": 0.1, "max_tokens": 64}
        texts = [
            reply(engine, ask(wished(question, wish), strength=s, **held_back)).text
            for s in (2.0, 3.0)
        ]
    said = re.compile(r"\bsky\b", re.IGNORECASE)
    assert said.search(plain)
    assert [said.search(text) for text in texts] == [None, None]


def test_at_strength_one_a_wish_is_what_stands_in_the_message(tiny_engine: Engine) -> None:
    for question in some(QUESTIONS):
        at_one = ask(wished(question), preference="", strength=1.0, guard=0.1, max_tokens=24)
        written = ask(Message("user", f"{question}\n\n{WISH}"), max_tokens=24, **PLAIN)
        assert reply(tiny_engine, at_one).token_ids == reply(tiny_engine, written).token_ids


def test_at_strength_zero_a_wish_is_ignored_and_beyond_one_it_counts(tiny_engine: Engine) -> None:
    ignored = ask(wished(QUESTIONS[0]), preference="", strength=0.0, max_tokens=24)
    plain = ask(Message("user", QUESTIONS[0]), max_tokens=24, **PLAIN)
    strong = ask(wished(QUESTIONS[0]), preference="", strength=6.0, max_tokens=24)
    assert reply(tiny_engine, ignored).token_ids == reply(tiny_engine, plain).token_ids
    assert reply(tiny_engine, strong).token_ids != reply(tiny_engine, plain).token_ids
    assert reply(tiny_engine, strong).stats.streams == 2
