"""An open chat: whatever is done to it, the store has the same; and replies that grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amulet_local.chats.chat import SAVE_EVERY_S, Chat, GrowingReply
from amulet_local.chats.conversation import Thought
from amulet_local.chats.history import History
from amulet_local.chats.provenance import Ending, Origin, unpack
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, FinishReason, Stats, Step

ORIGIN = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")
STATS = Stats(30, 0, 60, 3, 0.1, 0.12, 0.5, 25.0, 33, 2)


@pytest.fixture
def store() -> Iterator[History]:
    with History(None) as opened:
        yield opened


def steps(*texts: str) -> list[Step]:
    return [
        Step(1, 100 + place, text, 3.0, 0.5, True, 2.0, -1.0, -2.0, -0.5)
        for place, text in enumerate(texts)
    ]


def finished(*texts: str, reason: FinishReason = "stop") -> Finished:
    token_ids = tuple(range(100, 100 + len(texts)))
    return Finished(1, "".join(texts), token_ids, reason, STATS)


def answer(chat: Chat, question: str, *texts: str) -> str:
    """A whole reply to a question; returns its id."""
    reply = chat.reply(question, ORIGIN)
    for step in steps(*texts):
        reply.add(step)
    return reply.finish(finished(*texts)).id


def said(chat: Chat) -> list[str]:
    return [message.text for message in chat.conversation.messages()]


def stored(store: History, chat: Chat) -> list[str]:
    """The branch that is read, as the next to open the chat finds it."""
    return said(Chat(store, chat.id))


@pytest.fixture
def chat(store: History) -> Chat:
    """A question with its answer, and another."""
    chat = Chat(store)
    answer(chat, chat.ask("Where to?").id, "To ", "Wales.")
    answer(chat, chat.ask("And then?").id, "Home.")
    return chat


# -- asking and going back ------------------------------------------------------------------------


def test_a_chat_is_stored_with_its_first_question(store: History) -> None:
    chat = Chat(store)
    assert store.count() == 0
    chat.ask("Where to?")
    assert stored(store, chat) == ["Where to?"]
    assert (chat.title, store.chats()[0].title) == ("Where to?", "Where to?")


def test_a_chat_that_is_not_there_is_a_sentence(store: History) -> None:
    with pytest.raises(NotUsableError, match="no chat has an id"):
        Chat(store, "nowhere")


def test_regenerating_keeps_the_old_reply_one_step_away(store: History, chat: Chat) -> None:
    old = chat.conversation.path()[-1]
    assert old.parent
    new = answer(chat, old.parent, "To the ", "sea.")
    assert stored(store, chat)[-1] == "To the sea."
    assert chat.walk(new, -1) == old
    assert stored(store, chat)[-1] == "Home."
    assert chat.walk(old.id, -1) is None
    assert stored(store, chat)[-1] == "Home."


def test_an_edited_question_goes_on_from_there(store: History, chat: Chat) -> None:
    question = chat.conversation.path()[2]
    edited = chat.edit(question.id, "How long?")
    answer(chat, edited.id, "A week.")
    assert stored(store, chat) == ["Where to?", "To Wales.", "How long?", "A week."]
    chat.walk(edited.id, -1)
    assert stored(store, chat) == ["Where to?", "To Wales.", "And then?", "Home."]


def test_a_wish_stays_with_its_message_and_is_edited_with_it(store: History, chat: Chat) -> None:
    asked = chat.ask("Where to?", "short")
    edited = chat.edit(asked.id, "Where to now?", "long")
    dropped = chat.edit(edited.id, "Where to now?")
    stored = store.load(chat.id)
    wishes = [stored[node.id].message.wish for node in (asked, edited, dropped)]
    assert wishes == ["short", "long", ""]
    assert chat.fork(edited.id).conversation.path()[-1].message == edited.message


def test_a_reply_in_the_users_words_is_continued(store: History, chat: Chat) -> None:
    old = chat.conversation.path()[-1]
    assert old.parent
    reply = chat.reply(old.parent, ORIGIN, chat.conversation.edited(old.id, "Not home,"))
    assert stored(store, chat)[-1] == "Not home,"
    reply.add(steps(" no.")[0])
    node = reply.finish(finished(" no."))
    assert node.message == Message("assistant", "Not home, no."), "its token ids are not known"
    assert sum(token.characters for token in unpack(node.measures)) == len(" no.")
    assert Chat(store, chat.id).conversation[node.id] == node
    assert chat.conversation.siblings(node.id) == (old, node)


def test_a_message_of_another_branch_can_be_turned_to(store: History, chat: Chat) -> None:
    second = chat.conversation.path()[2]
    answer(chat, chat.edit(second.id, "How long?").id, "A week.")
    chat.turn_to(chat.conversation.path()[0].id)
    assert stored(store, chat)[-1] == "A week.", "it is read already"
    chat.turn_to(second.id)
    assert stored(store, chat)[2:] == ["And then?", "Home."]
    assert chat.undo()
    assert stored(store, chat)[-1] == "A week."
    with pytest.raises(KeyError):
        chat.turn_to("nowhere")


def test_undo_takes_back_one_act_after_the_other(store: History, chat: Chat) -> None:
    said_at_first = said(chat)
    question = chat.conversation.path()[2]
    edited = chat.edit(question.id, "How long?")
    chat.walk(edited.id, -1)
    chat.delete(question.id)
    assert stored(store, chat)[-1] == "How long?"
    assert chat.undo()
    assert stored(store, chat) == said_at_first, "the deletion"
    assert chat.undo()
    assert stored(store, chat)[-1] == "How long?", "the walk"
    assert chat.undo()
    assert stored(store, chat) == said_at_first, "the edit"
    assert not chat.undo()
    assert len(chat.conversation) == 5, "what was edited is still there"


def test_a_fork_is_a_chat_of_its_own(store: History, chat: Chat) -> None:
    reply = chat.conversation.path()[1]
    fork = chat.fork(reply.id)
    assert said(fork) == ["Where to?", "To Wales."]
    assert (fork.title, store.chats()[0].id) == ("Fork: Where to?", fork.id)
    assert fork.conversation.path()[1].measures == reply.measures
    fork.delete(fork.conversation.path()[0].id)
    assert len(stored(store, chat)) == 4
    chat.rename(fork.title)
    assert chat.fork(reply.id).title == "Fork: Where to?"


def test_a_title_can_be_given(store: History, chat: Chat) -> None:
    chat.rename(" Holidays ")
    assert chat.title == Chat(store, chat.id).title == "Holidays"
    chat.rename("")
    assert chat.title == "Holidays"


def test_a_draft_is_kept_until_it_is_sent(store: History) -> None:
    chat = Chat(store)
    chat.draft = "Where"
    assert Chat(store).draft == "Where"
    chat.ask("Where to?")
    assert (chat.draft, Chat(store).draft) == ("", "")
    chat.draft = "And"
    assert (Chat(store, chat.id).draft, Chat(store).draft) == ("And", "")


# -- replies that grow ----------------------------------------------------------------------------


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


# -- memory and store agree -----------------------------------------------------------------------


class Acts(RuleBasedStateMachine):
    """Whatever the user does, in any order, the store has what the memory has."""

    def __init__(self) -> None:
        super().__init__()
        self.store = History(None)
        self.chat = Chat(self.store)
        self.made: set[str] = set()

    def teardown(self) -> None:
        self.store.close()

    def any(self, data: st.DataObject, role: str = "") -> str:
        nodes = [n for n in self.chat.conversation.nodes if role in ("", n.message.role)]
        return data.draw(st.sampled_from(nodes)).id

    def filled(self) -> bool:
        return len(self.chat.conversation) > 0

    @rule(text=st.text("ab \n", max_size=5))
    def ask(self, text: str) -> None:
        assert self.chat.ask(text).id == self.chat.conversation.leaf

    @precondition(filled)
    @rule(data=st.data(), died=st.booleans())
    def answer(self, data: st.DataObject, died: bool) -> None:
        reply = self.chat.reply(self.any(data, "user"), ORIGIN)
        for step in steps("a", "b"):
            reply.add(step)
        node = reply.break_off() if died else reply.finish(finished("a", "b", "c"))
        assert node.id == self.chat.conversation.leaf

    @precondition(filled)
    @rule(data=st.data())
    def answer_with_nothing(self, data: st.DataObject) -> None:
        nodes, leaf = self.chat.conversation.nodes, self.chat.conversation.leaf
        self.chat.reply(self.any(data, "user"), ORIGIN).discard()
        assert (self.chat.conversation.nodes, self.chat.conversation.leaf) == (nodes, leaf)

    @precondition(filled)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        assert self.chat.edit(self.any(data), "edited").id == self.chat.conversation.leaf

    @precondition(filled)
    @rule(data=st.data(), by=st.sampled_from([-1, 1]))
    def walk(self, data: st.DataObject, by: int) -> None:
        leaf = self.chat.conversation.leaf
        if self.chat.walk(self.any(data), by):
            walked = self.chat.conversation.leaf
            assert self.chat.undo()
            assert self.chat.conversation.leaf == leaf
            self.chat._read(walked)

    @precondition(filled)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.chat.delete(self.any(data))

    @rule()
    def undo(self) -> None:
        self.chat.undo()

    @invariant()
    def the_store_has_what_the_memory_has(self) -> None:
        chat = self.chat.conversation
        loaded = self.store.load(self.chat.id)
        assert (loaded.nodes, loaded.leaf) == (chat.nodes, chat.leaf)

    @invariant()
    def nothing_is_lost(self) -> None:
        """Deleted or not, all that was ever made is in the store."""
        self.made |= {node.id for node in self.chat.conversation.nodes}
        assert self.store.known("", []) is False
        assert all(self.store.known("", [name]) for name in self.made)


Acts.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_memory_and_store_agree = Acts.TestCase
