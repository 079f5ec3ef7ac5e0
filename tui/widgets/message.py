"""One message as it is read: a question, a reply with how it came about, or one that waits."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message as Event
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from amulet_local.chats.conversation import Node
from tui.heatmap.summary import gain_in_words, how, shift_sparkline, thought_in_words
from tui.markdown.parsing import Block
from tui.markdown.sanitising import clean
from tui.markdown.search_marks import Found, first_row
from tui.markdown.styled import Styled
from tui.widgets.page import Page
from tui.widgets.reply import Reply
from tui.widgets.thought import ThoughtView

_FOLDED, _FOLDED_LENGTH = 14, 4_000  # lines and characters of a long question that are shown
_WAITS = "… waiting for the model"


@dataclass(frozen=True)
class Entry:
    """A message to show. version, versions: which of how many, counted from 1. preset: what to
    call its preset, if it has one."""

    node: Node
    version: int = 1
    versions: int = 1
    preset: str = ""


class MessageView(Widget):
    """A message; the selected one is what keys in the transcript are about.

    unfolded: whether all of it is shown: of a long question, of the thought before a reply.
    """

    selected_class = "-selected"

    class Clicked(Event):
        """The user points at a message."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Unfolded(Event):
        """All of a message is shown, or no more."""

        def __init__(self, view: MessageView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, entry: Entry, *, unfolded: bool = False) -> None:
        super().__init__()
        self.entry = entry
        self.unfolded = unfolded
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

    def unfold(self) -> None:
        """Show all of it, or fold it again."""
        self.unfolded = not self.unfolded
        self._fold()
        self.post_message(self.Unfolded(self))

    def _fold(self) -> None:
        """Show as much as is to be shown."""
        raise NotImplementedError

    def mark(self, found: Found | None) -> None:
        """Mark what a search found, or nothing any more."""
        raise NotImplementedError

    def found_place(self) -> tuple[Widget, int] | None:
        """The widget with the first word found, and the row in it."""
        raise NotImplementedError

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
            Content.styled(arrow, _click("screen.walk", by, self.node.id))
            for arrow, by in (("‹", -1), ("›", 1))
        )
        return before + Content(f" {entry.version}/{entry.versions} ") + after


class Question(MessageView):
    """What the user said, and wished of the reply; a long text is folded, and says so."""

    def __init__(self, entry: Entry, *, unfolded: bool = False) -> None:
        super().__init__(entry, unfolded=unfolded)
        self._text, self._wish = Static(classes="said"), Page([])
        self._wish.add_class("said")
        self._found: Found | None = None

    def compose(self) -> ComposeResult:
        """The text, the wish, and the versions."""
        yield self._text
        yield self._wish
        yield self._note

    def _tell(self) -> None:
        super()._tell()
        self._fold()

    def _fold(self) -> None:
        text = clean(self.node.message.text)
        shown, rest = (text, "") if self.unfolded else _folded(text)
        content = Content(f"{shown}{rest}; press space to show them" if rest else shown)
        wish = _wish_blocks(self.node.message.wish)
        self._text.update(self._found.in_content(content) if self._found else content)
        self._wish.show(self._found.in_blocks(wish) if self._found else wish)
        self._wish.display = bool(wish)

    def mark(self, found: Found | None) -> None:
        """See MessageView; unfolded, where the words are in what is folded."""
        self._found = found
        self._fold()
        if found and not self.unfolded and self.found_place() is None:
            self.unfold()

    def found_place(self) -> tuple[Widget, int] | None:
        """See MessageView."""
        content, width = self._text.content, self._text.content_size.width
        if isinstance(content, Content) and (row := first_row(content, width)) is not None:
            return self._text, row
        row = self._wish.found_row if self._wish.display else None
        return None if row is None else (self._wish, row)


class Answer(MessageView):
    """A reply, drawn as it grows, with what was thought before it above, and below how it came
    about and how far it was moved; a click there opens the heat view."""

    def __init__(self, entry: Entry, *, growing: bool = False, unfolded: bool = False) -> None:
        super().__init__(entry, unfolded=unfolded)
        self.thought, self.reply = ThoughtView(), Reply()
        self.thought.unfolded = unfolded
        self._sparkline = Static(classes="note sparks")
        self._growing = growing
        self.reply.write(entry.node.message.text)
        if not growing:
            self.reply.finish()

    def compose(self) -> ComposeResult:
        """The thought, the text and the note."""
        yield self.thought
        yield self.reply
        yield self._note
        yield self._sparkline

    def think(self, text: str, tokens: int, seconds: float, *, over: bool) -> None:
        """What comes before the reply goes on; drawn by `draw`."""
        self.thought.write(text, tokens, seconds, over=over)

    def write(self, text: str) -> None:
        """The reply has grown; drawn by `draw`."""
        self.reply.write(text)

    def draw(self) -> None:
        """Draw what was written."""
        self.thought.draw()
        self.reply.draw()

    def _tell(self) -> None:
        super()._tell()
        self._note.tooltip = None if self._growing else gain_in_words(self.node)
        line = "" if self._growing else shift_sparkline(self.node)
        self._sparkline.display = bool(line)
        self._sparkline.update(Content.styled(line, _click("screen.look", self.node.id)))
        if self.node.thought.text:
            self.thought.show(self.node.thought.text, thought_in_words(self.node))

    def _fold(self) -> None:
        self.thought.fold(unfolded=self.unfolded)

    def mark(self, found: Found | None) -> None:
        """See MessageView."""
        self.reply.mark(found)

    def found_place(self) -> tuple[Widget, int] | None:
        """See MessageView."""
        return self.reply.found_place()

    @on(ThoughtView.Pressed)
    def _press(self) -> None:
        self.unfold()

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
        # The versions come first, where no narrow window breaks them in two.
        parts = [self._versions(), *map(Content, how(self.node, self.entry.preset))]
        return Content(" · ").join(filter(None, parts))


class Waiting(Static):
    """A message that waits for its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(
            Content("".join((*_folded(clean(text)), f"\n{_WAITS}"))), classes="said waits"
        )


def _folded(text: str) -> tuple[str, str]:
    """The beginning of a text that is long, and a line that says how much more there is; or all of
    it, and nothing."""
    lines = text.split("\n")
    shown = "\n".join(lines[:_FOLDED])
    if len(shown) > _FOLDED_LENGTH:
        return shown[:_FOLDED_LENGTH], f"\n… {len(text) - _FOLDED_LENGTH:,} more characters"
    rest = len(lines) - _FOLDED
    return shown, f"\n… {rest:,} more lines" if rest > 0 else ""


def _wish_blocks(wish: str) -> list[Block]:
    """A wish as it is shown, marked as it is typed."""
    lines = filter(None, map(str.strip, clean(wish).split("\n")))
    return [Block("text", Styled(line), "!! ", "   ", gap=False) for line in lines]


def _click(action: str, *arguments: object) -> Style:
    """What a click on a text does."""
    return Style.from_meta({"@click": (action, arguments)})
