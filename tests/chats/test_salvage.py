"""A damaged file costs what is on its damaged pages, and what SQLite cannot read is read anyway."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from amulet_local.chats import migrations, repair, salvage
from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History, history_file
from amulet_local.chats.pages import Pages
from amulet_local.chats.provenance import Origin
from amulet_local.chats.salvage import LOST
from amulet_local.chats.votes import Choice
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.messages import Step
from tests.checks import some

pytestmark = pytest.mark.slow

ORIGIN = Origin(model="m", file="/m.gguf", seed=7, system="You help.")
CHATS = 150
PAGE = 4096


def fill(store: History, chats: int = CHATS) -> None:
    """Chats with a question of any length, and two replies."""
    for number in range(chats):
        chat = Chat(store)
        question = chat.ask(f"Question {number} " + "of many words " * (number * 7 % 900))
        for _ in range(2):
            reply = chat.reply(question.id, ORIGIN, clock=lambda: 0.0)
            reply.add(Step(1, 5, f"Answer {number}", 2.0))
            reply.break_off()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of many chats."""
    path = tmp_path_factory.mktemp("sound") / "chats.sqlite"
    with History(path) as store:
        fill(store)
    return path.read_bytes()


@pytest.fixture
def path(sound: bytes) -> Path:
    history_file().parent.mkdir(parents=True)
    history_file().write_bytes(sound)
    return history_file()


def rows(statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        db.create_function("spaced", 1, migrations.spaced, deterministic=True)
        return db.execute(statement, values).fetchall()


def all_can_be_opened(store: History) -> bool:
    return all(len(store.load(chat.id)) for chat in some(store.chats(limit=10_000)))


# -- pages ----------------------------------------------------------------------------------------


def leaves(path: Path) -> list[int]:
    pages = Pages(path)
    return [n for n in range(2, pages.count + 1) if any(len(r) > 4 for _, r in pages.rows_on(n))]


def test_one_damaged_page_costs_what_is_on_it(path: Path) -> None:
    numbers = leaves(path)
    for page in some(random.Random(1).sample(numbers, 4)):
        damaged = bytearray(path.read_bytes())
        damaged[(page - 1) * PAGE : page * PAGE] = random.Random(page).randbytes(PAGE)
        copy = path.parent / f"{page}" / "chats.sqlite"
        copy.parent.mkdir()
        copy.write_bytes(damaged)
        with History(copy) as store:
            assert "messages in" in store.notice
            assert "were recovered" in store.notice
            assert store.count() > CHATS - 40
            assert all_can_be_opened(store)
            assert len(store.search("question", limit=1000)) > CHATS - 40


def test_a_lost_head_costs_nothing(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(PAGE))
    with History(path) as store:
        assert f"{3 * CHATS:,} messages in {CHATS} chats were recovered" in store.notice
        assert store.count() == CHATS
        assert all_can_be_opened(store)


@pytest.mark.parametrize("size", [512, 1 << 15])
def test_a_head_that_lies_about_the_size_of_pages_costs_nothing(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(16)
        file.write(size.to_bytes(2, "big"))
    with History(path) as store:
        assert f"{3 * CHATS:,} messages in {CHATS} chats were recovered" in store.notice
        assert all_can_be_opened(store)


def test_what_is_in_the_log_is_recovered_too(path: Path) -> None:
    with History(path) as store:
        chat = Chat(store)
        chat.ask("The newest of all")
        assert path.with_name("chats.sqlite-wal").stat().st_size > 0
        copy = path.parent / "copy" / "chats.sqlite"
        copy.parent.mkdir()
        for end in ("", "-wal"):
            shutil.copy(path.with_name(path.name + end), copy.with_name(copy.name + end))
    with copy.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 30)
        file.seek(5 * PAGE)
        file.write(b"\xff" * PAGE)
    log = copy.with_name("chats.sqlite-wal")
    log.write_bytes(log.read_bytes().replace(b"CREATE TABLE", b"CREATE ELBAT"))
    with closing(sqlite3.connect(":memory:")) as db:
        db.isolation_level = None
        migrations.migrate(db)
        assert salvage.salvage(copy, db).messages > 3 * CHATS - 60
        found = db.execute("SELECT text FROM messages WHERE text = 'The newest of all'").fetchall()
    assert len(found) == 1


def test_the_bytes_are_those_that_sqlite_sees(path: Path) -> None:
    with History(path) as store:
        store._database._db.execute("PRAGMA wal_autocheckpoint = 0")
        fill(store, 40)
        store.rename(store.chats()[0].id, "Renamed in the log")
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(Pages(path).whole())
            for table in ("chats", "messages", "found_data"):
                ours = db.execute(f"SELECT * FROM {table}").fetchall()
                assert ours == some(rows(f"SELECT * FROM {table}"))


def test_a_log_that_was_cut_off_is_read_up_to_its_last_whole_transaction(path: Path) -> None:
    log = path.with_name("chats.sqlite-wal")
    with History(path) as store:
        for number in range(6):
            store.save_draft(f"draft {number}")
        whole, body = log.read_bytes(), path.read_bytes()
    path.write_bytes(body)
    seen = set()
    for end in some([*range(0, len(whole), 1021), len(whole)]):
        log.write_bytes(whole[:end])
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(Pages(path).whole())
            seen.update(db.execute("SELECT text FROM drafts").fetchall() or [None])
    assert seen == {None, *((f"draft {number}",) for number in range(6))}


@pytest.mark.parametrize("size", [0, 1, 99, 100, 511, 4095])
def test_a_file_that_is_next_to_nothing_has_no_rows(size: int, tmp_path: Path) -> None:
    path = tmp_path / "chats.sqlite"
    path.write_bytes(bytes([255]) * size)
    assert list(Pages(path).rows()) == []


def test_bits_that_flip_anywhere_end_in_nothing_but_fewer_rows(
    sound: bytes, tmp_path: Path
) -> None:
    chance, body = random.Random(5), sound[: 60 * PAGE]
    for number in some(range(20)):
        damaged = bytearray(body)
        for _ in range(200):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(damaged)
        with closing(sqlite3.connect(":memory:")) as db:
            db.isolation_level = None
            migrations.migrate(db)
            assert salvage.salvage(path, db).messages > 0


# -- what is put together -------------------------------------------------------------------------


def test_every_table_is_recovered(home: Path) -> None:
    with History(history_file()) as store:
        chat = Chat(store)
        question = chat.ask("What of it?")
        reply = chat.reply(question.id, ORIGIN, clock=lambda: 0.0)
        reply.add(Step(1, 5, "It grows", 2.0))
        chat.draft = "and then"
        gone = Chat(store)
        gone.ask("Deleted, and to stay so")
        store.remove(gone.id)
        store.votes.add("m", [Choice("p", 1.0), Choice("p", 2.0)], 1)
        with History(None) as other:
            salvage.salvage(history_file(), other._database._db)
            assert [each.id for each in other.chats()] == [chat.id]
            assert [n.message.text for n in other.load(chat.id).path()] == [
                "What of it?",
                "It grows",
            ]
            assert other.load(chat.id).path()[1].origin == ORIGIN
            assert other.draft(chat.id) == "and then"
            other.bring_back(gone.id)
            assert other.count() == 2
            assert other.votes.tally("m", "p").votes == 1


def test_what_a_lost_row_leaves_can_be_read(home: Path) -> None:
    with History(history_file()) as store:
        chat, other = Chat(store), Chat(store)
        for each in (chat, other):
            question = each.ask("What of it?")
            growing = each.reply(question.id, ORIGIN, clock=lambda: 0.0)
            growing.add(Step(1, 5, "Much", 2.0))
            growing.break_off()
            each.ask("And then?")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        db.create_function("spaced", 1, migrations.spaced, deterministic=True)
        db.execute("DELETE FROM messages WHERE text = 'What of it?' AND chat = ?", (chat.id,))
        db.execute("DELETE FROM chats WHERE id = ?", (other.id,))
    with History(None) as store:
        saved = salvage.salvage(history_file(), store._database._db)
        assert (saved.chats, saved.messages, saved.lost) == (2, 5, 1)
        assert [n.message.text for n in store.load(chat.id).path()] == [LOST, "Much", "And then?"]
        assert store.load(other.id).path()[0].message.text == "What of it?"
        assert {each.title for each in store.chats()} == {"What of it?"}


@pytest.mark.parametrize("version", range(2, len(migrations.STEPS)))
def test_the_rows_of_every_version_are_known(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.sqlite"
    with monkeypatch.context() as patch, closing(sqlite3.connect(path)) as db:
        db.isolation_level = None
        patch.setattr(migrations, "STEPS", migrations.STEPS[:version])
        migrations.migrate(db)
        db.execute("INSERT INTO chats (id, title, changed) VALUES ('x', 'What?', 1.0)")
        db.execute(
            """INSERT INTO messages (id, chat, role, text, token_ids, measures)
            VALUES ('01k0000000000000000000000a', 'x', 'user', 'What?', x'', x'')"""
        )
    with History(None) as store:
        assert salvage.salvage(path, store._database._db).messages == 1
        assert len(store.load("x")) == 1


def test_no_table_is_left_out() -> None:
    with History(None) as store, store._database.reading() as db:
        known = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'found%'"
        )
        assert {name for (name,) in known} == set(salvage.TABLES)


# -- damage that is no damage of pages ------------------------------------------------------------


def version(number: int) -> Callable[[Path], None]:
    def set_version(path: Path) -> None:
        rows(f"PRAGMA user_version = {number}")

    return set_version


def schema(change: str) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute(change)

    return rewrite


SCHEMAS = {
    "a negative version": version(-3),
    "a version of long ago": version(0),
    "a version before the last": version(2),
    "a trigger of no sense": schema(
        "UPDATE sqlite_master SET sql = replace(sql, 'new.text', 'new.tfxt')"
    ),
    "a column of another name": schema(
        "UPDATE sqlite_master SET sql = replace(sql, 'role', 'rome')"
    ),
    "a table of another name": schema(
        "UPDATE sqlite_master SET name = 'mfssages', tbl_name = 'mfssages', "
        "sql = replace(sql, 'TABLE messages', 'TABLE mfssages') WHERE name = 'messages'"
    ),
    "a schema that cannot be read": schema("UPDATE sqlite_master SET sql = 'CREATE'"),
}


@pytest.mark.parametrize("damage", SCHEMAS.values(), ids=SCHEMAS)
def test_tables_that_are_not_what_they_were_cost_nothing(
    damage: Callable[[Path], None], path: Path
) -> None:
    damage(path)
    with History(path) as store:
        assert store.notice.startswith(
            f"Your chats file was damaged: {3 * CHATS} messages in {CHATS} chats"
        )
        assert store.count() == CHATS
        Chat(store).ask("And on it goes")
        assert len(store.search("goes")) == 1
    with History(path) as store:
        assert not store.notice


def test_a_sqlite_that_lacks_something_sets_no_file_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amulet_local.chats import connecting, database_errors

    def lacks(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("no such module: fts5")
        error.sqlite_errorcode = sqlite3.SQLITE_ERROR
        raise error

    monkeypatch.setattr(connecting, "migrate", lacks)
    monkeypatch.setattr(database_errors, "_can_store", lambda: False)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="fts5"):
        History(path)
    assert path.read_bytes() == before
    assert list(path.parent.glob("*damaged*")) == []


# -- on a disk that refuses -----------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that has no room for what is recovered."""

    def no_room(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(repair, "_kept_aside", no_room)
        yield


@pytest.mark.usefixtures("full")
def test_without_room_the_damaged_file_stays_and_what_can_be_read_is_in_memory(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(PAGE))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="the disk is full"):
        History(path)
    with History(path, unkept=True) as store:
        assert "Chats cannot be saved" in store.notice
        assert store.count() == CHATS
        Chat(store).ask("In memory")
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} - {"chats.sqlite"} <= {
        "chats.lock",
        "chats.suspect",
    }


def test_a_tree_that_does_not_hang_together_costs_no_other_chat(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large file its chat cannot be opened; in one that is looked through, it is mended."""
    ((name, chat),) = rows("SELECT id, chat FROM messages WHERE text LIKE 'Question 7 %'")
    rows("UPDATE messages SET role = 'assistant' WHERE id = ?", name)
    with monkeypatch.context() as patch:
        patch.setattr(repair, "_SMALL", 0)
        with History(path) as store:
            assert not store.notice
            with pytest.raises(NotUsableError, match="damaged"):
                store.load(str(chat))
    with History(path) as store:
        assert "were recovered" in store.notice
        assert all_can_be_opened(store)


@pytest.mark.parametrize("large", [0, 1 << 40])
def test_a_row_that_refers_to_nothing_keeps_no_store_from_being_opened(
    large: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "_SMALL", large)
    nothing = f"{1:026}"
    rows("UPDATE messages SET writer = '1 0.0', parent = ? WHERE text LIKE 'Question 7 %'", nothing)
    rows("UPDATE messages SET ending = NULL WHERE writer IS NOT NULL")
    with History(path) as store:
        assert store.count() == CHATS
