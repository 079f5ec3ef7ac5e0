"""A text of tokens in lines: every cell of every line belongs to one token.

Texts of tokens go in, lines of runs come out, wrapped at words. Nothing is left out: what has no
width shows as a dotted circle, a line feed as an arrow, so that a cursor has a place to stand on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len

from tui.markdown.sanitising import clean

NOTHING = "◌"
LINE_FEED = "↵"
_TAB = "→   "


@dataclass(frozen=True)
class Run:
    """What a token has in one line: its text, and the cells it takes: start to end."""

    token: int
    text: str
    start: int
    end: int


Line = tuple[Run, ...]
_Cell = tuple[int, str, int, bool]  # token, character, width, whether the line ends with it


def lay_out(texts: Sequence[str], width: int) -> list[Line]:
    """Lines of this width; a space may hang one cell past their end."""
    lines: list[list[_Cell]] = [[]]
    used = breakable = 0  # cells of the last line; where in it a word begins
    for cell in _cells(texts):
        _, character, cells, last = cell
        room = width + (character == " ")
        while used + cells > room and lines[-1]:
            carried = lines[-1][breakable:] if breakable else []
            if carried:
                del lines[-1][breakable:]
            lines.append(carried)
            used, breakable = sum(size for _, _, size, _ in carried), 0
        lines[-1].append(cell)
        used += cells
        if last:
            lines.append([])
            used = breakable = 0
        elif character == " ":
            breakable = len(lines[-1])
    if not lines[-1] and len(lines) > 1:
        lines.pop()
    return [tuple(_runs(line)) for line in lines]


def shown(text: str) -> str:
    """A token's text on one line, in a list: spaces that nobody would see are marked."""
    text = "".join(character for _, character, _, _ in _cells([text]))
    bare = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    return "␣" * before + bare + "␣" * (len(text) - before - len(bare))


def _cells(texts: Iterable[str]) -> Iterator[_Cell]:
    for token, text in enumerate(texts):
        safe: str = clean(text)
        if not any(it in "\n\t" or cell_len(it) for it in safe):
            safe = NOTHING + safe
        for character in safe:
            if character == "\n":
                yield token, LINE_FEED, 1, True
            elif character == "\t":
                yield from ((token, part, 1, False) for part in _TAB)
            else:
                yield token, character, cell_len(character), False


def _runs(line: Iterable[_Cell]) -> Iterator[Run]:
    start = 0
    for token, cells in groupby(line, key=lambda cell: cell[0]):
        own = list(cells)
        end = start + sum(size for _, _, size, _ in own)
        yield Run(token, "".join(character for _, character, _, _ in own), start, end)
        start = end
