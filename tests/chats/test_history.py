"""The store: lists, search, removal, two processes, a kill, damage, and a disk that refuses."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from amulet_local.chats import cleanup, database, database_errors, migrations
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.listing import by_day, day_in_words, title_of
from amulet_local.chats.provenance import Ending, Origin, TokenMeasures, pack, unpack
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.message import Message
from tests.checks import some

ORIGIN = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")
DAY_S = 24 * 3600.0


@pytest.fixture
def store() -> Iterator[History]:
    with History(history_file()) as opened:
        yield opened


def keep(store: History, *texts: str, chat: str = "", made: float | None = None) -> str:
    """A chat of alternating messages; returns its id."""
    chat, moment = chat or new_chat_id(), time.time() if made is None else made
    nodes: list[Node] = []
    for place, text in enumerate(texts):
        message = Message("assistant" if place % 2 else "user", text)
        above = nodes[-1].id if nodes else None
        nodes.append(Node(new_id(moment + place / 1000), above, message))
    for node in nodes:
        store.add(chat, node)
    return chat


def a_reply(store: History, chat: str) -> Node:
    """A reply that is being written, under the chat's last message."""
    conversation = store.load(chat)
    assert conversation.leaf
    node = conversation.reply(conversation.leaf, ORIGIN)
    store.add(chat, node, growing=True)
    return node


def titles(store: History) -> list[str]:
    return [chat.title for chat in store.chats()]


def found(store: History, text: str) -> list[str]:
    return [hit.snippet.text for hit in store.search(text)]


# -- lists ----------------------------------------------------------------------------------------


def test_a_chat_is_listed_with_a_title_made_from_its_first_question(store: History) -> None:
    chat = keep(store, "\n What makes a good\twalking holiday?\nSay more.", "A path.", "And then?")
    (listed,) = store.chats()
    assert (listed.id, listed.title) == (chat, "What makes a good walking holiday?")
    assert (listed.messages, listed.day) == (3, date.today())


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", ""),
        (" \n ", ""),
        ("Short", "Short"),
        ("word " * 20, "word word word word word word word word word word word…"),
        ("字" * 100, "字" * 59 + "…"),
        ("red\x1b[31m text\x07", "red [31m text"),
    ],
)
def test_titles_are_one_short_line(text: str, title: str) -> None:
    assert title_of(text) == title
    assert len(title) <= 60


def test_a_title_of_the_users_own_stays(store: History) -> None:
    chat = keep(store, "What?")
    store.rename(chat, "Holidays")
    store.rename(chat, "  ")
    keep(store, "More?", chat=chat)
    assert titles(store) == ["Holidays"]


def test_chats_come_in_pages_the_last_changed_first(store: History) -> None:
    now = time.time()
    chats = [keep(store, f"Question {n}", made=now - n // 2) for n in range(7)]
    listed = store.chats(limit=3)
    while page := store.chats(limit=3, after=listed[-1]):
        listed += page
    assert sorted(chat.id for chat in listed) == sorted(chats)
    assert listed == sorted(listed, key=lambda chat: (chat.changed, chat.id), reverse=True)
    assert store.count() == 7


def test_chats_are_put_together_by_day(store: History) -> None:
    now = time.time()
    for days in (0, 0, 1, 40):
        keep(store, f"{days} days ago", made=now - days * DAY_S)
    grouped = [(day, [chat.title for chat in chats]) for day, chats in by_day(store.chats())]
    today = date.today()
    assert grouped == [
        (today, ["0 days ago"] * 2),
        (today - timedelta(1), ["1 days ago"]),
        (today - timedelta(40), ["40 days ago"]),
    ]
    assert [day_in_words(day) for day, _ in grouped[:2]] == ["Today", "Yesterday"]
    assert day_in_words(date(2024, 2, 9)) == "Friday, 9 February 2024"


def test_a_chat_is_found_by_the_beginning_of_its_id(store: History) -> None:
    for chat in ("abc1", "abd2", "ab"):
        keep(store, "What?", chat=chat)
    assert store.find("abc").id == "abc1"
    assert store.find("ab").id == "ab"
    with pytest.raises(UsageError, match="more than one chat id begins with 'a'"):
        store.find("a")
    for nothing in ("x", "", "ABC1", "%"):
        with pytest.raises(NotUsableError, match="no chat has an id"):
            store.find(nothing)


# -- search ---------------------------------------------------------------------------------------


def test_search_finds_all_words_in_any_message_the_newest_first(store: History) -> None:
    chat = keep(store, "Where is a good coast path?", "A path by the coast is in Wales.")
    keep(store, "Which path?", "The one inland.")
    hits = store.search("path coast ")
    assert [(hit.chat, hit.title, hit.role) for hit in hits] == [
        (chat, "Where is a good coast path?", "assistant"),
        (chat, "Where is a good coast path?", "user"),
    ]
    assert hits[1].message == store.load(chat).nodes[0].id


def test_a_snippet_shows_where_the_words_stand(store: History) -> None:
    keep(store, "far " * 50 + "the Coast\n\x1b[1m path " + "on " * 50)
    (hit,) = store.search("coast path")
    snippet = hit.snippet
    assert len(snippet.text) < 120
    assert "\n" not in snippet.text
    assert "\x1b" not in snippet.text
    assert [snippet.text[start:end] for start, end in snippet.marks] == ["Coast", "path"]


def test_a_wish_is_found_with_its_message_as_it_is_typed(store: History) -> None:
    chat = new_chat_id()
    node = Conversation().question("Where to?", "in short words\nkindly")
    store.add(chat, node)
    assert found(store, "kindly where") == ["Where to? !! in short words !! kindly"]
    whole = store.marked(node.id, "words")
    assert [whole.text[start:end] for start, end in whole.marks] == ["words"]
    assert whole.text == "Where to?\n!! in short words\n!! kindly"
    store.discard(node)
    assert not found(store, "kindly")


def test_what_was_said_last_comes_back_as_it_is_typed(store: History) -> None:
    store.add(new_chat_id(), Conversation().question("Where to?", "short"))
    keep(store, "a !! b", "That.")
    assert store.inputs() == ["Where to?\n!! short", r"a \!! b"]


def test_the_whole_of_what_was_found_has_every_word_marked(store: History) -> None:
    chat = keep(store, "A Coast.\n\nThe coastal\tpath, 散歩.", "something else")
    first, second = store.load(chat).nodes
    whole = store.marked(first.id, "coast")
    assert whole.text == first.message.text
    assert [whole.text[start:end] for start, end in whole.marks] == ["Coast", "coastal"]
    store.delete(first.id)
    for gone in (first.id, second.id):
        with pytest.raises(UsageError, match="has been removed by another Amulet"):
            store.marked(gone, "coast")


def test_the_last_word_may_be_unfinished_until_a_space_follows(store: History) -> None:
    keep(store, "Coastal paths")
    assert found(store, "coast")
    assert found(store, "paths coast")
    assert not found(store, "coast ")
    assert not found(store, "coast path")


def test_accents_and_case_make_no_difference(store: History) -> None:
    keep(store, "Crème brûlée à la maison")
    assert found(store, "CREME brulee ")


def test_words_in_quotation_marks_stand_together(store: History) -> None:
    keep(store, "the coast of Wales")
    assert found(store, '"coast of" wales')
    assert not found(store, '"wales coast"')


@pytest.mark.parametrize(
    "text", ["AND", "coast OR (", 'co"ast', "NEAR(", "q*", "-", "*", '"', "^quite NOT", "text:x"]
)
def test_nothing_that_is_typed_is_taken_for_a_query_language(store: History, text: str) -> None:
    keep(store, "quite another thing")
    assert found(store, text) == []


def test_text_without_spaces_is_found_in_any_part(store: History) -> None:
    keep(store, "今天天气很好，我们去山里散步。")
    keep(store, "散歩に行きましょう")
    (hit,) = store.search("天气")
    assert hit.snippet.text == "今天天气很好，我们去山里散步。"
    assert hit.snippet.marks == ((2, 4),) or hit.snippet.marks == ((2, 3), (3, 4))
    assert not found(store, "气天")
    assert found(store, "行きま")


def test_what_is_removed_is_not_found_until_it_is_back(store: History) -> None:
    chat = keep(store, "first words", "second words")
    deletion = store.delete(store.load(chat).nodes[1].id)
    assert found(store, "words") == ["first words"]
    store.remove(chat)
    assert found(store, "words") == []
    store.undelete(deletion)
    store.bring_back(chat)
    assert found(store, "words") == ["second words", "first words"]


# -- removing -------------------------------------------------------------------------------------


def test_a_removed_chat_can_be_brought_back(store: History) -> None:
    chat = keep(store, "What?", "That.")
    before = store.load(chat).nodes
    store.remove(chat)
    assert (titles(store), store.count()) == ([], 0)
    store.bring_back(chat)
    assert titles(store) == ["What?"]
    assert store.load(chat).nodes == before


def test_a_chat_that_another_window_removed_is_told_of(store: History) -> None:
    chat = keep(store, "What?", "That.")
    assert store.summary(chat) == store.chats()[0]
    with History(history_file()) as other:
        other.remove(chat)
    acts: list[Callable[[], object]] = [
        lambda: store.summary(chat),
        lambda: store.rename(chat, "Holidays"),
        lambda: store.remove(chat),
    ]
    for act in some(acts):
        with pytest.raises(UsageError, match="has been removed by another Amulet"):
            act()
    store.bring_back(chat)
    assert titles(store) == ["What?"]


def test_adding_to_a_removed_chat_brings_it_back(store: History) -> None:
    """As when another window removed it, or the message that is answered."""
    chat = keep(store, "What?", "That.")
    conversation = store.load(chat)
    store.delete(conversation.nodes[0].id)
    store.remove(chat)
    store.add(chat, conversation.question("And then?"))
    assert [m.text for m in store.load(chat).messages()] == ["What?", "That.", "And then?"]
    assert titles(store) == ["What?"]


def test_deletions_are_undone_in_any_order(store: History) -> None:
    chat = keep(store, "a", "b", "c", "d")
    before = store.load(chat).nodes
    inner, outer = store.delete(before[2].id), store.delete(before[0].id)
    store.undelete(inner)
    assert len(store.load(chat)) == 0, "what it follows from is still deleted"
    store.undelete(outer)
    assert store.load(chat).nodes == before
    outer, inner = store.delete(before[0].id), store.delete(before[2].id)
    store.undelete(outer)
    assert store.load(chat).nodes == before, "it was gone already when it was deleted again"


def test_after_a_month_what_was_removed_goes_for_good(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = keep(store, "kept", "a reply"), keep(store, "gone", "forever")
    store.save_draft("of mine", gone)
    store.delete(store.load(kept).nodes[1].id)
    store.remove(gone)
    with History(history_file()):
        assert rows("SELECT count(*) FROM messages") == [(4,)], "a month has not passed"
    monkeypatch.setattr(cleanup, "KEPT_S", -1.0)
    with History(history_file()) as later:
        assert titles(later) == ["kept"]
        with pytest.raises(UsageError, match="has been removed by another Amulet"):
            later.bring_back(gone)
        assert later.count() == 1
        assert later.draft(gone) == ""
    assert rows("SELECT text FROM messages") == [("kept",)]


def test_a_chat_of_three_thousand_turns_is_removed_like_any_other(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: list[Node] = []
    for place in range(3000):
        message = Message("assistant" if place % 2 else "user", "text")
        nodes.append(Node(new_id(), nodes[-1].id if nodes else None, message))
    for chat in ("chat-1", "chat-2"):
        store.add_chat(chat, "long", Conversation(nodes).copied(), time.time())
    assert len(store.load("chat-1").path()) == 3000
    store.delete(store.load("chat-1").nodes[0].id)
    store.destroy("chat-2")
    monkeypatch.setattr(cleanup, "KEPT_S", -1.0)
    with History(history_file()):
        assert rows("SELECT count(*) FROM messages") == [(0,)]
        assert rows("SELECT count(*) FROM chats") == [(0,)]


def test_destroying_leaves_nothing_of_a_chat(store: History) -> None:
    chat = keep(store, "secret question", "secret reply")
    reply = a_reply(store, chat := keep(store, "secret again", chat=chat))
    store.grow(reply.id, "secret piece", (1,), b"")
    store.save_draft("secret draft", chat)
    store.destroy(chat)
    for table in ("chats", "messages", "pieces", "drafts"):
        assert rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert found(store, "secret") == []


# -- drafts ---------------------------------------------------------------------------------------


def test_drafts_outlive_the_process(store: History) -> None:
    chat = keep(store, "What?")
    store.save_draft("not begun yet")
    store.save_draft("half a quest", chat)
    store.close()
    with History(history_file()) as later:
        assert (later.draft(), later.draft(chat)) == ("not begun yet", "half a quest")
        later.save_draft("", chat)
        assert (later.draft(), later.draft(chat)) == ("not begun yet", "")


# -- replies that grow ----------------------------------------------------------------------------


def test_a_reply_is_stored_as_it_grows(store: History) -> None:
    chat = keep(store, "What?")
    node = a_reply(store, chat)
    measures = [pack([TokenMeasures(4, 3.0, 0.5)]), pack([TokenMeasures(5, 3.0, 0.25)])]
    store.grow(node.id, "Take", (1,), measures[0])
    store.grow(node.id, " the ", (2,), measures[1])
    grown = store.load(chat).path()[-1]
    assert grown.message == Message("assistant", "Take the ", (1, 2))
    assert grown.measures == b"".join(measures)
    assert grown.ending is None


def test_a_finished_reply_is_whole_and_can_be_searched(store: History) -> None:
    chat = keep(store, "What?")
    node = a_reply(store, chat)
    store.grow(node.id, "Take the", (1, 2), b"")
    assert found(store, "take") == []
    done = replace(node.grown("Take the path", (1, 2, 3), b""), ending=Ending("stop"))
    store.finish(done)
    assert store.load(chat).path()[-1] == done
    assert found(store, "take") == ["Take the path"]
    assert rows("SELECT count(*) FROM pieces") == [(0,)]


def test_a_reply_to_a_chat_that_was_destroyed_meanwhile_is_a_sentence(store: History) -> None:
    chat = keep(store, "What?")
    node = a_reply(store, chat)
    store.destroy(chat)
    with pytest.raises(UsageError, match="has been removed by another Amulet"):
        store.grow(node.id, "text", (1,), b"")
    with pytest.raises(UsageError, match="has been removed by another Amulet"):
        store.finish(node)
    with pytest.raises(UsageError, match="has been removed by another Amulet"):
        store.add(chat, Node(new_id(), node.id, Message("user", "text")))
    assert rows("SELECT count(*) FROM chats") == [(0,)]


def python(code: str) -> subprocess.Popen[str]:
    """Another process on the same store."""
    begin = "import sys\nfrom amulet_local.chats.chat import *\n"
    begin += "from amulet_local.chats.history import *\n"
    begin += "store = History(history_file())\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


WRITES_A_REPLY = """
    from amulet_local.protocol.messages import Finished, Stats, Step
    origin = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")
    chat, empty = Chat(store), Chat(store)
    reply = chat.reply(chat.ask("What?").id, origin)
    empty.reply(empty.ask("And this?").id, origin)
    for token, text in enumerate(("Take ", "the ", "coast ")):
        reply.add(Step(1, token, text, 3.0))
    time.sleep(0.4)
    reply.save()
    print(chat.id, empty.id, flush=True)
    sys.stdin.readline()
    stats = Stats(1, 0, 1, 4, 0.1, 0.1, 0.1, 40.0, 5, 1)
    reply.finish(Finished(1, "Take the coast path", (0, 1, 2, 3), "stop", stats))
"""


def test_after_a_kill_the_reply_is_there_and_marked_as_interrupted() -> None:
    writer = python(WRITES_A_REPLY)
    chat, empty = line(writer).split()
    writer.kill()
    writer.wait()
    with History(history_file()) as store:
        question, reply = store.load(chat).path()
        assert question.message.text == "What?"
        assert reply.message == Message("assistant", "Take the coast ", (0, 1, 2))
        assert [token.characters for token in unpack(reply.measures)] == [5, 4, 6]
        assert (reply.origin, reply.ending) == (ORIGIN, Ending("interrupted"))
        assert found(store, "coast") == ["Take the coast "]
        assert [m.text for m in store.load(empty).messages()] == ["And this?"]
        assert rows("SELECT count(*) FROM pieces") == [(0,)]


def test_opening_the_store_does_not_interrupt_a_reply_of_another_process() -> None:
    writer = python(WRITES_A_REPLY)
    chat, _ = line(writer).split()
    with History(history_file()) as store:
        reply = store.load(chat).path()[-1]
        assert (reply.message.text, reply.ending) == ("Take the coast ", None)
        writer.communicate("\n")
        assert writer.returncode == 0
        reply = store.load(chat).path()[-1]
        assert reply.message.text == "Take the coast path"
        assert reply.ending
        assert reply.ending.reason == "stop"


def test_two_processes_write_at_once_and_nothing_is_lost(store: History) -> None:
    code = """
        for number in range(40):
            chat = Chat(store)
            chat.ask(f"theirs {number}")
            chat.edit(chat.conversation.leaf, "edited")
    """
    other = python(code)
    for number in range(40):
        keep(store, f"ours {number}", "reply")
    assert other.wait() == 0
    chats = store.chats(limit=100)
    names = {f"{whose} {number}" for whose in ("ours", "theirs") for number in range(40)}
    assert {chat.title for chat in chats} == names
    assert {chat.messages for chat in chats} == {2}


def test_several_processes_may_begin_the_store_together() -> None:
    others = [python(f"Chat(store).ask('{number}')") for number in range(3)]
    assert [other.wait() for other in others] == [0] * 3
    with History(history_file()) as store:
        assert sorted(titles(store)) == ["0", "1", "2"]


# -- damage ---------------------------------------------------------------------------------------


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


def a_closed_store() -> Path:
    with History(history_file()) as store:
        for number in range(20):
            keep(store, f"Question {number}", "text " * 100)
    return history_file()


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
        assert titles(store) == []
        keep(store, "What?")
    with History(path) as store:
        assert (store.notice, titles(store)) == ("", ["What?"])


def test_damage_met_at_work_is_a_sentence_and_set_aside_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "_SMALL", 0)  # as if the file were too large to look through
    path = a_closed_store()
    ((page,),) = rows("SELECT rootpage FROM sqlite_master WHERE name = 'chats'")
    assert isinstance(page, int)
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with History(path) as store:
        assert not store.notice
        with pytest.raises(NotUsableError, match="restart Amulet"):
            store.chats()
    with History(path) as store:
        assert "was damaged" in store.notice
    with History(path) as store:
        assert not store.notice


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_large_file_is_set_aside_where_opening_it_meets_damage(
    damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SMALL", 0)
    damage(a_closed_store())
    with History(history_file()) as store:
        assert "was damaged" in store.notice


def test_a_damaged_index_of_words_is_made_anew_and_no_chat_is_lost() -> None:
    path = a_closed_store()
    rows("DELETE FROM found_data WHERE id > 10")
    with History(path) as store, pytest.raises(NotUsableError, match="restart Amulet"):
        found(store, "question")
    with History(path) as store:
        assert not store.notice
        assert store.count() == 20
        assert found(store, '"question 7"') == ["Question 7"]


def test_a_damaged_file_stays_where_it_is_while_another_process_has_it_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.1)
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


def test_a_message_that_cannot_be_read_costs_its_chat_alone() -> None:
    path = a_closed_store()
    with History(path) as store:
        first, second = store.chats(limit=2)
    rows("UPDATE messages SET origin = x'ff', writer = '1 x' WHERE chat = ?", first.id)
    with History(path) as store:
        with pytest.raises(NotUsableError, match=f"amulet chats remove {first.id}"):
            store.load(first.id)
        assert len(store.load(second.id)) == 2


# -- a disk that refuses --------------------------------------------------------------------------


def test_a_full_disk_is_a_sentence_and_what_was_kept_stays(store: History) -> None:
    chat = keep(store, "What?")
    with store._database.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UsageError, match="the disk is full"):
        keep(store, "long " * 100_000)
    assert titles(store) == ["What?"]
    with store._database.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    keep(store, "long " * 1000, chat=chat)
    assert len(store.load(chat)) == 2


def test_a_file_that_may_only_be_read_is_a_sentence(store: History) -> None:
    with store._database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(UsageError, match="make it writable, or set AMULET_HOME"):
        keep(store, "What?")


def test_a_folder_that_cannot_be_made_is_a_sentence(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="set AMULET_HOME to another folder"):
        History(history_file())


def refuse(monkeypatch: pytest.MonkeyPatch, code: int, number: int) -> None:
    """A system that lets nothing be written to the folder of the chats: SQLite says only `code`."""
    connect, folder = database._connect, history_file().parent

    def refused(path: Path | str) -> sqlite3.Connection:
        if folder not in Path(path).parents:
            return connect(path)
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        raise error

    def asked(**_: object) -> None:
        if number:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(database, "_connect", refused)
    monkeypatch.setattr(database_errors, "TemporaryFile", asked if number else TemporaryFile)


REFUSALS = [
    (sqlite3.SQLITE_FULL, errno.ENOSPC, "(the disk is full: No space left on device); free some"),
    (sqlite3.SQLITE_FULL, 0, "(the disk is full: No space left on device); free some space"),
    (sqlite3.SQLITE_IOERR_SHMSIZE, errno.ENOSPC, "(the disk is full: No space left on device);"),
    (sqlite3.SQLITE_IOERR_WRITE, errno.EDQUOT, "(Disk quota exceeded); free some space"),
    (sqlite3.SQLITE_IOERR_FSYNC, 0, "(what SQLite says); check the disk"),
    (sqlite3.SQLITE_CANTOPEN, errno.EROFS, "(Read-only file system); make it writable, or set"),
    (sqlite3.SQLITE_READONLY, errno.EACCES, "(Permission denied); make it writable, or set"),
    (sqlite3.SQLITE_CANTOPEN, errno.EMFILE, "(Too many open files); close other programs"),
    (sqlite3.SQLITE_CANTOPEN, errno.ENAMETOOLONG, "(File name too long); use a shorter name"),
]


@pytest.mark.parametrize(("code", "number", "told"), REFUSALS)
def test_why_a_store_cannot_be_written_is_what_the_system_says(
    code: int, number: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, code, number)
    with pytest.raises(UsageError) as raised:
        History(history_file())
    assert str(raised.value).startswith(f"chats cannot be saved in {history_file()} {told}")


def test_a_folder_in_place_of_the_file_is_told() -> None:
    history_file().mkdir(parents=True)
    with pytest.raises(UsageError, match=r"\(Is a directory\)"):
        History(history_file())


def test_a_file_that_may_only_be_read_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a_closed_store()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match=r"\(Permission denied\); make it writable"):
        History(history_file())


@pytest.mark.parametrize(("code", "number", "told"), REFUSALS)
def test_a_store_that_cannot_be_written_can_be_read_and_used_without_being_kept(
    code: int, number: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = history_file()
    with History(path) as store:
        keep(store, "What was kept?")
    before = path.read_bytes()
    refuse(monkeypatch, code, number)
    with History(path, unkept=True) as store:
        assert store.notice.startswith(f"Chats cannot be saved in {path} {told.split(';')[0]}")
        assert titles(store) == ["What was kept?"]
        keep(store, "And now?")
        assert found(store, "was kept") == ["What was kept?"]
        assert sorted(titles(store)) == ["And now?", "What was kept?"]
    assert path.read_bytes() == before


def test_what_sqlite_has_not_put_into_the_file_yet_is_read_too(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, "What is new?")
    assert history_file().with_name("chats.sqlite-wal").stat().st_size > 0
    refuse(monkeypatch, sqlite3.SQLITE_CANTOPEN, errno.EROFS)
    with History(history_file(), unkept=True) as copy:
        assert titles(copy) == ["What is new?"]


def test_where_no_store_can_be_made_chats_are_in_memory(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with History(history_file(), unkept=True) as store:
        assert "(Not a directory): messages will be lost when Amulet closes." in store.notice
        assert titles(store) == []
        keep(store, "What?")
        assert titles(store) == ["What?"]


def test_a_store_that_can_be_written_is_kept_whatever_is_allowed() -> None:
    with History(history_file(), unkept=True) as store:
        keep(store, "What?")
        assert store.notice == ""
    with History(history_file()) as store:
        assert titles(store) == ["What?"]


def test_a_busy_store_is_a_sentence(store: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.05)
    with (
        History(history_file()) as hurried,
        store._database.writing(),
        pytest.raises(UsageError, match="busy"),
    ):
        keep(hurried, "What?")
    assert store.count() == 0


def test_without_a_disk_chats_are_kept_in_memory() -> None:
    with History(None) as store:
        keep(store, "What?", "That.")
        assert (titles(store), found(store, "that")) == (["What?"], ["That."])
    assert not history_file().exists()


def test_text_that_no_file_can_hold_is_a_sentence(store: History) -> None:
    with pytest.raises(UsageError, match="cannot be stored"):
        keep(store, "lone \ud800 surrogate")
    assert store.count() == 0


def test_any_thread_may_use_the_store(store: History) -> None:
    with ThreadPoolExecutor(4) as threads:
        chats = list(threads.map(lambda n: keep(store, f"Question {n}", "That."), range(40)))
    assert {chat.id for chat in store.chats(limit=50)} == set(chats)


# -- versions -------------------------------------------------------------------------------------


def line(process: subprocess.Popen[str]) -> str:
    """What another process says next."""
    assert process.stdout
    return process.stdout.readline().strip()


def rows(statement: str, *values: str) -> list[tuple[object, ...]]:
    """What a statement finds in the file, as another program would see it."""
    db = sqlite3.connect(history_file())
    db.create_function("spaced", 1, migrations.spaced, deterministic=True)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()


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
