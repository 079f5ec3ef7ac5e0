"""Search: words of any message, and where they stand."""

from __future__ import annotations

import pytest

from amulet_local.chats.conversation import Conversation
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id
from amulet_local.errors import UsageError
from tests.chats.stores import found, keep


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
