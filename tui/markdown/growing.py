"""Markdown that grows: the blocks of a text that arrives piece by piece.

Only what follows the last closed block is parsed again, and the less often the longer that is. So a
token late in a long reply costs what an early one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markdown_it.token import Token

from tui.markdown.dialect import parse
from tui.markdown.parsing import (
    CODE_LINES,
    LONGEST_LINE,
    TAB,
    TEXT_LENGTH,
    Block,
    Kind,
    blocks,
    blocks_of,
)
from tui.markdown.sanitising import clean
from tui.markdown.styled import Styled

# A text that is still open, an item or a row for instance, is parsed whole with every addition as
# long as that takes as much as so many characters of prose; then each time it has grown by a share.
# In between, what is new is shown as it was written. Each character is so parsed _SHARE times.
_PARSED_AT_ONCE = 4000
_SHARE = 32
_TOKEN_COST = 4  # characters of prose that take as long as a token


_NOTHING = Block("rule", gap=False)


class GrowingMarkdown:
    """The blocks of a text that arrives piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._closed = 0  # blocks that stay
        self._tail = ""  # what follows them, as far as it was parsed
        self._fresh: list[str] = []  # and what has come since
        self._fresh_length = 0
        self._work = 0  # what parsing the open part takes, in characters of prose
        self._shown = 0  # all blocks
        self._last = _NOTHING
        self._last_parsed = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def add(self, text: str) -> tuple[int, list[Block]]:
        """Take more text; returns (n, blocks): the first n blocks stay, these follow them."""
        text = clean(text)
        self._pieces.append(text)
        self._fresh.append(text)
        self._fresh_length += len(text)
        if self._fresh_length * _SHARE < self._work - _PARSED_AT_ONCE:
            return self._as_written(text)
        self._tail += "".join(self._fresh)
        self._fresh, self._fresh_length = [], 0
        tokens = parse(self._tail)
        start, line = _last_opened(tokens, before=self._tail.count("\n"))
        kept = self._closed
        closed = list(blocks_of(tokens[:start], first=not kept))
        self._closed += len(closed)
        still_open = list(blocks_of(tokens[start:], first=not self._closed))
        self._tail = self._tail.split("\n", line)[-1]
        self._work = len(self._tail) + _TOKEN_COST * _count(tokens[start:])
        self._shown = self._closed + len(still_open)
        self._last, self._last_parsed = (still_open or [_NOTHING])[-1], True
        return kept, [*closed, *still_open]

    def _as_written(self, text: str) -> tuple[int, list[Block]]:
        """Show what is new behind the last block, without parsing it."""
        last = self._last
        if self._last_parsed:  # which is shown without the line feeds at its end
            text = self._tail[len(self._tail.rstrip("\n")) :] + text
            self._last_parsed = False
        kept = self._shown
        if last.kind in ("text", "code") and not _is_full(last, text):
            kept -= 1
            styled = replace(last.styled, text=last.styled.text + _as_shown(last.kind, text))
            self._last = replace(last, styled=styled)
        else:
            kind: Kind = "code" if last.kind == "code" else "text"
            text = _as_shown(kind, text.lstrip("\n"))
            self._last = Block(kind, Styled(text), last.rest, last.rest, gap=False)
        self._shown = kept + 1
        return kept, [self._last]

    def finish(self) -> list[Block]:
        """All blocks, now that nothing follows: code is highlighted as a whole."""
        return blocks(self.text)


def _is_full(block: Block, text: str) -> bool:
    """Whether a block takes no more text, but another one goes on."""
    if "\n" not in text[:1]:
        return len(block.styled.text) > LONGEST_LINE
    lines = block.styled.text.count("\n") + 1
    return lines >= CODE_LINES if block.kind == "code" else len(block.styled.text) >= TEXT_LENGTH


def _as_shown(kind: Kind, text: str) -> str:
    return text.expandtabs(TAB) if kind == "code" else text


def _count(tokens: Sequence[Token]) -> int:
    return len(tokens) + sum(len(token.children or ()) for token in tokens)


def _last_opened(tokens: Sequence[Token], before: int) -> tuple[int, int]:
    """Index and line of the last top-level block that a complete line has opened.

    `before` counts the complete lines. An incomplete one may still turn out to belong to the block
    before it: "#" opens a heading, "#tag" goes on with a paragraph. Nor is anything closed behind
    a block whose end is undecided.
    """
    found = 0, 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.map and token.map[0] < before:
            found = index, token.map[0]
            if token.meta.get("undecided"):
                break
    return found
