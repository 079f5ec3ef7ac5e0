"""What an empty chat shows: what this is, and the three keys worth knowing."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.actions import APP, CHAT, shown_key

_HINTS = {
    "pick_preset": "choose a preset: how you want replies to be",
    "steer": "turn the dial: how strongly every word follows",
    "help": "all keys",
}


class Welcome(Static):
    """A title, a sentence, hints."""

    def on_mount(self) -> None:
        """Keys are shown as in the footer."""
        lines = [
            Content.styled("Amulet", "bold"),
            Content("Your preference is a dial, not a plea."),
            Content(),
        ]
        for action, hint in _HINTS.items():
            key = Content.styled(shown_key(self.app, (*CHAT, *APP), action), "bold")
            lines.append(key + Content(f"  {hint}"))
        self.update(Content("\n").join(lines))
