"""One message as it is read: a question, a reply with how it came about, or one that waits."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message as Event
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from amulet_local.conversation import Node
from amulet_local.provenance import Origin, Reason, unpack
from amulet_local.realignment import label
from tui.text import clean, count, speed
from tui.widgets.reply import Reply

_FOLDED = 14  # lines of a long question that are shown
_WAITS = "… waits until the model is ready"
_ENDS: dict[Reason, str] = {
    "stop": "",
    "length": "■ cut off: the reply or the context is at its longest",
    "cancelled": "■ stopped",
    "died": "■ the engine stopped here",
    "interrupted": "■ interrupted",
}


@dataclass(frozen=True)
class Entry:
    """A message to show. version, versions: which of how many, counted from 1. preset: what to
    call its preset, if it has one."""

    node: Node
    version: int = 1
    versions: int = 1
    preset: str = ""


class MessageView(Widget):
    """A message; the selected one is what keys in the transcript are about."""

    selected_class = "-selected"

    class Clicked(Event):
        """The user points at a message."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry
        self._note = Static(classes="note")

    @property
    def node(self) -> Node:
        """What it shows."""
        return self.entry.node

    def on_mount(self) -> None:
        """Everything is there to be written to."""
        self._tell()

    def update(self, entry: Entry) -> None:
        """Show the message as it is now."""
        if entry != self.entry:
            self.entry = entry
            self._tell()

    def on_click(self, event: events.Click) -> None:
        """Select it."""
        self.post_message(self.Clicked(self.node.id))

    def _tell(self) -> None:
        note = self.note()
        self._note.display = bool(note.plain)
        self._note.update(note)

    def note(self) -> Content:
        """The line below the text."""
        return self._versions()

    def _versions(self) -> Content:
        """Which version it is, with ways to the others; empty where there is but one."""
        entry = self.entry
        if entry.versions < 2:
            return Content()
        before, after = (
            Content.styled(arrow, Style.from_meta({"@click": f"screen.walk({by})"}))
            for arrow, by in (("‹", -1), ("›", 1))
        )
        return before + Content(f" {entry.version}/{entry.versions} ") + after


class Question(MessageView):
    """What the user said; a long one is folded, and says so."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        self._unfolded = False
        self._text = Static(classes="said")

    def compose(self) -> ComposeResult:
        """The text, and its versions."""
        yield self._text
        yield self._note

    def _tell(self) -> None:
        super()._tell()
        lines = clean(self.node.message.text).split("\n")
        shown = "\n".join(lines if self._unfolded else lines[:_FOLDED])
        rest = len(lines) - _FOLDED
        if rest > 0 and not self._unfolded:
            shown += f"\n… {rest:,} more lines; space shows them"
        self._text.update(Content(shown))

    def unfold(self) -> None:
        """Show the rest, or hide it again."""
        self._unfolded = not self._unfolded
        self._tell()


class Answer(MessageView):
    """A reply, drawn as it grows, with how it came about below."""

    def __init__(self, entry: Entry, *, growing: bool = False) -> None:
        super().__init__(entry)
        self.reply = Reply()
        self._growing = growing
        self.reply.write(entry.node.message.text)
        if not growing:
            self.reply.finish()

    def compose(self) -> ComposeResult:
        """The text and the note."""
        yield self.reply
        yield self._note

    def write(self, text: str) -> None:
        """The reply has grown; drawn by `draw`."""
        self.reply.write(text)

    def draw(self) -> None:
        """Draw what was written."""
        self.reply.draw()

    def finish(self, entry: Entry) -> None:
        """The reply is complete."""
        self._growing = False
        self.reply.finish()
        self.update(entry)
        self._tell()

    def note(self) -> Content:
        """How the reply came about."""
        if self._growing:
            return Content()
        parts = [Content(part) for part in how(self.entry)]
        if versions := self._versions():
            parts.append(versions)
        return Content(" · ").join(parts)


class Waiting(Static):
    """A message that waits for its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(Content(f"{clean(text)}\n{_WAITS}"), classes="said waits")


def how(entry: Entry) -> list[str]:
    """How a reply came about, in pieces: its end, its steering, what it cost, its seed."""
    node = entry.node
    if node.origin is None:
        return ["in your words"]
    ending, stats = node.ending, node.ending.stats if node.ending else None
    parts = [_ENDS[ending.reason]] if ending else []
    if not node.message.text:
        parts.append("the model said nothing")
    if node.origin.preference:
        parts.append(steered(entry))
    if stats:
        parts.append(f"{count(stats.tokens, 'token')}, {speed(stats.tokens_per_s)}")
        parts.append(f"first after {stats.first_token_s:.1f} s")
    parts.append(f"seed {node.origin.seed}")
    return [part for part in parts if part]


def steered(entry: Entry) -> str:
    """How a reply was steered, in words; empty where it was not."""
    origin = entry.node.origin
    if origin is None or not origin.preference:
        return ""
    return f"{clean(entry.preset)} {strengths_in_words(entry.node, origin)}"


def strengths_in_words(node: Node, origin: Origin) -> str:
    """The strength that was asked for, and the one it ended with where the dial was turned."""
    asked = f"{origin.strength:.2f} {label(origin.strength)}"
    try:
        used = [token.strength for token in unpack(node.measures)]
    except ValueError:
        return asked
    if used and abs(used[-1] - origin.strength) > 0.005:
        return f"{origin.strength:.2f} → {used[-1]:.2f} {label(used[-1])}"
    return asked
