"""From the search to the word itself: it is in sight and marked, until the next key."""

from __future__ import annotations

import pytest
from textual.content import Content

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.search import Snippet
from amulet_local.protocol.message import Message
from tests.fake_engine import FakeEngine
from tests.tui.running import SMALL, Running, chat, strips
from tui.markdown.parsing import blocks
from tui.markdown.search_marks import STYLE, Found, first_row

MANY = "\n\n".join(
    f"Paragraph {number} says what a walker would like to know." for number in range(60)
)
CODE = "a = 1\n" * 40
FOUND_IN = {
    "a paragraph": f"{MANY}\n\nThen comes the **Needle** of rock.\n\n{MANY}",
    "a list": f"{MANY}\n\n- one\n  - the Needle\n- two\n\n{MANY}",
    "code": f"{MANY}\n\n```py\n{CODE}needle = Needle\n```\n\n{MANY}",
    "a table": f"{MANY}\n\n| what | where |\n|---|---|\n| a | b |\n| Needle | rock |\n\n{MANY}",
    "a link": f"{MANY}\n\nSee [the Needle](https://example.org/rock).\n\n{MANY}",
}


def snippet(text: str, *words: str) -> Snippet:
    """A text as the store marks it."""
    marks = [(text.index(word), text.index(word) + len(word)) for word in words]
    return Snippet(text, tuple(sorted(marks)))


def found(text: str, *words: str) -> Found:
    result = Found.of(snippet(text, *words))
    assert result
    return result


def marked(text: str, *words: str) -> list[str]:
    """What of a drawn text is marked."""
    drawn = found(text, *words).in_blocks(blocks(text))
    texts = [styled for block in drawn for styled in (block.styled, *sum(block.rows, ()))]
    return [
        styled.text[span.start : span.end]
        for styled in texts
        for span in styled.spans
        if span.style == STYLE
    ]


def test_words_are_whole_and_as_they_were_found() -> None:
    assert marked("A cat concatenates cats. The Cat.", "cat") == ["cat"]
    assert marked("Über die Küste, ueber die Kueste", "Über", "Küste") == ["Über", "Küste"]


def test_phrases_stand_together_whatever_markdown_was_between() -> None:
    text = "The path. The coast **path** is long."
    assert marked(text, "coast **path**") == ["coast path"]


@pytest.mark.parametrize(
    "text",
    [
        "a `my_needle_2 = 1`",
        "```py\nmy_needle = 1\n```",
        "```md\n```py\nneedle\n```\n```",
        r"\(x_{needle}\)",
        r"\[ \needle\,dx \]",
        "$$\nx_needle\n$$",
        "_needle_",
    ],
)
def test_words_are_found_in_code_and_mathematics_too(text: str) -> None:
    assert marked(text, "needle") == ["needle"]


def test_scripts_without_spaces_are_found_in_parts() -> None:
    assert marked("海岸の道を歩く", "海岸") == ["海岸"]


def test_nothing_marked_is_nothing_found() -> None:
    assert Found.of(Snippet("text", ())) is None
    assert Found.of(Snippet("*** ***", ((0, 3),))) is None


def test_the_row_is_the_one_it_is_wrapped_to() -> None:
    content = found("x " * 40 + "needle", "needle").in_content(Content("x " * 40 + "needle"))
    assert first_row(content, 20) == 4
    assert first_row(Content("needle"), 20) is None


async def opened(running: Running, *texts: str) -> None:
    """Keep a chat of these messages, search for the needle, and open what is found."""
    nodes: list[Node] = []
    for place, text in enumerate(texts):
        parent = nodes[-1].id if nodes else None
        nodes.append(Node(new_id(), parent, Message("assistant" if place % 2 else "user", text)))
    store = running.session.history
    store.add_chat(new_chat_id(), "Long", Conversation(nodes), 1.0)
    await search(running, "needle")


async def search(running: Running, word: str) -> None:
    """Search for a word, and open what is found."""
    await running.say(f"/search {word}")
    for _ in range(3):  # the list answers a search, and then a look into what it highlights
        await running.workers_done()
        await running.settle()
    await running.press("enter")


@pytest.mark.parametrize("where", FOUND_IN)
async def test_the_word_is_in_sight_and_marked_until_the_next_key(
    where: str,
) -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await opened(running, "Where to?", FOUND_IN[where], "And then?", "Home.")
        rows = [row for row, line in enumerate(running.shown().split("\n")) if "eedle" in line]
        assert rows, running.shown()
        assert SMALL[1] // 8 <= rows[0] <= SMALL[1] * 2 // 3
        assert marked_words(running) >= {"Needle"}
        assert running.transcript.selected is not None
        await running.press("x")
        assert not marked_words(running)
        assert "eedle" in running.shown()


def marked_words(running: Running) -> set[str]:
    """What stands out on the screen."""
    return {
        segment.text.strip()
        for strip in strips(running.screen)
        for segment in strip
        if segment.style
        and segment.style.underline
        and segment.style.bold
        and "eedle" in segment.text
    }


async def test_in_a_long_question_the_fold_is_opened() -> None:
    lines = "\n".join(f"line {number}" for number in range(60))
    async with chat(FakeEngine(), size=SMALL) as running:
        await opened(running, f"{lines}\nThe needle is here.\n{lines}", "Home.")
        assert "The needle is here." in running.shown()
        assert marked_words(running) == {"needle"}
        await running.press("escape")
        assert not marked_words(running)


async def test_another_word_in_the_open_chat_is_gone_to_as_well() -> None:
    async with chat(FakeEngine()) as running:
        await opened(running, "Where to?", f"{MANY}\n\nNeedle.\n\n{MANY}\n\nHaystack.\n\n{MANY}")
        await running.press("escape")
        await search(running, "haystack")
        assert "Haystack." in running.shown()
        assert "Needle" not in running.shown()
