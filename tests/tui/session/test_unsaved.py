"""Saving in turn, from the session: told steps are stored before they are drawn, and a locked file
holds up nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from amulet_local.chats import saving
from amulet_local.chats.export import import_chat
from amulet_local.chats.history import History, history_file, unsaved_file
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings
from tests.checks import comes, some
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.session.sessions import MODEL, Clock, ask, hear, said
from tui.session import stored_chats
from tui.session.changes import BranchChanged, Noticed
from tui.session.session import Session
from tui.session.steering import SteeringChoice


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.setattr(saving, "_PATIENCE_S", 60.0)
    with History(history_file(), in_turn=True) as opened:
        yield opened


def begin(engine: FakeEngine, store: History) -> Session:
    session = Session(engine, store, Settings(), LoadOptions(), SteeringChoice(), Clock())
    session.load(MODEL)
    hear(session, engine)
    return session


@contextmanager
def locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another program writes to the file, which is told at once."""
    monkeypatch.setattr(saving, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(saving, "_TOLD_AFTER_S", 0.0)
    with closing(sqlite3.connect(history_file(), isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


def unlocked(store: History) -> bool:
    """Whether all is saved, before long."""
    return comes(lambda: not store.held_up)


def stored(statement: str) -> list[str]:
    with closing(sqlite3.connect(history_file())) as db:
        return [text for (text,) in db.execute(statement)]


def test_what_the_engine_told_is_stored_while_nobody_takes_its_events(store: History) -> None:
    engine = FakeEngine(["Take ", "the ", HOLD, "coast ", HOLD, "path"])
    session = begin(engine, store)
    session.ask("Where to?")
    pieces = "SELECT text FROM pieces ORDER BY number"
    assert comes(lambda: "".join(stored(pieces)) == "Take the ")
    engine.go_on()
    assert comes(lambda: "".join(stored(pieces)) == "Take the coast ")
    assert said(session) == ["Where to?", ""]
    engine.go_on()
    hear(session, engine)
    assert said(session) == ["Where to?", "Take the coast path"]
    assert comes(
        lambda: stored("SELECT text FROM messages") == ["Where to?", "Take the coast path"]
    )
    assert stored(pieces) == []


def test_a_reply_in_a_chat_that_was_left_is_stored_as_it_comes(store: History) -> None:
    engine = FakeEngine(["Take ", HOLD, "the "])
    session = begin(engine, store)
    ask(session, engine)
    session.new_chat()
    hear(session, engine)
    assert comes(lambda: stored("SELECT text FROM messages") == ["Where to?", "Take "])
    assert said(session) == []


def test_a_locked_file_holds_up_nobody_and_all_of_it_lands(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    session = begin(engine, store)
    ask(session, engine, "Before")
    with locked(monkeypatch):
        ask(session, engine, "Meanwhile")
        assert comes(lambda: store.held_up)
        assert session.status.unsaved
        assert comes(lambda: session.unsaved.news() != [])
        chat = session.chat.id
        assert stored_chats.is_open(session, chat)
        session.new_chat()
        ask(session, engine, "In another chat")
        assert BranchChanged() in session.open_chat(chat, load_presets())
        assert said(session)[::2] == ["Before", "Meanwhile"]
    assert unlocked(store)
    assert comes(lambda: Noticed(saving._LANDED, True) in session.unsaved.news())
    assert not session.status.unsaved
    questions = "SELECT text FROM messages WHERE role = 'user' ORDER BY number"
    assert stored(questions) == ["Before", "Meanwhile", "In another chat"]
    session.new_chat()
    session.open_chat(chat, load_presets())
    assert said(session)[::2] == ["Before", "Meanwhile"]


def test_a_fork_can_be_gone_on_with_while_the_file_is_locked(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    session = begin(engine, store)
    ask(session, engine, "Before")
    with locked(monkeypatch):
        session.fork(session.path[-1].id)
        ask(session, engine, "In the fork")
        assert said(session)[::2] == ["Before", "In the fork"]
    assert unlocked(store)
    assert comes(lambda: store.count() == 2)


def test_chats_that_the_store_could_not_take_are_kept_beside_it(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    session = begin(engine, store)
    with locked(monkeypatch):
        ask(session, engine, "In one chat")
        assert comes(lambda: store.held_up)
        session.new_chat()
        ask(session, engine, "In another")
        chats = [session.unsaved.open(chat.id) for chat in session.unsaved._left.values()]
        assert store.close()
        told = session.unsaved.rescue(session.chat)
    chats.append(session.chat)
    assert told == "What you saw is kept; to add it to your chats: " + " and ".join(
        f"amulet chats import {unsaved_file(chat.id)}" for chat in chats
    )
    with History(history_file()) as again:
        assert again.count() == 0
        for chat in some(chats):
            assert import_chat(again, unsaved_file(chat.id)).id == chat.id
        assert {chat.title for chat in again.chats()} == {"In one chat", "In another"}
        assert {*again.set_aside} == {unsaved_file(chat.id) for chat in chats}
        again.wipe()
        assert again.set_aside == []


def test_nothing_is_kept_beside_the_store_of_a_chat_that_is_never_stored(store: History) -> None:
    engine = FakeEngine()
    session = begin(engine, store)
    assert session.unsaved.rescue(session.chat) == ""
    session.new_chat(other=True)
    ask(session, engine, "Between us")
    assert session.temporary
    assert session.unsaved.rescue(session.chat) == ""


def test_where_the_disk_is_in_the_way_nothing_is_promised(store: History) -> None:
    engine = FakeEngine()
    session = begin(engine, store)
    ask(session, engine)
    unsaved_file(session.chat.id).mkdir()
    assert session.unsaved.rescue(session.chat) == ""
