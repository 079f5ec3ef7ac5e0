"""A reply that grows: what is drawn anew with a token does not depend on what came before."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from amulet_local.chats.search import Snippet
from tests.checks import some, tortures
from tests.fake_engine import FakeEngine
from tests.tui.running import Running, chat
from tui.markdown.drawing import Hanging
from tui.markdown.parsing import Block
from tui.markdown.search_marks import Found
from tui.widgets.page import Page
from tui.widgets.reply import Reply

REPLIES = {
    "paragraphs": ("", "A paragraph of words.\n\n"),
    "lines": ("", "a line of words\n"),
    "one line": ("", "words and "),
    "items": ("", "- item with some words\n"),
    "code": ("```\n", "x = 1\n"),
    "rows": ("|a|b|\n|-|-|\n", "|c|d|\n"),
    "mathematics": ("", "\\[ x \\]\n"),
}


async def reply(running: Running, text: str) -> Reply:
    """A reply on the screen that begins so."""
    made = Reply()
    await running.transcript.mount(made)
    made.write(text)
    made.draw()
    await running.settle()
    return made


@pytest.mark.parametrize(
    "what", ["paragraphs", "one line", "code", "rows", *tortures("lines", "items", "mathematics")]
)
async def test_a_token_late_in_a_long_reply_touches_two_pages_and_few_blocks(what: str) -> None:
    first, piece = REPLIES[what]
    async with chat(FakeEngine()) as running:
        made = await reply(running, first + piece * (10_000 // len(piece)))
        shown, built = list[Page](), list[Block]()
        show, build = Page.show, Hanging.__init__

        def showing(page: Page, blocks: Sequence[Block]) -> None:
            shown.append(page)
            show(page, blocks)

        def building(hanging: Hanging, block: Block) -> None:
            built.append(block)
            build(hanging, block)

        with (
            patch.object(Page, "show", showing),
            patch.object(Hanging, "__init__", building),
        ):
            for _ in range(10):
                made.write(piece)
                made.draw()
        assert len(shown) <= 20
        assert 0 < len(built) <= 30
        assert max(len(block.styled.text) for block in built) <= 9000


async def test_pages_come_and_go_with_the_text_and_its_marks() -> None:
    async with chat(FakeEngine()) as running:
        lines = [f"- item {number}\n" for number in range(100)]
        made = await reply(running, "".join(lines[:50]))
        for line in lines[50:]:
            made.write(line)
            made.draw()
        made.mark(Found.of(Snippet("item", ((0, 4),))))
        made.write("- item 100\n")
        made.draw()
        made.finish()
        await running.settle()
        blocks = [block for page in made.query(Page) for block in page.blocks]
        assert [block.styled.text for block in blocks] == [f"item {n}" for n in range(101)]
        assert all(block.styled.spans for block in some(blocks))
        assert made.found_place() is not None
