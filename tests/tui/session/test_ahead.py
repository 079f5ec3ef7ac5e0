"""What is typed goes to the engine word by word, and only where it will be a message."""

from __future__ import annotations

import pytest

from amulet_local.protocol.message import Message
from amulet_local.settings import Settings
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.session.sessions import MODEL, PRESETS, ask, begin, hear
from tui.session.ahead import read_ahead, whole_words
from tui.session.session import Session
from tui.session.steering import SteeringChoice


def read(session: Session, engine: FakeEngine, typed: str) -> list[tuple[str, str, str, str]]:
    """Texts and wishes of what was read since, and of the same with one more word."""
    before = len(engine.read)
    read_ahead(session, typed)
    return [(a.text, a.wish, b.text, b.wish) for a, b in engine.read[before:]]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("What is", "What"),
        ("What is ", "What is"),
        ("  What\nis bre", "What\nis"),
        ("Wha", ""),
        ("", ""),
        (" \n", ""),
    ],
)
def test_the_last_word_may_still_grow(typed: str, words: str) -> None:
    assert whole_words(typed) == words


def test_whole_words_are_read_once_and_a_wish_apart_from_them() -> None:
    engine = FakeEngine()
    session = begin(engine)
    assert read(session, engine, "Where t") == [("Where", "", "Where x", "")]
    assert read(session, engine, "Where to") == []
    assert read(session, engine, "Where to !! in a po") == [
        ("Where to", "in a", "Where to", "in a x")
    ]
    assert read(session, engine, "W") == [("", "", "x", "")]


@pytest.mark.parametrize(
    "typed", ["", "  ", "/model big one", " /steer 2 ", "Why !! " + "so " * 2000]
)
def test_commands_and_what_no_message_can_be_are_not_read(typed: str) -> None:
    engine = FakeEngine()
    assert read(begin(engine), engine, typed) == []


def test_the_next_turn_is_read_behind_what_was_said_and_an_edited_one_in_its_place() -> None:
    engine = FakeEngine()
    session = begin(engine)
    ask(session, engine, "Where to?")
    asked: list[tuple[Message, ...]] = []
    engine.read_ahead = lambda request, more: asked.append(request.messages)  # type: ignore[method-assign]
    read_ahead(session, "And then what")
    question, answer = session.path
    read_ahead(session, "Where from now", question.id)
    read_ahead(session, "Where to?", question.id)  # it is just opened
    read_ahead(session, "By the sea now", answer.id)
    assert [[message.text for message in messages] for messages in asked] == [
        [question.message.text, answer.message.text, "And then"],
        ["Where from"],
    ]


def test_nothing_is_read_while_the_engine_is_at_anything_or_the_user_says_so() -> None:
    engine = FakeEngine(["A.", HOLD])
    session = begin(engine)
    ask(session, engine)
    assert read(session, engine, "And then ") == []
    engine.go_on()
    hear(session, engine)
    assert len(read(session, engine, "And then ")) == 1
    loading = FakeEngine(loading=(HOLD,))
    assert read(begin(loading), loading, "And then ") == []
    unwanted = FakeEngine()
    assert read(begin(unwanted, settings=Settings(read_ahead=False)), unwanted, "And then ") == []


def test_it_is_read_again_by_another_model_and_under_another_steering() -> None:
    engine = FakeEngine()
    session = begin(engine)
    assert len(read(session, engine, "Where to ")) == 1
    session.steering = SteeringChoice.to_preset(PRESETS["concise"])
    assert len(read(session, engine, "Where to ")) == 1
    session.load(MODEL)
    hear(session, engine)
    assert len(read(session, engine, "Where to ")) == 1
