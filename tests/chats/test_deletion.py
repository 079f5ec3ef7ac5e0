"""What is deleted is gone: after it, no byte under the folders of Amulet tells of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from amulet_local import settings
from amulet_local.chats import cleanup, connecting, database, erasing, migrations
from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node, Thought
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_id
from amulet_local.chats.prompt_cache_files import kept_file, kept_folder
from amulet_local.chats.provenance import Ending, Origin
from amulet_local.chats.votes import Choice
from amulet_local.files import part_of
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Step
from tests.checks import some
from tests.cli.conftest import Amulet
from tests.cli.conftest import amulet as amulet  # the fixture

WORD = "zyxwvmarkqtoken"
# The index of words leaves out how a word begins where the one before it begins alike.
FOUND_BY = WORD[3:].encode()
ORIGIN = Origin(model="m", file="/m.gguf", seed=7, system="You help.")


@pytest.fixture
def store(home: Path) -> Iterator[History]:
    with History(history_file()) as opened:
        for number in range(30):  # so that the index has segments, and pages have neighbours
            Chat(opened).ask(f"Question {number} of other chats, with words {number} like any")
        yield opened


def telling(home: Path) -> list[str]:
    """Files that hold the word, in any case."""
    files = some(path for path in home.rglob("*") if path.is_file())
    return sorted(path.name for path in files if FOUND_BY in path.read_bytes().lower())


def a_chat(store: History) -> Chat:
    """A chat with the word wherever one can stand."""
    chat = Chat(store)
    question = chat.ask(f"{WORD} and {WORD.upper()} in the title, " + f"long {WORD} " * 3000)
    growing = chat.reply(question.id, ORIGIN, clock=lambda: 0.0)
    growing.add(Step(1, 5, WORD, 2.0, thought=WORD))
    growing.break_off()
    answer = Node(new_id(), question.id, Message("assistant", WORD, (1, 2)), ORIGIN)
    chat.adopt(replace(answer, ending=Ending("stop"), thought=Thought(WORD)))
    chat.edit(question.id, f"Edited {WORD}")
    chat.draft = f"Draft {WORD}"
    chat.draft = f"Draft {WORD} went on"
    chat.rename(f"Renamed {WORD}")
    kept_folder().mkdir(parents=True, exist_ok=True)
    kept_file(chat.id).write_bytes(WORD.encode())
    part_of(kept_file(chat.id)).write_bytes(WORD.encode())
    return chat


def test_a_chat_that_is_destroyed_leaves_no_byte(store: History, home: Path) -> None:
    chat = a_chat(store)
    assert {"chats.sqlite-wal", f"{chat.id}.kv"} <= set(telling(home))
    store.destroy(chat.id)
    assert telling(home) == []
    assert store.count() == 30
    store.close()
    assert telling(home) == []


def test_the_command_leaves_no_byte(store: History, home: Path, amulet: Amulet) -> None:
    chat = a_chat(store)
    store.close()
    assert "chats.sqlite" in telling(home)
    assert amulet("chats", "remove", chat.id, "--yes").code == 0
    assert telling(home) == []


def test_a_damaged_file_that_may_have_it_too_is_told(store: History, amulet: Amulet) -> None:
    chat = a_chat(store)
    aside = settings.data_folder() / "chats-damaged-20250101-000000-000000.sqlite"
    aside.touch()
    assert str(aside) in amulet("chats", "remove", chat.id, "--yes").err


def test_what_goes_after_a_month_leaves_no_byte(
    store: History, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, cut = a_chat(store), Chat(store)
    cut.ask("This stays")
    cut.delete(cut.edit(cut.ask("so").id, f"and {WORD} goes").id)
    store.remove(chat.id)
    store.close()
    assert "chats.sqlite" in telling(home)
    monkeypatch.setattr(cleanup, "KEPT_S", -1.0)
    with History(history_file()) as again:
        assert telling(home) == []
        assert again.count() == 31


def test_a_draft_that_was_sent_or_dropped_is_in_no_file_once_the_store_is_closed(
    store: History, home: Path
) -> None:
    chat = Chat(store)
    for text in (WORD, f"{WORD} more", ""):
        chat.draft = text
    store.close()
    assert telling(home) == []


@pytest.mark.parametrize("way", ["reply", "question"])
def test_what_came_to_nothing_is_in_no_file_once_the_store_is_closed(
    way: str, store: History, home: Path
) -> None:
    chat = Chat(store)
    question = chat.ask("What?" if way == "reply" else WORD)
    growing = chat.reply(question.id, ORIGIN, clock=lambda: 0.0)
    growing.add(Step(1, 5, WORD, 2.0))
    growing.discard()
    chat.take_back(question.id)
    store.close()
    assert telling(home) == []


def test_the_pages_of_earlier_versions_are_cleaned_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_before(path: Path) -> sqlite3.Connection:
        db = connecting.connect(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA foreign_keys = ON")
        migrations.migrate(db)
        return db

    removed, kept = new_id(), new_id()
    history_file().parent.mkdir(parents=True)
    with closing(as_before(history_file())) as db:
        for name, text in ((removed, f"{WORD} " * 500), (kept, "stays " * 500)):
            db.execute("INSERT INTO chats (id, title, changed) VALUES (?, 'T', 1.0)", (name,))
            db.execute(
                """INSERT INTO messages (id, chat, role, text, token_ids, measures)
                VALUES (?1, ?1, 'user', ?2, x'', x'')""",
                (name, text),
            )
        db.execute("DELETE FROM chats WHERE id = ?", (removed,))
    assert telling(home) == ["chats.sqlite"]
    with History(history_file()) as store:
        assert telling(home) == []
        assert [chat.id for chat in store.chats()] == [kept]
        assert len(store.search("stays")) == 1
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "erase", lambda *_: pytest.fail("erased again"))
        History(history_file()).close()


def test_a_file_gets_smaller_when_much_is_removed(store: History) -> None:
    chat = Chat(store)
    chat.ask("long " * 200_000)
    with store._database.reading() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = history_file().stat().st_size
    store.destroy(chat.id)
    assert history_file().stat().st_size < before - 900_000


# -- everything at once ---------------------------------------------------------------------------


@pytest.fixture
def full(store: History, home: Path) -> History:
    """A store with traces of every kind, and files of the user's own beside it."""
    chat = a_chat(store)
    Chat(store).draft = f"New {WORD}"
    store.remove(chat.id)
    store.votes.add("m", [Choice("mine", 1.0), Choice("mine", 2.0)], 1)
    for name in ("engine.log", "app.log"):
        settings.log_folder().mkdir(parents=True, exist_ok=True)
        (settings.log_folder() / name).write_text(f"something about {WORD}")
    for name in ("chats-damaged-20250101-000000-000000.sqlite", "chats.suspect"):
        (settings.data_folder() / name).write_text(WORD)
    settings.config_folder().mkdir()
    (settings.config_folder() / "config.toml").write_text("thinking = true")
    return store


def test_wiping_leaves_no_byte_of_any_chat(full: History, home: Path, amulet: Amulet) -> None:
    a_chat(full)
    assert len(telling(home)) >= 5
    result = amulet("chats", "wipe", "--yes", "--json")
    assert (result.code, result.document) == (0, {"removed": 31, "clean": True})
    assert telling(home) == []
    assert list(kept_folder().iterdir()) == []
    assert (settings.config_folder() / "config.toml").exists()
    assert full.count() == 0
    assert full.votes.tally("m", "mine").votes == 1
    Chat(full).ask("A new life")
    assert len(full.search("new life")) == 1


def test_wiping_asks_first(full: History, home: Path, amulet: Amulet) -> None:
    result = amulet("chats", "wipe", piped=b"")
    assert result.code == 2
    assert "--yes" in result.err
    result = amulet("chats", "wipe", stdin=_keyboard(b"n\n"))
    assert (result.code, result.out) == (0, "Nothing was removed.\n")
    assert full.count() == 30
    result = amulet("chats", "wipe", stdin=_keyboard(b"y\n"))
    assert result.out == "Removed all 30 chats, and everything kept about them.\n"
    assert telling(home) == []


def _keyboard(typed: bytes) -> object:
    import io

    from tests.cli.conftest import Keyboard

    return Keyboard(io.BytesIO(typed))


def test_what_another_window_holds_on_to_is_told(
    full: History, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM chats").fetchall()
        result = amulet("chats", "wipe", "--yes")
    assert result.code == 0
    assert "close every other Amulet" in result.err
