"""What screens share in which one thing of a list is chosen: a filter, the list, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static

from tui.actions import LIST, bindings
from tui.markdown.sanitising import clean
from tui.screens.dialog import Dialog
from tui.widgets.fields import Line

Chosen = TypeVar("Chosen")


class PickList(OptionList):
    """The list; with the focus, letters are keys in it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(LIST)

    def on_resize(self) -> None:
        """What is at hand stays in sight."""
        self.call_after_refresh(self.scroll_to_highlight)


class Picker(Dialog[Chosen | None], Generic[Chosen]):
    """Dismissed with what was chosen, or None. Keys move in the list while one types.

    PLACEHOLDER: of the filter. PARTS: ids of the texts about the one at hand.
    """

    PLACEHOLDER: ClassVar[str]
    PARTS: ClassVar[Sequence[str]]

    def compose(self) -> ComposeResult:
        """The filter, the list, the texts; then what a screen has below."""
        with Vertical(id="window"):
            yield Line(placeholder=self.PLACEHOLDER, id="filter")
            with Horizontal(id="halves"):
                yield PickList(id="list", markup=False)
                with VerticalScroll(id="about", can_focus=False):
                    for part in self.PARTS:
                        yield Static(id=part)
            yield from self.below()

    def below(self) -> ComposeResult:
        """Nothing, unless a screen says otherwise."""
        yield from ()

    def tell(self, texts: Mapping[str, str]) -> None:
        """Show these texts about the one at hand, by their ids."""
        for part, text in texts.items():
            self.query_one(f"#{part}", Static).update(Content(clean(text)))

    def action_move(self, steps: int) -> None:
        """Up or down the list, from wherever the keys go."""
        options = self.query_one(OptionList)
        for _ in range(abs(steps)):
            options.action_cursor_down() if steps > 0 else options.action_cursor_up()

    def action_close(self) -> None:
        """Leave things as they are."""
        self.dismiss(None)
