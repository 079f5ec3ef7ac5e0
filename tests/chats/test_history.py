"""The store: lists, removal, drafts, replies that grow, two processes, and a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from amulet_local.chats import cleanup
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_id
from amulet_local.chats.listing import by_day, day_in_words, title_of
from amulet_local.chats.provenance import Ending, TokenMeasures, pack, unpack
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.message import Message
from tests.chats.stores import DAY_S, ORIGIN, a_reply, found, keep, line, python, rows, titles
from tests.checks import some

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


@pytest.mark.slow
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
