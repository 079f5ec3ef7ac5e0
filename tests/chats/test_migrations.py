"""Stores of other versions: older ones become the newest, newer ones are left alone."""

from __future__ import annotations

import math
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from amulet_local.chats import migrations
from amulet_local.chats.conversation import Conversation
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id
from amulet_local.chats.provenance import TokenMeasures, unpack
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.alignment import Alignment, Sampling
from tests.chats.stores import a_closed_store, found, keep, rows, titles


def test_a_store_of_a_newer_version_is_left_alone() -> None:
    path = a_closed_store()
    rows("PRAGMA user_version = 99")
    with pytest.raises(NotUsableError, match="saved by a newer Amulet"):
        History(path)
    assert rows("SELECT count(*) FROM chats") == [(20,)]


@pytest.mark.parametrize("version", range(len(migrations.STEPS)))
def test_every_version_becomes_the_newest(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", steps[:version])
    history_file().parent.mkdir(parents=True)
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        migrations.migrate(db)
        if version:
            db.execute("INSERT INTO chats (id, title, changed) VALUES ('x', 'What?', 1.0)")
            db.execute(
                """INSERT INTO messages (id, chat, role, text, token_ids, measures)
                VALUES ('00000000000000000000000001', 'x', 'user', 'What?', x'', x'')"""
            )
    monkeypatch.setattr(migrations, "STEPS", steps)
    with History(history_file()) as store:
        assert (titles(store), store.notice) == (["What?"] * bool(version), "")
        keep(store, "After.")
        assert found(store, "after") == ["After."]
        assert found(store, "what") == ["What?"] * bool(version)
        store.add(new_chat_id(), Conversation().question("Where?", "in short"))
        assert found(store, "short") == ["Where? !! in short"]
    assert rows("PRAGMA user_version") == [(len(steps),)]


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """While it is set, Ctrl+C comes whenever SQLite calls into Python."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted, plain = Event(), migrations.spaced

    def spaced(text: str) -> str:
        if wanted.is_set():
            signal.raise_signal(signal.SIGINT)
        return plain(text)

    monkeypatch.setattr(migrations, "spaced", spaced)
    yield wanted
    signal.signal(signal.SIGINT, usual)


def test_ctrl_c_during_a_migration_ends_it_and_leaves_the_store_as_it_was(
    interrupts: Event,
) -> None:
    path = history_file()
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        migrations.STEPS[0](db)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO chats (id, title, changed) VALUES ('x', 'What?', 1.0)")
        db.execute(
            """INSERT INTO messages (id, chat, role, text, token_ids, measures)
            VALUES ('00000000000000000000000001', 'x', 'user', 'What?', x'', x'')"""
        )
        db.commit()
    interrupts.set()
    for unkept in (False, True):
        with pytest.raises(KeyboardInterrupt):
            History(path, unkept=unkept)
    assert rows("PRAGMA user_version") == [(1,)]
    interrupts.clear()
    with History(path) as store:
        assert titles(store) == ["What?"]
        assert store.notice == ""
    assert not list(path.parent.glob("*damaged*"))


def test_ctrl_c_while_a_message_is_saved_waits_until_it_is(interrupts: Event) -> None:
    with History(history_file()) as store:
        chat = keep(store, "Where?")
        interrupts.set()
        with pytest.raises(KeyboardInterrupt):
            keep(store, "What?", chat=chat)
        interrupts.clear()
        assert found(store, "what") == ["What?"]
        assert store.notice == ""
    assert not list(history_file().parent.glob("*suspect*"))


def test_replies_of_before_mixes_keep_their_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """before_mixes.sql was written by the version before; all of it reads as it did."""
    steps = migrations.STEPS
    before = [step.__name__ for step in steps].index("_mixes")
    monkeypatch.setattr(migrations, "STEPS", steps[:before])
    history_file().parent.mkdir(parents=True)
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        migrations.migrate(db)
        db.executescript((Path(__file__).parent / "before_mixes.sql").read_text("utf-8"))
    monkeypatch.setattr(migrations, "STEPS", steps)
    with History(history_file()) as store:
        (entry,) = store.chats()
        _, first, _, second = store.load(entry.id).path()
    assert first.origin
    assert first.origin.preset == "concise"
    assert first.origin.alignment == Alignment(
        preference="Your answer should be concise as much as possible.",
        strength=3.0,
        guard=0.1,
        placement="turn",
        sampling=Sampling(temperature=0.5),
    )
    (fader,) = first.origin.alignment.faders
    assert (fader.preference, fader.strength) == (first.origin.alignment.preference, 3.0)
    assert unpack(first.measures) == (
        TokenMeasures(5, 3.0, 0.25, True, 2.5, -2.0, -1.0, -0.5),
        TokenMeasures(6, -1.5, 0.5, False, math.inf, -3.0, -2.5, -0.25),
    )
    assert second.origin
    assert (second.origin.wish, second.origin.alignment.strength) == ("in lower case", 2.0)
    assert second.origin.alignment.faders == ()
    assert unpack(second.measures) == (TokenMeasures(5, 2.0),)


def test_a_step_that_fails_leaves_the_store_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_closed_store()

    def fails(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE drafts")
        raise sqlite3.OperationalError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (*migrations.STEPS, fails))
        with pytest.raises(UsageError, match="no more"):
            History(path)
    with History(path) as store:
        assert store.count() == 20
        assert store.draft() == ""
