"""Saving in turn: nobody waits for a disk or another process, and nothing is lost by that."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from amulet_local.chats import erasing, saving
from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node
from amulet_local.chats.database import Database
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_id
from amulet_local.chats.prompt_cache_files import kept_file, kept_folder
from amulet_local.chats.provenance import Origin
from amulet_local.errors import UsageError
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Stats, Step
from tests.checks import comes

ORIGIN = Origin(model="m", file="/m.gguf", seed=7, system="You help.")
STATS = Stats(1, 0, 1, 4, 0.1, 0.1, 0.1, 40.0, 5, 1)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """Saves in turn; who saves waits as long as it takes, until a test says otherwise."""
    monkeypatch.setattr(saving, "_PATIENCE_S", 60.0)
    with History(history_file(), in_turn=True) as opened:
        assert opened.in_turn
        yield opened


@pytest.fixture
def hurried(store: History, monkeypatch: pytest.MonkeyPatch) -> History:
    """The same, but nobody waits where anything is in the way, and it is told at once."""
    monkeypatch.setattr(saving, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(saving, "_TOLD_AFTER_S", 0.0)
    return store


@contextmanager
def locked() -> Iterator[None]:
    """Another program writes to the file."""
    with closing(sqlite3.connect(history_file(), isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


def stuck(store: History) -> bool:
    """Whether saving is held up, and it is known why."""
    assert store._in_turn
    return store.held_up and store._in_turn._trouble is not None


def texts() -> list[str]:
    """What the file has, as another program would see it."""
    with closing(sqlite3.connect(history_file())) as db:
        return [text for (text,) in db.execute("SELECT text FROM messages ORDER BY number")]


def pieces() -> list[str]:
    with closing(sqlite3.connect(history_file())) as db:
        return [text for (text,) in db.execute("SELECT text FROM pieces ORDER BY number")]


# -- as ever --------------------------------------------------------------------------------------


def test_what_was_saved_is_seen_by_whoever_reads_next(store: History) -> None:
    chat = Chat(store)
    for number in range(50):
        chat.ask(f"Question {number}")
        assert len(store.load(chat.id)) == number + 1
    chat.draft = "and then"
    chat.rename("Holidays")
    assert (chat.draft, store.chats()[0].title) == ("and then", "Holidays")
    assert store.news() == []
    assert not store.unsaved


def test_what_cannot_be_saved_raises_as_ever(store: History) -> None:
    chat = Chat(store)
    chat.ask("What?")
    with pytest.raises(UsageError, match="removed"):
        store.rename("nobody", "Title")
    with pytest.raises(UsageError, match="cannot be stored"):
        chat.ask("\ud800")
    assert texts() == ["What?"]
    assert store.news() == []


def test_a_disk_that_does_not_answer_is_told(
    hurried: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    begun = Database.alone

    @contextmanager
    def alone(self: Database) -> Iterator[sqlite3.Connection]:
        answers.wait(60)
        with begun(self) as db:
            yield db

    monkeypatch.setattr(Database, "alone", alone)
    Chat(hurried).ask("What?")
    assert comes(lambda: hurried.held_up)
    assert hurried.news() == [saving._SLOW]
    assert hurried.count() == 0
    answers.set()
    assert comes(lambda: hurried.news() == [saving._LANDED])
    assert texts() == ["What?"]


def test_any_thread_may_save_and_read(store: History) -> None:
    def talk() -> None:
        chat = Chat(store)
        for number in range(20):
            chat.ask(f"Question {number}")
            assert len(store.load(chat.id)) == number + 1

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 4
    assert len(texts()) == 80


# -- while another program writes -----------------------------------------------------------------


def test_nobody_waits_for_another_program_and_all_lands_in_order(hurried: History) -> None:
    chat = Chat(hurried)
    with locked():
        for number in range(5):
            chat.ask(f"Question {number}")
            chat.draft = f"draft {number}"
        reply = chat.reply(chat.conversation.leaf or "", ORIGIN)
        reply.add(Step(1, 5, "Answer", 2.0))
        reply.finish(Finished(1, "Answer", (5,), "stop", STATS))
        assert len(chat.conversation) == 6
        assert comes(lambda: stuck(hurried))
        assert hurried.news() == [saving._BUSY]
        assert hurried.unsaved
        assert hurried.chats() == []
        assert hurried.news() == []
    assert comes(lambda: hurried.news() == [saving._LANDED])
    assert not hurried.unsaved
    assert texts() == [*(f"Question {number}" for number in range(5)), "Answer"]
    told = [node.message.text for node in hurried.load(chat.id).path()]
    assert told == ["Question 4", "Answer"]
    assert hurried.draft(chat.id) == "draft 4"
    assert pieces() == []


def test_drafts_that_wait_take_each_others_place(hurried: History) -> None:
    with locked():
        hurried.save_draft("first")
        assert comes(lambda: stuck(hurried))
        for number in range(1000):
            hurried.save_draft(f"draft {number}")
        assert hurried._in_turn
        assert len(hurried._in_turn._tasks) == 2
    assert comes(lambda: not hurried.held_up)
    assert comes(lambda: hurried.draft() == "draft 999")


def test_what_fails_after_all_is_told_once(hurried: History) -> None:
    chat = Chat(hurried)
    chat.ask("What?")
    assert comes(lambda: texts() == ["What?"])
    with locked():
        hurried.save_draft("in front")
        assert comes(lambda: stuck(hurried))
        lost = Node(new_id(), new_id(), Message("user", "under nothing"))
        hurried.add(chat.id, lost)
        hurried.add(chat.id, lost)
        hurried.news()
    told: list[str] = []

    def landed() -> bool:
        told.extend(hurried.news())
        return saving._LANDED in told

    assert comes(landed)
    assert sorted(told) == sorted(
        [
            "Something could not be saved, because this chat has been removed by another Amulet; "
            "start a new one.",
            saving._LANDED,
        ]
    )


def test_a_store_that_is_closed_while_locked_says_what_is_lost(hurried: History) -> None:
    with locked():
        chat = Chat(hurried)
        chat.ask("What?")
        assert comes(lambda: stuck(hurried))
        lost = hurried.close()
    assert lost.startswith(
        "The last 2 changes could not be saved, because another program is using"
    )
    assert lost.count(". ") == 0
    assert texts() == []


def test_a_store_that_is_closed_saves_what_waits(hurried: History) -> None:
    chat = Chat(hurried)
    for number in range(200):
        chat.ask(f"Question {number}")
    assert hurried.close() == ""
    assert len(texts()) == 200


def test_a_locked_store_opens_and_is_put_in_order_later(store: History) -> None:
    question = Chat(store).ask("What?")
    store.close()
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        db.execute("UPDATE messages SET writer = '1 gone' WHERE id = ?", (question.id,))
        db.execute("BEGIN IMMEDIATE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(saving, "_PATIENCE_S", 0.0)
            again = History(history_file(), in_turn=True)
        db.execute("COMMIT")
        assert again.count() == 1

        def ended() -> bool:
            writer = "SELECT writer FROM messages"
            return bool(db.execute(writer).fetchall() == [(None,)])

        assert comes(ended)
    again.close()


# -- on a disk that refuses -----------------------------------------------------------------------


def refusing(monkeypatch: pytest.MonkeyPatch, code: int) -> Callable[[], None]:
    """Every transaction fails with this code, until the result is called."""
    begun, on = Database.alone, [True]

    @contextmanager
    def alone(self: Database) -> Iterator[sqlite3.Connection]:
        with begun(self) as db:
            if on:
                error = sqlite3.OperationalError("what SQLite says")
                error.sqlite_errorcode = code
                raise error
            yield db

    monkeypatch.setattr(Database, "alone", alone)
    return on.clear


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full: No space left on device"),
        (sqlite3.SQLITE_IOERR_WRITE, "what SQLite says"),
        (sqlite3.SQLITE_READONLY, "what SQLite says"),
    ],
)
def test_a_disk_that_refuses_is_told_and_the_chat_goes_on(
    code: int, reason: str, hurried: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(hurried)
    chat.ask("What?")
    assert comes(lambda: texts() == ["What?"])
    kept_folder().mkdir()
    kept_file(chat.id).write_bytes(b"every word of it")
    accept = refusing(monkeypatch, code)
    chat.ask("And then?")
    assert comes(lambda: stuck(hurried))
    assert hurried.news() == [saving._REFUSED.format(reason)]
    assert [chat.title for chat in hurried.chats()] == ["What?"]
    assert len(chat.conversation) == 2
    gave_way = code == sqlite3.SQLITE_FULL
    assert comes(lambda: kept_file(chat.id).exists() != gave_way)
    accept()
    assert comes(lambda: hurried.news() == [saving._LANDED])
    assert texts() == ["What?", "And then?"]


def test_what_can_be_found_out_again_gives_way_at_once(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_folder().mkdir()
    kept_file("x").write_bytes(b"every word of it")
    begun = Database.alone

    @contextmanager
    def alone(self: Database) -> Iterator[sqlite3.Connection]:
        with begun(self) as db:
            if kept_file("x").exists():
                error = sqlite3.OperationalError("full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            yield db

    monkeypatch.setattr(Database, "alone", alone)
    Chat(store).ask("What?")
    assert texts() == ["What?"]
    assert store.news() == []


def test_a_file_that_was_removed_is_told(hurried: History) -> None:
    Chat(hurried).ask("What?")
    assert comes(lambda: texts() == ["What?"])
    history_file().rename(history_file().with_name("elsewhere"))
    Chat(hurried).ask("Into nowhere")
    assert comes(lambda: stuck(hurried))
    (told,) = hurried.news()
    assert "it was removed or replaced while in use" in told
    with (
        pytest.raises(UsageError, match="put it back, or restart Amulet"),
        hurried._database.alone(),
    ):
        pass
    history_file().with_name("elsewhere").rename(history_file())
    assert comes(lambda: hurried.news() == [saving._LANDED])
    assert texts() == ["What?", "Into nowhere"]


# -- a reply as it grows --------------------------------------------------------------------------


def test_what_was_told_is_stored_without_anybody_asking_for_it(store: History) -> None:
    chat = Chat(store)
    reply = chat.reply(chat.ask("What?").id, ORIGIN)
    for text in ("Take ", "the ", "coast"):
        reply.add(Step(1, 5, text, 2.0))
        assert comes(lambda text=text: "".join(pieces()).endswith(text))  # type: ignore[misc]
    reply.add(Step(1, 5, " path", 2.0))
    reply.finish(Finished(1, "Take the coast path", (5,) * 4, "stop", STATS))
    assert texts() == ["What?", "Take the coast path"]
    assert pieces() == []


def test_a_piece_that_was_not_stored_is_stored_with_the_next(
    hurried: History,
) -> None:
    chat = Chat(hurried)
    reply = chat.reply(chat.ask("What?").id, ORIGIN)
    with locked():
        for number in range(300):
            reply.add(Step(1, 5, f"{number} ", 2.0))
            assert number < 299 or comes(lambda: stuck(hurried))
    assert comes(lambda: "".join(pieces()) == "".join(f"{number} " for number in range(300)))


def test_a_reply_that_is_taken_back_leaves_no_piece(store: History) -> None:
    chat = Chat(store)
    reply = chat.reply(chat.ask("What?").id, ORIGIN)
    reply.add(Step(1, 5, "Take ", 2.0))
    reply.discard()
    store.close()
    assert texts() == ["What?"]
    assert pieces() == []


# -- between ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_file_alone_has_everything_once_nothing_is_to_be_saved(
    store: History, tmp_path: Path
) -> None:
    log = history_file().with_name("chats.sqlite-wal")
    Chat(store).ask("What?")
    assert comes(lambda: log.stat().st_size == 0)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(history_file().read_bytes())
    with History(copy) as copied:
        assert copied.count() == 1


@pytest.mark.slow
def test_what_was_removed_long_ago_is_erased_in_time(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    with closing(sqlite3.connect(history_file())) as db:
        db.execute("PRAGMA application_id = 0")
    with History(history_file(), in_turn=True) as again:
        assert comes(lambda: not erasing.is_marked(again._database))
