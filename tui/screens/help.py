"""What the keys do, and what the dial is: made from the registry of actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content, Span
from textual.widgets import Static

from tui.actions import HELP, PLACES, Action, bindings, shown_keys
from tui.markdown.drawing import Hanging, Stack
from tui.markdown.parsing import Block
from tui.markdown.styled import Styled
from tui.screens.dialog import Dialog

_ABOUT = (
    "A preset is a preference in words. The dial says how strongly every word of the reply is "
    "realigned to it: 0 (base) ignores it, 1 (prompt) only asks for it, 3 (LA) is firm, 5.65 "
    "(Amulet) is the paper's strength, and below 0 leads away from it. The dial applies from the "
    "next word on, even in a reply being written; a new preset applies from the next message. "
    "Keys can be changed in config.toml, under [keys], using the names on the right."
)
_WIDTH = 26  # of the keys


class _Keys(Static):
    """The keys of a place's actions, and what they do; not a widget a line, which takes a second to
    open."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"gutter", "address"}


class HelpScreen(Dialog[None]):
    """Closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(HELP)

    def compose(self) -> ComposeResult:
        """What the dial is, then the keys, by where they count."""
        with VerticalScroll(id="window"):
            yield Static(Content(_ABOUT), id="about")
            for place, actions in PLACES.items():
                yield Static(Content(place), classes="place")
                yield _Keys(Stack([*self._lines(actions)]))

    def on_mount(self) -> None:
        """Keys scroll it at once."""
        window = self.query_one("#window")
        window.border_title = "Help"
        window.border_subtitle = "Esc or q closes"
        window.focus()

    def _lines(self, actions: Sequence[Action]) -> Iterator[Hanging]:
        above: list[str] = []
        for action in actions:
            keys = shown_keys(self.app, action)
            yield _line(action, [] if keys == above else keys)
            above = keys

    def action_scroll(self, lines: int) -> None:
        """Up or down."""
        self.query_one("#window").scroll_relative(y=lines, animate=False)

    def action_end(self, end: int) -> None:
        """To the beginning, or the end."""
        window = self.query_one("#window")
        if end > 0:
            window.scroll_end(animate=False)
        else:
            window.scroll_home(animate=False)

    def action_close(self) -> None:
        """Back to the chat."""
        self.dismiss()


def _line(action: Action, keys: Sequence[str]) -> Hanging:
    """keys: none where they are those of the line above, which has the same in another case."""
    ways = [*keys, f"/{action.command}"] if action.command else keys
    lead = "  ".join(ways).ljust(_WIDTH - 1) + " "
    name = f"  ({action.key_id})" if action.keys else ""
    text = action.help + name
    styled = Styled(text, (Span(len(action.help), len(text), ".address"),))
    return Hanging(Block("text", styled, lead, " " * _WIDTH, False))
