"""Replies that grow: they are stored meanwhile, and whole at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from amulet_local.chats.chat import SAVE_EVERY_S, Chat, GrowingReply
from amulet_local.chats.conversation import Thought
from amulet_local.chats.history import History
from amulet_local.chats.provenance import Ending, unpack
from amulet_local.errors import UsageError
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Step
from tests.chats.talking import ORIGIN, STATS, answer, finished, said, steps, stored


@pytest.fixture
def store() -> Iterator[History]:
    with History(None) as opened:
        yield opened


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def growing(chat: Chat, clock: Clock) -> GrowingReply:
    return chat.reply(chat.ask("How?").id, ORIGIN, clock=clock)


def test_what_was_written_half_a_second_ago_is_stored(store: History) -> None:
    chat, clock = Chat(store), Clock()
    reply = growing(chat, clock)
    came: list[float] = []
    due: list[int] = []
    for tick in range(60):
        if tick % 7 < 4:  # with pauses between
            reply.add(steps("x")[0])
            came.append(clock.now)
        reply.save()
        before = sum(moment <= clock.now - 0.5 for moment in came)
        due.append(before)
        assert len(stored(store, chat)[-1]) >= before
        clock.now += 0.05
    assert due[-1] > 20
    assert SAVE_EVERY_S < 0.5
    assert reply.text == "x" * len(came)


def test_a_reply_is_not_stored_more_often_than_needed(store: History) -> None:
    chat, clock = Chat(store), Clock()
    reply = growing(chat, clock)
    for step in steps(*"abcdefgh"):
        reply.add(step)
    assert stored(store, chat)[-1] == "a"


def test_a_finished_reply_is_what_the_engine_says(store: History) -> None:
    chat = Chat(store)
    reply = growing(chat, Clock())
    for step in steps("Take ", "the ", "", "path"):
        reply.add(step)
    node = reply.finish(Finished(1, "Take the path.", (100, 101, 102), "length", STATS))
    assert node.message == Message("assistant", "Take the path.", (100, 101, 102))
    assert (node.origin, node.ending) == (ORIGIN, Ending("length", STATS))
    assert chat.conversation[node.id] == Chat(store, chat.id).conversation[node.id] == node


def test_measures_come_to_the_whole_text_of_the_tokens_that_stay(store: History) -> None:
    reply = growing(Chat(store), Clock())
    for step in steps("Take ", "the ", "", "path"):
        reply.add(step)
    node = reply.finish(Finished(1, "Take the path.", (100, 101, 102), "stop", STATS))
    assert [token.characters for token in unpack(node.measures)] == [5, 4, 5]


THOUGHT = [
    Step(1, 90 + n, "", 3.0, thought=text) for n, text in enumerate(("", "or ", "ride?", ""))
]


def test_a_thought_is_kept_with_its_reply_and_measures_are_those_of_the_answer(
    store: History,
) -> None:
    chat = Chat(store)
    reply = growing(chat, Clock())
    for step in [*THOUGHT, *steps("Take ", "the ", "", "path")]:
        reply.add(step)
    stats = msgspec.structs.replace(STATS, tokens=8, thought_tokens=4, thought_s=0.5)
    told = Finished(1, "Take the path.", (100, 101, 102), "stop", stats, "or ride?")
    node = reply.finish(told)
    assert node.thought == Thought("or ride?", (90, 91, 92, 93))
    assert node.message == Message("assistant", "Take the path.", (100, 101, 102))
    assert [token.characters for token in unpack(node.measures)] == [5, 4, 5]
    assert chat.conversation[node.id] == Chat(store, chat.id).conversation[node.id] == node
    assert [len(store.search(word)) for word in ("ride", "path")] == [0, 1]


def test_a_thought_whose_last_token_begins_the_answer_has_measures_but_no_ids(
    store: History,
) -> None:
    reply = growing(Chat(store), Clock())
    for step in [*THOUGHT, *steps("Take ", "it")]:
        reply.add(step)
    stats = msgspec.structs.replace(STATS, tokens=6, thought_tokens=4)
    node = reply.finish(Finished(1, "Take it", (), "stop", stats, "or ride?"))
    assert node.thought == Thought("or ride?")
    assert [token.characters for token in unpack(node.measures)] == [5, 2]


def test_a_thought_that_is_cut_off_is_kept_without_ids(store: History) -> None:
    chat = Chat(store)
    reply = growing(chat, Clock())
    for step in THOUGHT[:3]:
        reply.add(step)
    stats = msgspec.structs.replace(STATS, tokens=3, thought_tokens=3)
    node = reply.finish(Finished(1, "", (), "cancelled", stats, "or ride?"))
    assert node.thought == Thought("or ride?")
    assert stored(store, chat)[-1] == ""


@pytest.mark.parametrize("answer", [(), ("Take ", "the ")])
def test_of_a_reply_that_breaks_off_the_thought_stays_too(
    store: History, answer: tuple[str, ...]
) -> None:
    chat, clock = Chat(store), Clock()
    reply = growing(chat, clock)
    for step in [*THOUGHT, *steps(*answer)]:
        reply.add(step)
        clock.now += 1
    growing_node = Chat(store, chat.id).conversation[reply.node.id]
    assert growing_node.thought == Thought("or ride?")
    assert growing_node.message == Message("assistant", "".join(answer))
    node = reply.break_off()
    assert (node.thought, node.message) == (growing_node.thought, growing_node.message)
    assert len(unpack(node.measures)) == len(unpack(growing_node.measures)) == len(answer)


def test_words_of_the_users_get_the_tokens_that_they_were_read_as(
    store: History, chat: Chat
) -> None:
    old = chat.conversation.path()[-1]
    assert old.parent
    words = chat.edit(old.id, "To Kent")
    told = replace_begun(finished(" by train."), (7, 8))
    reply = chat.reply(old.parent, ORIGIN, words)
    reply.add(*steps(" by train."))
    node = reply.finish(told)
    assert node.message == Message("assistant", "To Kent by train.", (7, 8, 100))
    assert len(unpack(node.measures)) == 1
    # A reply whose own ids were lost has tokens that were measured: other ones than these.
    lost = replace(node, message=Message("assistant", node.message.text))
    again = chat.reply(old.parent, ORIGIN, lost)
    again.add(*steps(" Soon."))
    assert again.finish(replace_begun(finished(" Soon."), (7, 8, 9))).message.token_ids == ()


def replace_begun(told: Finished, begun_ids: tuple[int, ...]) -> Finished:
    return msgspec.structs.replace(told, begun_ids=begun_ids)


def test_a_reply_that_goes_on_keeps_its_thought(store: History, chat: Chat) -> None:
    reply = chat.conversation.path()[-1]
    assert reply.parent
    for thought, text in ((Thought("or ride?", (1, 2)), ""), (Thought("or ride?"), "Home.")):
        begun = replace(reply, message=Message("assistant", text), thought=thought)
        assert chat.reply(reply.parent, ORIGIN, begun).node.thought == thought
    nothing = replace(reply, message=Message("assistant", ""), thought=Thought("or"))
    assert chat.reply(reply.parent, ORIGIN, nothing).node.thought == Thought()


def test_what_was_written_stays_when_the_engine_dies(store: History) -> None:
    chat = Chat(store)
    reply = growing(chat, Clock())
    for step in steps("Take ", "the "):
        reply.add(step)
    node = reply.break_off()
    assert node.message == Message("assistant", "Take the ", (100, 101))
    assert node.ending == Ending("died")
    assert Chat(store, chat.id).conversation[node.id] == node


def test_a_reply_that_came_to_nothing_leaves_what_was_before(store: History, chat: Chat) -> None:
    first = chat.conversation.path()[-1]
    assert first.parent
    answer(chat, first.parent, "To the sea.")
    chat.walk(chat.conversation.leaf or "", -1)
    chat.reply(first.parent, ORIGIN).discard()
    assert stored(store, chat)[-1] == "Home."
    assert len(Chat(store, chat.id).conversation) == len(chat.conversation) == 5


def test_a_reply_that_cannot_be_stored_stays_in_memory_and_is_stored_later(
    store: History,
) -> None:
    chat, clock = Chat(store), Clock()
    reply = growing(chat, clock)
    with store._database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(UsageError):
        reply.add(steps("Take ")[0])
    for step in steps("Take ", "the ", "path")[1:]:
        reply.add(step)  # which waits with the next try
    clock.now += 1
    with pytest.raises(UsageError):
        reply.save()
    with pytest.raises(UsageError):
        reply.finish(finished("Take ", "the ", "path"))
    assert said(chat)[-1] == "Take the path"
    with store._database.reading() as db:
        db.execute("PRAGMA query_only = OFF")
    reply.finish(finished("Take ", "the ", "path"))
    assert stored(store, chat)[-1] == "Take the path"


def test_a_question_that_cannot_be_stored_leaves_the_chat_as_it_was(
    store: History, chat: Chat
) -> None:
    before = said(chat)
    with store._database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(UsageError):
        chat.ask("Well?")
    with pytest.raises(UsageError):
        chat.delete(chat.conversation.path()[0].id)
    assert said(chat) == before
