"""Versions of messages: answered again, edited, continued, deleted, undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from amulet_local.chats.conversation import Node
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Failed,
)
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.session.sessions import (
    MODEL,
    ask,
    begin,
    hear,
    last,
    said,
    stored,
)
from tui.session import versions
from tui.session.changes import (
    BranchChanged,
    Change,
    GivenBack,
    Noticed,
)
from tui.session.session import BUSY, Session


def answers(session: Session, node: Node) -> list[str]:
    return [other.message.text for other in session.chat.conversation.siblings(node.id)]


def test_a_question_is_answered_once_more_and_both_answers_stay() -> None:
    engine = FakeEngine(["One."], ["Two."])
    session = begin(engine)
    ask(session, engine)
    versions.regenerate(session, last(session).id)
    hear(session, engine)
    assert said(session) == ["Where to?", "Two."]
    assert answers(session, last(session)) == ["One.", "Two."]
    assert [m.text for m in engine.requests[1].messages] == ["Where to?"]
    assert versions.walk(session, last(session).id, -1) == [BranchChanged()]
    assert said(session) == stored(session) == ["Where to?", "One."]
    versions.undo(session)
    assert said(session) == ["Where to?", "Two."]


def test_an_edited_question_is_answered_and_the_old_branch_stays() -> None:
    engine = FakeEngine(["One."], ["Two."], ["Three."])
    session = begin(engine)
    for text in ("a?", "b?"):
        ask(session, engine, text)
    versions.edit(session, session.path[0].id, "c?")
    hear(session, engine)
    assert said(session) == stored(session) == ["c?", "Three."]
    versions.walk(session, session.path[0].id, -1)
    assert said(session) == ["a?", "One.", "b?", "Two."]


def test_an_edited_reply_stands_beside_the_old_and_can_be_continued() -> None:
    engine = FakeEngine(["By the road."], [" and back."])
    session = begin(engine)
    ask(session, engine)
    versions.edit(session, last(session).id, "By the sea")
    assert said(session) == ["Where to?", "By the sea"]
    assert last(session).origin is None
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the sea")
    assert said(session) == stored(session) == ["Where to?", "By the sea and back."]
    assert answers(session, last(session)) == [
        "By the road.",
        "By the sea",
        "By the sea and back.",
    ]


def test_a_stopped_reply_is_continued_from_its_tokens() -> None:
    engine = FakeEngine(["By ", "the ", HOLD], ["sea."])
    session = begin(engine)
    ask(session, engine)
    session.stop()
    hear(session, engine)
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the ", (100, 101))
    assert last(session).message == Message("assistant", "By the sea.", (100, 101, 100))


def test_an_answer_that_comes_to_nothing_leaves_the_one_there_was() -> None:
    engine = FakeEngine(["One."], [Failed("no.", 2, id=2)], [HOLD])
    session = begin(engine)
    ask(session, engine)
    for _ in range(2):
        versions.regenerate(session, last(session).id)
        hear(session, engine)
        session.stop()
        changes = hear(session, engine)
        assert GivenBack("Where to?") not in changes
        assert said(session) == stored(session) == ["Where to?", "One."]


def test_a_deleted_message_can_be_brought_back() -> None:
    engine = FakeEngine(["One."])
    session = begin(engine)
    ask(session, engine)
    versions.delete(session, session.path[0].id)
    assert said(session) == stored(session) == []
    versions.undo(session)
    assert said(session) == stored(session) == ["Where to?", "One."]
    assert versions.undo(session) == [Noticed("There is nothing to undo.")]


@pytest.mark.parametrize("act", ["regenerate", "delete", "go_on", "undo", "load"])
def test_while_a_reply_is_written_the_branch_stays(act: str) -> None:
    engine = FakeEngine(["One", HOLD])
    session = begin(engine)
    ask(session, engine)
    node = session.path[0]
    acts: dict[str, Callable[[], list[Change]]] = {
        "regenerate": lambda: versions.regenerate(session, node.id),
        "delete": lambda: versions.delete(session, node.id),
        "go_on": lambda: versions.go_on(session, node),
        "undo": lambda: versions.undo(session),
        "load": lambda: session.load(MODEL),
    }
    assert acts[act]() == [Noticed(BUSY)]
    assert said(session)[0] == "Where to?"
