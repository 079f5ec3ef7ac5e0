"""What a search found, in a message as it is drawn: which words, and where they stand.

A Snippet of the store goes in; marked texts come out. The store marks a text as it was written,
with its Markdown; here the same words are found again in what is left of it on the screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from textual.content import Content, Span

from amulet_local.chats.migrations import spaced
from amulet_local.chats.search import Snippet
from tui.markdown.parsing import Block
from tui.markdown.sanitising import clean
from tui.markdown.styled import Styled

STYLE = ".found"


@dataclass(frozen=True)
class Found:
    """The words, as a pattern."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, snippet: Snippet) -> Found | None:
        """What is marked in a text; None where nothing is."""
        marked = {clean(snippet.text[start:stop]) for start, stop in snippet.marks}
        patterns = [_pattern(text) for text in sorted(marked, key=len, reverse=True)]
        return cls(re.compile("|".join(patterns))) if any(patterns) else None

    def mark(self, text: str) -> list[Span]:
        """Where they stand in a text."""
        return [Span(*match.span(), STYLE) for match in self.pattern.finditer(text) if match[0]]

    def in_content(self, content: Content) -> Content:
        """The same with the words marked."""
        return content.add_spans(self.mark(content.plain))

    def in_blocks(self, blocks: Iterable[Block]) -> list[Block]:
        """The same with the words marked."""
        return [
            replace(
                block,
                styled=self._in_styled(block.styled),
                rows=tuple(tuple(map(self._in_styled, row)) for row in block.rows),
            )
            for block in blocks
        ]

    def _in_styled(self, styled: Styled) -> Styled:
        return replace(styled, spans=(*styled.spans, *self.mark(styled.text)))


def first_row(content: Content, width: int) -> int | None:
    """The row of the first marked word, when a text is wrapped to a width; None without one."""
    for row, line in enumerate(content.wrap(max(1, width))):
        if any(span.style == STYLE for span in line.spans):
            return row
    return None


def _pattern(text: str) -> str:
    """Words that stand together, whatever stands between them; whole ones, where words are. For
    the store, an underline is no part of a word: of snake_case or of x_1 it finds either part."""
    words = re.findall(r"[^\W_]+", text)
    joined = r"[\W_]*".join(map(re.escape, words))
    whole = words and spaced(text) == text
    return rf"(?<![^\W_]){joined}(?![^\W_])" if whole else joined
