"""Stores of other versions: older ones become the newest, newer ones are left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from amulet_local.chats import migrations
from amulet_local.chats.conversation import Conversation
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id
from amulet_local.errors import NotUsableError, UsageError
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
                VALUES ('m', 'x', 'user', 'What?', '', '')"""
            )
    monkeypatch.setattr(migrations, "STEPS", steps)
    with History(history_file()) as store:
        assert titles(store) == ["What?"] * bool(version)
        keep(store, "After.")
        assert found(store, "after") == ["After."]
        assert found(store, "what") == ["What?"] * bool(version)
        store.add(new_chat_id(), Conversation().question("Where?", "in short"))
        assert found(store, "short") == ["Where? !! in short"]
    assert rows("PRAGMA user_version") == [(len(steps),)]


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
