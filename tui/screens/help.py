"""What the keys do, and what the dial is: made from the registry of actions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import HELP, PLACES, Action, bindings
from tui.markdown import Block, Styled
from tui.visuals import Hanging, Stack

_ABOUT = (
    "A preset is a preference in words. The dial says how strongly every word of the reply is "
    "realigned to it: 0 (base) ignores it, 1 (prompt) only asks for it, 3 (LA) is firm, 5.65 "
    "(Amulet) is as strong as in the paper, below 0 leads away from it. What you change counts "
    "from the next message on."
)
_WIDTH = 20  # of the keys


class _Line(Static):
    """The keys of an action, and what it does."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"gutter"}


class HelpScreen(ModalScreen[None]):
    """Closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(HELP)

    def compose(self) -> ComposeResult:
        """What the dial is, then the keys, by where they count."""
        with VerticalScroll(id="window"):
            yield Static(Content(_ABOUT), id="about")
            for place, actions in PLACES.items():
                yield Static(Content(place), classes="place")
                for action in actions:
                    yield self._line(action)

    def on_mount(self) -> None:
        """Keys scroll it at once."""
        window = self.query_one("#window")
        window.border_title = "Help"
        window.border_subtitle = "Esc or q closes"
        window.focus()

    def _line(self, action: Action) -> _Line:
        shown = [self.app.get_key_display(Binding(key, "")) for key in action.keys.split(",")]
        keys = "  ".join(shown).ljust(_WIDTH)
        return _Line(
            Stack([Hanging(Block("text", Styled(action.help), keys, " " * _WIDTH, False))])
        )

    def action_close(self) -> None:
        """Back to the chat."""
        self.dismiss()
