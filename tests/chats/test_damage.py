"""A damaged store is set aside, and no chat is lost that can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from amulet_local.chats import database, repair
from amulet_local.chats.history import History, history_file
from amulet_local.chats.pages import Pages
from amulet_local.errors import AmuletError, NotUsableError, UsageError
from tests.chats.stores import a_closed_store, found, keep, line, python, rows, titles
from tests.checks import some


def garbage(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 500)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def zeroes_inside(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 2 * 4096))


DAMAGES = [garbage, cut_in_half, zeroes_inside]
# How many chats of twenty come back: what is on the pages that are left.
RECOVERED: dict[Callable[[Path], None], set[int]] = {
    garbage: {0},
    cut_in_half: set(range(20)),
    zeroes_inside: set(range(11)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(damage: Callable[[Path], None]) -> None:
    path = a_closed_store()
    damage(path)
    damaged = path.read_bytes()
    with History(path) as store:
        assert "was damaged" in store.notice
        assert store.notice.count(". ") == 0, "one sentence"
        (aside,) = path.parent.glob("chats-damaged-*.sqlite")
        assert str(aside) in store.notice
        assert aside.read_bytes() == damaged
        saved = store.count()
        assert saved in RECOVERED[damage]
        keep(store, "What?")
    with History(path) as store:
        assert (store.notice, store.count(), titles(store)[0]) == ("", saved + 1, "What?")


def test_damage_met_at_work_is_a_sentence_and_set_aside_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repair, "_SMALL", 0)  # as if the file were too large to look through
    path = a_closed_store()
    pages = Pages(path)
    on = {n: [row for _, row in pages.rows_on(n) if "Question 19" in row] for n in range(1, 60)}
    (page,) = [n for n, found in on.items() if any(len(row) > 9 for row in found)]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with History(path) as store:
        assert not store.notice
        with pytest.raises(NotUsableError, match="restart Amulet"):
            store.inputs()
    with History(path) as store:
        assert "was damaged" in store.notice
        assert store.count() in range(15, 20)
    with History(path) as store:
        assert not store.notice


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_large_file_is_set_aside_where_opening_it_meets_damage(
    damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "_SMALL", 0)
    damage(a_closed_store())
    with History(history_file()) as store:
        assert "was damaged" in store.notice


def test_a_damaged_index_of_words_is_made_anew_and_no_chat_is_lost() -> None:
    path = a_closed_store()
    rows("DELETE FROM found_data WHERE id > 10")
    with History(path) as store:
        assert not store.notice
        assert store.count() == 20
        assert found(store, '"question 7"') == ["Question 7"]


def test_a_damaged_file_stays_where_it_is_while_another_process_has_it_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    path = a_closed_store()
    other = python("print('ready', flush=True); sys.stdin.readline()")
    assert line(other) == "ready"
    garbage(path)
    with pytest.raises(UsageError, match="close every other Amulet"):
        History(path)
    assert path.read_bytes().startswith(b"This is no database.")
    other.kill()
    other.wait()
    with History(path) as store:
        assert "was damaged" in store.notice


def put_instead(column: str, value: str) -> None:
    """Have another value in all rows, as where bits flip: what looks after the index is kept out of
    it, since it fails over such a text."""
    table, _, name = column.partition(".")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as db:
        (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'found_changed'")
        db.execute("DROP TRIGGER found_changed")
        db.execute(f"UPDATE {table} SET {name} = {value}")
        db.execute(*trigger)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("messages.origin", "x'c1'"),
        ("messages.origin", "'text'"),
        ("messages.ending", "x'ff01'"),
        ("messages.token_ids", "x'010203'"),
        ("messages.token_ids", "'text'"),
        ("messages.measures", "'text'"),
        ("messages.thought_ids", "x'0102'"),
        ("messages.writer", "'1 x'"),
    ],
)
def test_what_cannot_be_read_of_a_message_costs_no_text(column: str, value: str) -> None:
    """SQLite does not notice a bit that flips in a value."""
    path = a_closed_store()
    put_instead(column, value)
    with History(path) as store:
        (chat,) = [each for each in store.chats(limit=99) if each.title == "Question 19"]
        texts = [node.message.text for node in store.load(chat.id).nodes]
    assert texts == ["Question 19", "text " * 100]


@pytest.mark.parametrize("value", ["CAST(x'ff4142' AS TEXT)", "x'ff4142'"], ids=["text", "bytes"])
def test_a_bit_that_flips_in_a_text_costs_a_letter(value: str) -> None:
    path = a_closed_store()
    put_instead("chats.title", value)
    put_instead("messages.text", value)
    with History(path) as store:
        first = store.chats(limit=1)[0]
        assert (len(store.chats(limit=99)), first.title) == (20, "\ufffdAB")
        nodes = store.load(first.id).nodes
        assert [node.message.text for node in nodes] == ["\ufffdAB"] * 2
        assert store.inputs(3) == ["\ufffdAB"] * 3


def test_a_chat_with_such_a_text_can_be_removed_by_the_second_start() -> None:
    """The index of words cannot forget it, so that the file is written anew."""
    path = a_closed_store()
    put_instead("messages.text", "CAST(x'ff4142' AS TEXT)")
    with History(path) as store, suppress(AmuletError):
        store.destroy(store.chats(limit=1)[0].id)
    with History(path) as store:
        for chat in store.chats(limit=99):
            store.destroy(chat.id)
        assert store.count() == 0


def test_letters_that_are_damaged_cost_nothing_else() -> None:
    path = a_closed_store()
    path.write_bytes(path.read_bytes().replace(b"Question 7", b"Question \xc3"))
    for notice in ("", "Your chats file was damaged: 40 messages in 20 chats"):
        with History(path) as store:
            assert store.notice.startswith(notice)
            (chat,) = (chat.id for chat in store.chats() if chat.title == "Question \ufffd")
            assert store.load(chat).path()[0].message.text == "Question \ufffd"
        repair.suspect(path).touch()  # the index is made anew then, for which SQLite wants letters


ODD = [
    "messages SET role = 'user', id = 'x'",
    "messages SET token_ids = 'x'",
    "messages SET measures = 1e308",
    "messages SET ending = -1",
    "messages SET thought = x'00'",
    "chats SET title = x'ff'",
    "chats SET changed = 1e308",
]
ONE = "rowid = (SELECT max(rowid) FROM"


@pytest.mark.parametrize("change", ODD)
def test_a_value_that_cannot_be_costs_its_row_at_most(change: str) -> None:
    path = a_closed_store()
    rows(f"UPDATE {change} WHERE {ONE} {change.split()[0]})")
    with History(path) as store:
        assert "were recovered" in store.notice
        assert store.count() == 20
        lost = " id = " in change
        assert sum(len(store.load(chat.id)) for chat in some(store.chats())) == 40 - lost
    with History(path) as store:
        assert store.notice == ""


@pytest.mark.parametrize("change", ODD)
def test_a_value_that_cannot_be_is_met_as_it_is_read_in_a_large_file(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_closed_store()
    monkeypatch.setattr(repair, "_SMALL", 0)
    rows(f"UPDATE {change} WHERE {ONE} {change.split()[0]})")
    with History(path) as store, pytest.raises(NotUsableError, match="restart Amulet"):
        _ = [store.load(chat.id) for chat in store.chats()]
    with History(path) as store:
        assert "were recovered" in store.notice


@pytest.mark.parametrize("unkept", [False, True])
def test_damage_that_sqlite_quotes_need_be_no_text(unkept: bool) -> None:
    path = a_closed_store()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = CAST(x'a0a1' AS TEXT) WHERE name = 'chats'")
        db.commit()
    with History(path, unkept=unkept) as store:
        assert "40 messages in 20 chats were recovered" in store.notice


@pytest.mark.parametrize("unkept", [False, True])
def test_an_index_that_disagrees_with_its_table_costs_nothing(unkept: bool) -> None:
    """Nothing tells of it until the row is to go, which is as soon as the store is opened."""
    path = a_closed_store()
    one, other = (f"{number:026}" for number in (1, 2))
    rows(f"UPDATE chats SET deleted = ? WHERE {ONE} chats)", one)
    with closing(sqlite3.connect(path)) as db:
        index = "FROM sqlite_master WHERE name = 'chats_deleted'"
        (known,) = db.execute(f"SELECT type, name, tbl_name, rootpage, sql {index}").fetchall()
        db.execute("PRAGMA writable_schema = ON")
        db.execute(f"DELETE {index}")
        db.commit()
    rows("UPDATE chats SET deleted = ? WHERE deleted = ?", other, one)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", known)
        db.commit()
    with History(path, unkept=unkept) as store:
        assert "40 messages in 20 chats were recovered" in store.notice
        assert store.count() == 19
