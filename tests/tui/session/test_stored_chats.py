"""From chat to chat, and chats of the store while one of them is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.errors import UsageError
from amulet_local.presets.preset import Presets, load_presets
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Failed,
    Finished,
    Prefilling,
)
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.session.sessions import (
    MODEL,
    PRESETS,
    ask,
    begin,
    hear,
    last,
    said,
    stored,
)
from tui.session import stored_chats, versions
from tui.session.changes import (
    BranchChanged,
    ChosenModel,
    GivenBack,
    Noticed,
    Wrote,
)
from tui.session.steering import SteeringChoice

# -- from chat to chat ----------------------------------------------------------------------------


def test_a_new_chat_leaves_the_old_one_with_what_was_written() -> None:
    engine = FakeEngine(["old ", HOLD], ["new"])
    session = begin(engine)
    ask(session, engine, "a?")
    left = session.chat.id
    session.new_chat()
    assert engine.stops == 1
    assert said(session) == []
    changes = ask(session, engine, "b?")
    assert [change for change in changes if isinstance(change, Wrote)] == [Wrote("new")]
    assert said(session) == ["b?", "new"]
    assert [node.message.text for node in session.history.load(left).path()] == ["a?", "old "]
    ended = session.history.load(left).path()[-1].ending
    assert ended
    assert ended.reason == "cancelled"


def test_a_chat_is_opened_as_it_was_left_and_steered_as_its_last_reply() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 4.0))
    ask(session, engine, "a?")
    left = session.chat.id
    session.new_chat()
    session.steering = SteeringChoice()
    session.open_chat(left, load_presets())
    assert said(session) == ["a?", "A."]
    assert session.steering == SteeringChoice.to_preset(PRESETS["concise"], 4.0)
    ask(session, engine, "b?")
    assert [m.text for m in engine.requests[1].messages] == ["a?", "A.", "b?"]
    assert {request.chat for request in engine.requests} == {left}


def test_the_context_is_told_of_the_branch_that_is_read() -> None:
    engine = FakeEngine(["One."], ["Two", " words."])
    session = begin(engine)
    ask(session, engine, "a?")
    ask(session, engine, "b?")
    left, (_, _, second, _) = session.chat.id, session.path
    assert session.status.context_used == 32
    session.new_chat()
    assert session.status.context_used == 0
    session.open_chat(left, load_presets())
    assert session.status.context_used == 32
    versions.delete(session, second.id)
    assert session.status.context_used == 31


def test_a_preset_that_is_gone_steers_on_in_its_words() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 4.0))
    ask(session, engine, "a?")
    session.open_chat(session.chat.id, Presets({}, {}))
    assert session.steering.words == PRESETS["concise"].words()
    assert session.steering.strength == 4.0


def test_a_reply_that_fails_in_a_chat_that_was_left_is_over_for_the_screen_too() -> None:
    engine = FakeEngine(["old ", HOLD], ["older ", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    while not engine.events.empty():  # what the engine said to the stop does not come
        engine.events.get()
    assert session.expecting
    assert session.take(Failed("no memory.", 4, engine.requests[0].id)) == []
    assert not session.expecting
    left = session.history.load(first).path()[-1]
    assert left.message.text == "old "
    assert left.ending
    assert left.ending.reason == "died"


def test_a_reply_that_fails_before_its_first_word_leaves_nothing_in_a_chat_that_was_left() -> None:
    engine = FakeEngine([HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    while not engine.events.empty():
        engine.events.get()
    session.take(Failed("no memory.", 4, engine.requests[0].id))
    assert not session.expecting
    assert [node.message.text for node in session.history.load(first).path()] == ["a?"]


def test_what_is_read_for_a_chat_that_was_left_is_not_the_progress_of_this_one() -> None:
    engine = FakeEngine([HOLD], [HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    session.new_chat()
    session.ask("b?")
    session.take(Prefilling(30, 60))
    assert session.status.total == 0.0


def test_a_fork_goes_on_from_a_message_and_leaves_the_chat_alone() -> None:
    engine = FakeEngine(["A."], ["B."], ["C."])
    session = begin(engine)
    ask(session, engine, "a?")
    ask(session, engine, "b?")
    first = session.chat.id
    session.fork(session.path[1].id)
    assert said(session) == ["a?", "A."]
    ask(session, engine, "c?")
    assert said(session) == ["a?", "A.", "c?", "C."]
    assert [node.message.text for node in session.history.load(first).path()] == [
        "a?",
        "A.",
        "b?",
        "B.",
    ]


def test_what_waits_goes_back_to_the_user_when_the_chat_is_left() -> None:
    engine = FakeEngine(loading=(HOLD,))
    session = begin(engine)
    session.ask("a?")
    assert session.new_chat() == [GivenBack("a?"), BranchChanged(), BranchChanged()]
    assert engine.stops == 0
    assert not session.waiting


def test_when_the_app_ends_the_reply_under_way_is_kept_as_it_is() -> None:
    engine = FakeEngine(["old ", HOLD], ["new ", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    session.ask("b?")
    while not engine.events.empty():
        event = engine.events.get()
        if not isinstance(event, Finished):
            session.take(event)
    session.replies.end()
    assert [node.message.text for node in session.history.load(first).path()] == ["a?", "old "]
    assert stored(session) == ["b?", "new "]


def test_a_store_that_fails_is_told_of_once_and_the_reply_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(["a", "b", "c", HOLD])
    session = begin(engine)

    def fail(*_: object) -> None:
        raise UsageError("the disk is full.")

    monkeypatch.setattr("amulet_local.chats.chat.SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(session.history, "grow", fail)
    changes = ask(session, engine)
    told = [change for change in changes if isinstance(change, Noticed)]
    assert told == [Noticed("The reply could not be saved: the disk is full.", True)]
    assert sum(isinstance(change, Wrote) for change in changes) == 3
    monkeypatch.undo()
    session.stop()
    hear(session, engine)
    assert stored(session) == ["Where to?", "abc"]


# -- chats of the store ---------------------------------------------------------------------------


def test_a_chat_is_open_as_long_as_the_store_has_it_as_it_is_here() -> None:
    engine = FakeEngine(["A."], ["B", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    name = session.chat.id
    assert stored_chats.is_open(session, name)
    session.history.rename(name, "Another title")
    assert not stored_chats.is_open(session, name)
    session.open_chat(name, load_presets())
    assert stored_chats.is_open(session, name)
    ask(session, engine, "b?")
    session.history.rename(name, "A third title")
    assert stored_chats.is_open(session, name), "a reply is being written in it"
    session.new_chat()
    assert not stored_chats.is_open(session, name)
    session.history.remove(name)
    with pytest.raises(UsageError, match="has been removed by another Amulet"):
        stored_chats.is_open(session, name)


def test_a_message_of_another_branch_is_turned_to() -> None:
    engine = FakeEngine(["One."], ["Two."])
    session = begin(engine)
    ask(session, engine)
    first = last(session)
    versions.regenerate(session, first.id)
    hear(session, engine)
    assert versions.turn_to(session, last(session).id) == []
    assert versions.turn_to(session, first.id) == [BranchChanged()]
    assert said(session) == stored(session) == ["Where to?", "One."]
    assert versions.turn_to(session, "nowhere") == [Noticed("That message is no longer there.")]


def test_removed_chats_come_back_one_after_the_other() -> None:
    engine = FakeEngine(["A."], ["B."])
    session = begin(engine)
    names = []
    for text in ("a?", "b?"):
        session.new_chat()
        ask(session, engine, text)
        names.append(session.chat.id)
    assert stored_chats.remove(session, names[0]) == []
    assert said(session) == ["b?", "B."]
    assert stored_chats.remove(session, names[1]) == [BranchChanged()]
    assert said(session) == []
    assert session.history.chats() == []
    assert [stored_chats.bring_back(session), stored_chats.bring_back(session)] == names[::-1]
    assert stored_chats.bring_back(session) is None
    assert {chat.id for chat in session.history.chats()} == set(names)


def test_a_title_is_given_to_any_chat() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine)
    ask(session, engine, "a?")
    name = session.chat.id
    stored_chats.rename(session, name, "Mine")
    assert session.chat.title == session.history.summary(name).title == "Mine"
    session.new_chat()
    stored_chats.rename(session, name, "Theirs")
    assert (session.chat.title, session.history.summary(name).title) == ("", "Theirs")


def test_token_ids_of_another_model_are_left_out_of_what_is_asked() -> None:
    engine = FakeEngine(["By the sea."], [" And back."], ["Because."])
    session = begin(engine)
    ask(session, engine)
    session.load(ChosenModel(Path("/models/other.gguf"), "other", "Q8_0"))
    hear(session, engine)
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the sea.")
    assert last(session).message == Message("assistant", "By the sea. And back.")
    session.load(MODEL)
    hear(session, engine)
    versions.walk(session, last(session).id, -1)
    ask(session, engine, "Why?")
    assert engine.requests[2].messages[1] == Message("assistant", "By the sea.", (100,))
