"""What a screen looks like, as a text that can be read and compared line by line.

The rows of a screen go in; out comes a Look, its letters and how every cell is painted, in a theme.
`written` makes one text of a screen's looks in several themes: the rows; the rows once more, with a
letter for each way to be painted; what these letters stand for. Nothing here knows what is on the
screens.
"""

from __future__ import annotations

import functools
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual.color import Color
from textual.strip import Strip

from tui.heatmap.contrast import contrast

_NAMES = " " + string.ascii_letters + string.digits + "#$%&*+=?@<>!^~:;"
_WEIGHTS = ("bold", "dim", "italic", "underline", "strike", "reverse")
_LEGEND = "    "  # before a line that says what a letter stands for


@dataclass(frozen=True)
class Paint:
    """Colours as #rrggbb. ink: of the letter, empty where there is none. weight: bold and so on."""

    ink: str
    ground: str
    weight: str

    def __str__(self) -> str:
        return " ".join(filter(None, [self.ink, f"on {self.ground}", self.weight]))

    @functools.cached_property
    def contrast(self) -> float:
        """How much the letter stands out."""
        return contrast(Color.parse(self.ink or self.ground), Color.parse(self.ground))


@dataclass(frozen=True)
class Look:
    """rows: the letters of a screen; paints: of every cell of every row."""

    rows: tuple[str, ...]
    paints: tuple[tuple[Paint, ...], ...]

    @classmethod
    def of(cls, drawn: Sequence[Strip]) -> Look:
        """Of the rows of a screen."""
        return cls(
            tuple(strip.text for strip in drawn),
            tuple(
                tuple(it for part in strip for it in _paints(part.text, part.style or Style()))
                for strip in drawn
            ),
        )

    def cells(self) -> Iterator[tuple[tuple[int, int], str, Paint]]:
        """Every letter with its column and row, as it is painted; those of two cells once."""
        for y, (row, paints) in enumerate(zip(self.rows, self.paints, strict=True)):
            x = 0
            for letter in row:
                yield (x, y), letter, paints[x]
                x += cell_len(letter)


def written(looks: Mapping[str, Look], before: str) -> str:
    """The text of one screen in several themes, by their names.

    before: the text of the same screen as it was; what looks as it did keeps its letter in it, so
    that a change shows where it is and nowhere else. Raises ValueError where a theme changes more
    than colours.
    """
    (first, *others) = looks.values()
    for other in others:
        changed = [pair for pair in zip(first.rows, other.rows, strict=True) if pair[0] != pair[1]]
        if changed:
            told = "\n".join(row for pair in changed for row in pair)
            raise ValueError(f"another theme changes what is written:\n{told}")
    themes = [[paint for row in look.paints for paint in row] for look in looks.values()]
    width = len(first.paints[0])
    painted = [_in_words(tuple(looks), paints) for paints in zip(*themes, strict=True)]
    names = _named(painted, before)
    letters = "".join(names[paint] for paint in painted)
    picture = [letters[start : start + width] for start in range(0, len(letters), width)]
    legend = [f"{_LEGEND}{name}  {paint}" for paint, name in sorted(names.items(), key=_by_name)]
    rows = [f"|{row}".rstrip() for row in (*first.rows, "", *picture)]
    return "\n".join([*rows, "|", *legend, ""])


def _named(painted: Sequence[str], before: str) -> dict[str, str]:
    """A letter for everything that is painted; the first that is free, for what had none: that is
    the space, for what there is most of."""
    known = [line.removeprefix(_LEGEND) for line in before.split("\n") if line.startswith(_LEGEND)]
    names = {line[3:]: line[0] for line in known if line[3:] in painted}
    free = (name for name in _NAMES if name not in names.values())
    (most, _), *_ = Counter(painted).most_common(1)
    for paint in [most, *painted]:
        if paint not in names:
            names[paint] = next(free)
    return names


def _by_name(named: tuple[str, str]) -> int:
    return _NAMES.index(named[1])


@functools.cache  # of thousands of cells, few are painted in a way of their own
def _in_words(themes: tuple[str, ...], paints: tuple[Paint, ...]) -> str:
    return "   ".join(f"{theme}: {paint}" for theme, paint in zip(themes, paints, strict=True))


def _paints(text: str, style: Style) -> Iterator[Paint]:
    """Of every cell."""
    for letter in text:
        yield from [_paint(style, letter == " ")] * cell_len(letter)


@functools.cache
def _paint(style: Style, space: bool) -> Paint:
    """A space has no ink, unless there is a line through or below it."""
    weights = [name for name in _WEIGHTS if getattr(style, name)]
    bare = space and not {"underline", "strike", "reverse"} & set(weights)
    ink, weight = ("", "") if bare else (_hex(style.color), " ".join(weights))
    return Paint(ink, _hex(style.bgcolor), weight)


def _hex(colour: object) -> str:
    triplet = getattr(colour, "triplet", None)
    assert triplet is not None, f"{colour}: a theme of ours leaves no colour to the terminal"
    return str(triplet.hex)
