"""What a model thought before a reply: one quiet line, which unfolds to the text.

Text goes in with `write` while it is being thought, or with `show` once it is there; `draw` draws
what is new. Folded, the text costs nothing.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tui.heatmap.summary import duration, in_words
from tui.markdown.sanitising import count
from tui.widgets.reply import Reply


class _Line(Static):
    """A click unfolds the text, or folds it."""

    ALLOW_SELECT = False

    def on_click(self) -> None:
        """See ThoughtView.Pressed."""
        self.post_message(ThoughtView.Pressed())


class ThoughtView(Widget):
    """Not there while there is no thought. Drawn as Markdown, never as markup."""

    class Pressed(Message):
        """The user wants it unfolded, or folded again."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.unfolded = False
        self._words = ""
        self._line = _Line(classes="line")
        self._body: Reply | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        """The line; the text comes and goes below it."""
        yield self._line

    def write(self, text: str, tokens: int, seconds: float, *, over: bool) -> None:
        """It goes on, or has come to its answer; drawn by `draw`."""
        self.text += text
        if self._body:
            self._body.write(text)
        done = in_words(tokens, seconds)
        self._words = done if over else f"thinking… {count(tokens, 'token')}, {duration(seconds)}"

    def show(self, text: str, words: str) -> None:
        """It is complete, and called this."""
        self._words = words
        if text != self.text:
            self.text = text
            if self._body:
                self.fold(unfolded=False)
                self.fold(unfolded=True)
        self.draw()

    def draw(self) -> None:
        """Draw what is new."""
        there = bool(self.text.strip())
        line = Content(f"{'▾' if self.unfolded else '▸'} {self._words}")
        if line != self._line.content or there != self.display:
            self._line.update(line, layout=there != self.display)
        self.display = there
        if self._body:
            self._body.draw()

    def fold(self, *, unfolded: bool) -> None:
        """Show the text, or the line alone."""
        self.unfolded = unfolded
        if unfolded and not self._body:
            self._body = Reply()
            self._body.write(self.text.lstrip())
            self.mount(self._body)
        elif self._body and not unfolded:
            self._body.remove()
            self._body = None
        self.draw()

    def on_mount(self) -> None:
        """There is a place for it now."""
        self.fold(unfolded=self.unfolded)
