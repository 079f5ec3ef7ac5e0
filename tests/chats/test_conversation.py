"""The message tree: branches, versions, and walking between them; nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.ids import new_id, renewed, time_of
from amulet_local.chats.provenance import Origin
from amulet_local.protocol.message import Message
from tests.checks import some

ORIGIN = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")


@st.composite
def conversations(draw: st.DrawFn, *, smallest: int = 1) -> Conversation:
    """Trees of up to 30 messages, with any of them read."""
    nodes: list[Node] = []
    for place in range(draw(st.integers(smallest, 30))):
        above = draw(st.sampled_from([None, *nodes]))
        user = above is None or above.message.role == "assistant"
        message = Message("user" if user else "assistant", f"message {place}")
        nodes.append(Node(new_id(), above.id if above else None, message))
    leaf = draw(st.sampled_from(nodes)).id if nodes else None
    return Conversation(draw(st.permutations(nodes)), leaf)


def a_chat(*texts: str) -> Conversation:
    """A conversation of one branch."""
    conversation = Conversation()
    for text in texts:
        leaf = conversation.leaf
        if leaf and conversation[leaf].message.role == "user":
            reply = conversation.reply(leaf, ORIGIN)
            conversation.add(reply.grown(text, (), b""))
        else:
            conversation.add(conversation.question(text))
    return conversation


def texts(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages()]


def test_the_engine_gets_one_branch_oldest_first() -> None:
    conversation = a_chat("Hello.", "Good day.", "And you?")
    assert conversation.messages() == (
        Message("user", "Hello."),
        Message("assistant", "Good day."),
        Message("user", "And you?"),
    )
    first = conversation.nodes[0].id
    assert conversation.messages(first) == (Message("user", "Hello."),)
    assert Conversation().messages() == ()


@given(conversations())
def test_a_path_alternates_from_a_question_to_the_leaf(conversation: Conversation) -> None:
    path = conversation.path()
    assert [node.parent for node in path] == [None, *(node.id for node in path[:-1])]
    assert [node.message.role for node in path] == [
        "user" if place % 2 == 0 else "assistant" for place in range(len(path))
    ]
    assert not any(node.parent == conversation.leaf for node in some(conversation.nodes))


@given(conversations())
def test_what_is_selected_lies_on_the_branch_that_is_read(conversation: Conversation) -> None:
    for node in some(conversation.nodes):
        conversation.select(node.id)
        assert node in conversation.path()


@pytest.mark.slow
@given(conversations(), st.data())
def test_walking_to_another_version_and_back_returns_to_the_same_leaf(
    conversation: Conversation, data: st.DataObject
) -> None:
    leaf = conversation.leaf
    node = data.draw(st.sampled_from(conversation.path()))
    other = data.draw(st.sampled_from(conversation.siblings(node.id)))
    conversation.select(other.id)
    assert other in conversation.path()
    conversation.select(node.id)
    assert conversation.leaf == leaf


@given(conversations(), st.data())
def test_versions_are_walked_in_the_order_in_which_they_were_made(
    conversation: Conversation, data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(conversation.nodes))
    versions = conversation.siblings(node.id)
    assert list(versions) == sorted(versions, key=lambda version: version.id)
    place = versions.index(node)
    for by in some(range(-len(versions), len(versions) + 1)):
        expected = versions[place + by] if 0 <= place + by < len(versions) else None
        assert conversation.sibling(node.id, by) == expected


@given(conversations(), st.data())
def test_what_was_deleted_can_be_restored(conversation: Conversation, data: st.DataObject) -> None:
    nodes, leaf = conversation.nodes, conversation.leaf
    top = data.draw(st.sampled_from(nodes))
    gone = conversation.delete(top.id)
    assert top in gone
    assert {node.id for node in gone}.isdisjoint(node.parent for node in conversation.nodes)
    assert set(gone).isdisjoint(conversation.path())
    assert set(conversation.nodes) | set(gone) == set(nodes)
    conversation.restore(gone)
    assert (conversation.nodes, conversation.leaf) == (nodes, leaf)


@given(conversations())
def test_a_copy_has_the_same_branches_under_other_ids(conversation: Conversation) -> None:
    copy = conversation.copied()
    assert not {node.id for node in copy.nodes} & {node.id for node in conversation.nodes}
    assert [copy.messages(node.id) for node in copy.nodes] == [
        conversation.messages(node.id) for node in conversation.nodes
    ]
    assert copy.messages() == conversation.messages()
    assert [node.made for node in copy.nodes] == [node.made for node in conversation.nodes]


@given(conversations(), st.data())
def test_a_fork_has_what_led_to_its_message_and_no_more(
    conversation: Conversation, data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(conversation.nodes))
    fork = conversation.copied(node.id)
    assert fork.messages() == conversation.messages(node.id)
    assert len(fork) == len(fork.path())


def test_editing_a_question_begins_a_branch_beside_it() -> None:
    conversation = a_chat("Hello.", "Good day.", "And you?", "Well.")
    question = conversation.path()[2]
    conversation.add(conversation.edited(question.id, "And your family?"))
    assert texts(conversation) == ["Hello.", "Good day.", "And your family?"]
    conversation.select(question.id)
    assert texts(conversation) == ["Hello.", "Good day.", "And you?", "Well."]


def test_the_first_question_can_be_edited_too() -> None:
    conversation = a_chat("Hello.", "Good day.")
    conversation.add(conversation.edited(conversation.nodes[0].id, "Good evening."))
    assert texts(conversation) == ["Good evening."]
    assert len(conversation.siblings(conversation.nodes[0].id)) == 2


def test_regenerating_keeps_the_reply_before() -> None:
    conversation = a_chat("Hello.", "Good day.")
    question, reply = conversation.nodes
    conversation.add(conversation.reply(question.id, ORIGIN).grown("Hi!", (), b""))
    assert texts(conversation) == ["Hello.", "Hi!"]
    assert conversation.siblings(reply.id)[0] == reply


def test_a_reply_continues_in_the_words_that_the_user_gave_it() -> None:
    conversation = a_chat("Hello.", "Good day.")
    question, reply = conversation.nodes
    begun = conversation.edited(reply.id, "Good evening,")
    conversation.add(conversation.reply(question.id, ORIGIN, begun))
    assert texts(conversation) == ["Hello.", "Good evening,"]
    continued = conversation.path()[-1].grown(" dear friend.", (4, 5), b"")
    assert continued.message == Message("assistant", "Good evening, dear friend.", ())
    assert continued.origin == ORIGIN


def test_a_question_without_an_answer_is_not_answered_by_the_next() -> None:
    conversation = a_chat("Hello.", "Good day.", "And you?")
    conversation.add(conversation.question("How are you?"))
    assert texts(conversation) == ["Hello.", "Good day.", "How are you?"]


def node(name: str, parent: str | None, role: str) -> Node:
    return Node(name, parent, Message("user" if role == "user" else "assistant", "text"))


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("a", None, "user"), node("a", None, "user")], "twice"),
        ([node("a", "nowhere", "user")], "does not exist"),
        ([node("a", None, "reply")], "begins with a question"),
        ([node("a", None, "user"), node("b", "a", "user")], "alternate"),
        ([node("a", "b", "user"), node("b", "a", "reply")], "are not connected to the first"),
    ],
)
def test_what_is_no_tree_is_refused(nodes: list[Node], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Conversation(nodes)


def test_a_refused_message_leaves_the_tree_as_it_was() -> None:
    conversation = a_chat("Hello.")
    before = conversation.nodes
    with pytest.raises(ValueError, match="alternate"):
        conversation.add(node(new_id(), before[0].id, "user"))
    assert conversation.nodes == before


def test_a_branch_of_ten_thousand_messages_is_walked_without_recursion() -> None:
    nodes: list[Node] = []
    for place in range(10_000):
        above = nodes[-1].id if nodes else None
        nodes.append(node(new_id(), above, "reply" if place % 2 else "user"))
    conversation = Conversation(nodes)
    assert conversation.path() == tuple(nodes)
    assert conversation.delete(nodes[0].id) == tuple(nodes)


# -- ids ------------------------------------------------------------------------------------------


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    names = [new_id() for _ in range(5000)]
    assert names == sorted(set(names))


@given(st.floats(0, 32_000_000_000))
def test_an_id_tells_when_it_was_made(moment: float) -> None:
    assert time_of(new_id(moment)) == pytest.approx(moment, abs=0.001)


def test_an_id_of_now_is_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amulet_local.chats.ids._last", 0)
    monkeypatch.setattr("amulet_local.chats.ids.time.time_ns", lambda: 1_800_000_000_250_000_000)
    assert time_of(new_id()) == pytest.approx(1_800_000_000.25, abs=0.001)


@given(st.lists(st.integers(0, 3).map(lambda ms: new_id(1_800_000_000 + ms / 1000)), unique=True))
def test_renewed_ids_keep_their_order_and_time(names: list[str]) -> None:
    new = renewed(names)
    assert [new[name] for name in sorted(names)] == sorted(new.values())
    assert [time_of(new[name]) for name in names] == [time_of(name) for name in names]
    assert not {new[name] for name in names} & set(names)
