"""What an empty chat shows: what this is, and the three keys worth knowing."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from tui.actions import APP, CHAT, shown_key

_HINTS = {
    "pick_preset": "choose a preset: what replies should be like",
    "steer": "turn the dial: how strongly replies follow it",
    "help": "see all keys",
}


# Two lines of less than 50 cells: they fit where the terminal has 60.
_DIAL = (
    "The dial: at 0 the preset is ignored, at 1 it is",
    "just a request; from 3 up it shapes every word.",
)


class Welcome(Static):
    """A title, a sentence, hints; and once, while nothing was said yet, what the dial does."""

    introducing: reactive[bool] = reactive(False)

    def on_mount(self) -> None:
        """Keys are shown as in the footer."""
        self._tell()

    def watch_introducing(self) -> None:
        """Say more, or no more."""
        self._tell()

    def _tell(self) -> None:
        lines = [
            Content.styled("Amulet", "bold"),
            Content("Your preference is a dial, not a plea."),
            Content(),
        ]
        for action, hint in _HINTS.items():
            key = Content.styled(shown_key(self.app, (*CHAT, *APP), action), "bold")
            lines.append(key + Content(f"  {hint}"))
        if self.introducing:
            lines += [Content(), *map(Content, _DIAL)]
        self.update(Content("\n").join(lines))
