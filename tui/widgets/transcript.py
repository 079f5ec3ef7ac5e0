"""The chat as it is read: turns and notices, following the newest unless the reader scrolled up."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.changes import Asked, Ended
from tui.text import sentence
from tui.widgets.page import STYLES
from tui.widgets.turn import Turn
from tui.widgets.welcome import Welcome


class Transcript(VerticalScroll, can_focus=False):
    """Turns by the number of their message. Scrolling up ends the following, the end resumes it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[int, Turn] = {}
        self._growing: Turn | None = None

    def compose(self) -> ComposeResult:
        """What to begin with, until there is more."""
        yield Welcome()

    def on_mount(self) -> None:
        """Nothing has been said."""
        self._be_empty()

    @property
    def following(self) -> bool:
        """Whether the newest text is in sight, and the reader not on the way elsewhere."""
        return self.is_vertical_scroll_end and self.scroll_target_y >= self.max_scroll_y

    def ask(self, asked: Asked) -> None:
        """Show a message, and go where it stands."""
        self.remove_class("-empty")
        self._turns[asked.id] = turn = Turn(asked.text)
        self.mount(turn)
        self.follow()

    def begin(self, number: int) -> None:
        """A message is being answered."""
        self._growing = self._turns[number]
        self._growing.begin()

    def write(self, number: int, text: str) -> None:
        """The reply has grown; drawn by `draw`."""
        self._turns[number].reply.write(text)

    def draw(self) -> None:
        """Draw what was written, unless the reader is elsewhere."""
        if self._growing and self.following:
            self.anchor()  # scrolling down at the very end has released it
            self._growing.reply.draw()

    def end(self, ended: Ended) -> None:
        """The reply is complete."""
        self._growing = None
        self._turns[ended.id].finish(ended)

    def take_back(self, number: int) -> None:
        """The message got no answer and goes."""
        turn = self._turns.pop(number)
        self._growing = None if self._growing is turn else self._growing
        turn.remove()
        if not self._turns and not self.query_children(".notice"):
            self._be_empty()

    def notice(self, text: str, *, serious: bool = False) -> None:
        """Say something between the turns."""
        self.remove_class("-empty")
        if self.following:
            self.follow()
        sign = "!" if serious else "·"
        classes = "notice serious" if serious else "notice"
        self.mount(Static(Content(f"{sign} {sentence(text)}"), classes=classes))

    def clear(self) -> None:
        """A new chat."""
        self._turns.clear()
        self._growing = None
        self.query_children("Turn, .notice").remove()
        self._be_empty()

    def _be_empty(self) -> None:
        """Show what to begin with; there is nothing to follow."""
        self.add_class("-empty")
        self.anchor(False)
        self.scroll_home(animate=False, immediate=True)

    def follow(self) -> None:
        """Go to the newest text, and stay with it."""
        self.anchor()

    def page(self, direction: int) -> None:
        """Scroll by a page, up or down."""
        if direction < 0:
            self.scroll_page_up(animate=False)
        else:
            self.scroll_page_down(animate=False)
