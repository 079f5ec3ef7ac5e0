"""One exchange: what the user said, and the reply to it, with how it came about below."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from amulet_local.realignment import label
from tui.changes import Ended
from tui.text import clean, speed
from tui.widgets.reply import Reply

_WAITS = "… waits until the model is ready"
_ENDS = {
    "stop": "",
    "length": "■ cut off: the reply or the context is at its longest",
    "cancelled": "■ stopped",
    "died": "■ the engine stopped here",
}


class Turn(Widget):
    """A message that waits, then is answered. All text is shown as it is, never as markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.reply = Reply()
        self._note = Static(_WAITS, classes="note")

    def compose(self) -> ComposeResult:
        """The message, the reply, the note."""
        yield Static(Content(clean(self._text)), classes="question")
        yield self.reply
        yield self._note

    def begin(self) -> None:
        """The message is being answered."""
        self._note.display = False

    def finish(self, ended: Ended) -> None:
        """The reply is complete."""
        self.reply.finish()
        self._note.update(Content(_how(ended)))
        self._note.display = True


def _how(ended: Ended) -> str:
    """A line on how the reply came about."""
    steering, stats = ended.steering, ended.stats
    parts = [_ENDS[ended.reason]]
    if not ended.text:
        parts.append("the model said nothing")
    if steering.preset:
        parts.append(f"{steering.title} {steering.strength:.2f} {label(steering.strength)}")
    if stats:
        parts.append(f"{stats.tokens:,} tokens, {speed(stats.tokens_per_s)}")
    return " · ".join(part for part in parts if part)
