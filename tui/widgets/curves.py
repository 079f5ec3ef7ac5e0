"""How shift and strength went over a reply, as two rows of bars; a click goes to a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from amulet_local.strengths import BASE
from tui.heatmap.colours import LEAST_SHIFT
from tui.heatmap.sparkline import bars, column_of, first_of, squeezed
from tui.heatmap.tokens import Reading

_TOLD = 14  # cells for numbers
_WIDEST = 4  # cells of a bar


class Curves(Widget):
    """cursor: the number of the token that is marked in both."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"name", "shift", "strength", "mark"}
    ALLOW_SELECT = False
    _NAMES = 10  # cells

    cursor: reactive[int] = reactive(0)

    class Pointed(Message):
        """The user points at a token."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        measured = [token.measures for token in reading.tokens]
        self._shifts = [it.shift or 0.0 for it in measured]
        self._strengths = [it.strength for it in measured]

    def render(self) -> Content:
        """A row each: name, bars, the most of it."""
        most = max(self._shifts)
        low, high = min(BASE, *self._strengths), max(self._strengths)
        told = f"{self._strengths[0]:.2f}"
        if max(self._strengths) - min(self._strengths) > 0.005:
            told = f"{min(self._strengths):.2f} to {high:.2f}"
        return Content("\n").join(
            [
                self._row("shift", self._shifts, 0.0, max(most, LEAST_SHIFT), f"max {most:.2f}"),
                self._row("strength", self._strengths, low, max(high, BASE + 1), told),
            ]
        )

    @property
    def _room(self) -> int:
        return max(1, self.content_size.width - self._NAMES - _TOLD)

    @property
    def _stretch(self) -> int:
        """How many cells a token takes, where there is room."""
        return max(1, min(_WIDEST, self._room // len(self._shifts)))

    def _row(
        self, name: str, values: Sequence[float], low: float, high: float, told: str
    ) -> Content:
        wide = self._stretch
        row = "".join(bar * wide for bar in bars(squeezed(values, self._room), low, high))
        mark = column_of(self.cursor, len(values), self._room) * wide
        return Content.assemble(
            (name.ljust(self._NAMES), ".name"),
            (row[:mark], f".{name}"),
            (row[mark : mark + wide], ".mark"),
            (row[mark + wide :], f".{name}"),
            (f" {told}", ".name"),
        )

    def on_click(self, event: events.Click) -> None:
        """To the token below the mouse."""
        place = event.get_content_offset(self)
        column = (place.x - self._NAMES) // self._stretch if place else -1
        if 0 <= column < min(self._room, len(self._shifts)):
            self.post_message(self.Pointed(first_of(column, len(self._shifts), self._room)))
