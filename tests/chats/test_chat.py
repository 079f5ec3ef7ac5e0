"""An open chat: whatever is done to it, the store has the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History
from amulet_local.chats.provenance import unpack
from amulet_local.errors import NotUsableError
from amulet_local.protocol.message import Message
from tests.chats.talking import ORIGIN, answer, finished, said, steps, stored


@pytest.fixture
def store() -> Iterator[History]:
    with History(None) as opened:
        yield opened


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
