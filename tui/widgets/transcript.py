"""The chat as it is read: messages and notices, following the newest unless the reader scrolled up.

It is told the whole branch whenever that changes, and touches only what differs. Of a long chat it
holds the newest messages, and those before them once somebody goes there: what there is to lay out
is then no more in a chat of weeks than in one of today. With the focus, one message is selected,
and keys are about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from amulet_local.chats.conversation import Node
from tui.actions import MESSAGES, bindings
from tui.markdown.sanitising import sentence
from tui.markdown.search_marks import Found
from tui.widgets.found_mark import FoundMark
from tui.widgets.message import Answer, Entry, MessageView, Question, Waiting
from tui.widgets.page import STYLES
from tui.widgets.welcome import Welcome

_HELD = 40  # messages
_AT_ONCE = 20  # more, above
_NEAR = 3  # rows from the top


class Transcript(VerticalScroll, can_focus=True):
    """The messages of a branch. Scrolling up ends the following, the end resumes it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES
    BINDINGS: ClassVar[list[BindingType]] = bindings(MESSAGES)
    FOCUS_ON_CLICK = False  # what is typed after a click is meant for the prompt

    class Left(Message):
        """The user went past the last message."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        self._views: list[MessageView] = []  # of the last entries
        self._growing: Answer | None = None
        self._selected: MessageView | None = None
        self._unfolded: set[str] = set()  # ids of messages
        self._found = FoundMark(self)

    def compose(self) -> ComposeResult:
        """What to begin with, until there is more."""
        yield Welcome()

    def on_mount(self) -> None:
        """Nothing has been said."""
        self._be_empty()

    def introduce(self) -> None:
        """Say what the dial does, until something is said here."""
        self.query_one(Welcome).introducing = True

    # -- the branch ---------------------------------------------------------------------------

    def show(self, entries: Sequence[Entry], waiting: Sequence[str], growing: str | None) -> None:
        """Show these messages. growing: the id of the reply that is being written."""
        first = self._first
        names = [view.node.id for view in self._views]
        if names and (len(entries) <= first or entries[first].node.id != names[0]):
            first = max(0, len(entries) - _HELD)
            self._remove_after(0)
        elif not names:
            first = max(0, len(entries) - _HELD)
        self._entries = list(entries)
        kept = 0
        for view, entry in zip(self._views, entries[first:], strict=False):
            if view.node.id != entry.node.id:
                break
            view.update(entry)
            kept += 1
        following = self.following
        with self.app.batch_update():
            self._remove_after(kept)
            added = [self._view(entry, growing) for entry in entries[first + kept :]]
            self._views += added
            self.mount_all([*added, *map(Waiting, waiting)])
            if following:
                self._let_go()
        newest = self._views[-1] if self._views else None
        self._growing = newest if isinstance(newest, Answer) and growing else None
        if self._views or waiting:
            self.remove_class("-empty")
            self.query_one(Welcome).introducing = False
            if added and (following or growing):
                self.follow()
        elif not self.query_children(".notice"):
            self._be_empty()

    @property
    def _first(self) -> int:
        """The number of the first message that is held."""
        return len(self._entries) - len(self._views)

    def _let_go(self) -> None:
        """Let go of what is far above the newest messages."""
        gone = self._views[:-_HELD]
        if len(gone) >= _AT_ONCE and self._selected not in gone:
            above = self.children[: self.children.index(self._views[len(gone)])]
            self.remove_children([it for it in above if not isinstance(it, Welcome)])
            del self._views[: len(gone)]

    def _hold(self, first: int) -> None:
        """Hold the messages from this number on; what is selected, or else in sight, stays so."""
        entries = self._entries[max(0, first) : self._first]
        if not entries:
            return
        added = [self._view(entry, None) for entry in entries]
        below = self.virtual_size.height - self.scroll_target_y
        self.mount_all(added, before=self._views[0] if self._views else None)
        self._views[:0] = added

        def stay() -> None:
            if self._selected:
                self._select(self._selected)
            else:
                self.scroll_to(y=self.virtual_size.height - below, animate=False, immediate=True)

        self.call_after_refresh(stay)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near the top, hold more of what is above."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < min(old_value, _NEAR) and self._first:
            self._hold(self._first - _AT_ONCE)

    def _remove_after(self, kept: int) -> None:
        """Take away all from message number `kept` of those held on, and what waits."""
        gone = self._views[kept:]
        if self._selected in gone:
            self._select(None)
        self.query_children(Waiting).remove()
        if gone:
            children = list(self.children)
            self.remove_children([*children[children.index(gone[0]) :]])
            del self._views[kept:]

    def clear(self) -> None:
        """Another chat: nothing of this one stays."""
        self._remove_after(0)
        self._entries = []
        self.query_children(".notice").remove()
        self._be_empty()

    def write(self, text: str) -> None:
        """The reply has grown; drawn by `draw`."""
        if self._growing:
            self._growing.write(text)

    def think(self, text: str, tokens: int, seconds: float, *, over: bool) -> None:
        """The model thinks before the reply; drawn by `draw`."""
        if self._growing:
            self._growing.think(text, tokens, seconds, over=over)

    def draw(self) -> None:
        """Draw what was written, unless the reader is elsewhere."""
        if self._growing and self.following:
            self.anchor()  # scrolling down at the very end has released it
            self._growing.draw()

    def end(self, entry: Entry) -> None:
        """The reply is complete."""
        growing, self._growing = self._growing, None
        if growing:
            growing.finish(entry)

    def notice(self, text: str, *, serious: bool = False) -> None:
        """Say something between the messages."""
        self.remove_class("-empty")
        if self.following:
            self.follow()
        sign = "!" if serious else "·"
        classes = "notice serious" if serious else "notice"
        self.mount(Static(Content(f"{sign} {sentence(text)}"), classes=classes))

    def _be_empty(self) -> None:
        """Show what to begin with; there is nothing to follow."""
        self.add_class("-empty")
        self.anchor(False)
        self.scroll_home(animate=False, immediate=True)

    # -- where the reader is ------------------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether the newest text is in sight, and the reader not on the way elsewhere."""
        return self.is_vertical_scroll_end and self.scroll_target_y >= self.max_scroll_y

    def follow(self) -> None:
        """Go to the newest text, and stay with it. Where there is none, Textual would scroll above
        the top, and what came next would be out of sight."""
        if not self.has_class("-empty"):
            self.anchor()

    def page(self, direction: int) -> None:
        """Scroll by a page, up or down: at once, so that no page is lost where keys come fast."""
        page = self.scrollable_content_region.height
        to = self.scroll_target_y + direction * page
        self.scroll_to(y=to, animate=False, immediate=True)

    # -- the selected message -----------------------------------------------------------------

    @property
    def selected(self) -> Node | None:
        """The message that keys are about; None while the focus is elsewhere."""
        return self._selected.node if self._selected else None

    def on_focus(self) -> None:
        """Begin at the last message."""
        if not self._selected and self._views:
            self._select(self._views[-1])

    def on_blur(self) -> None:
        """Keys are about something else."""
        self._found.clear()
        self._select(None)

    def select(self, name: str) -> None:
        """Select the message of this id, if it is there."""
        names = [entry.node.id for entry in self._entries]
        if name in names:
            self._hold(names.index(name))
        view = next((view for view in self._views if view.node.id == name), None)
        self._select(view)

    def go_to(self, name: str, found: Found | None = None) -> None:
        """Select the message of this id, with the keys about it, once it has its place; what was
        found in it is in sight, and marked until the next key."""
        self.select(name)
        self.focus()
        self.call_after_refresh(self.select, name)
        if found and self._selected:
            self._found.show(self._selected, found)

    def on_key(self) -> None:
        """What was found has been seen."""
        self._found.clear()

    @on(MessageView.Clicked)
    def _point(self, message: MessageView.Clicked) -> None:
        if self.has_focus:
            self.select(message.name)

    def action_select(self, by: int) -> None:
        """The message so many places on."""
        if not self._selected:
            return
        if self._selected is self._views[0] and by < 0:
            self._hold(self._first - _AT_ONCE)
        place = self._views.index(self._selected) + by
        if place >= len(self._views):
            self.post_message(self.Left())
        else:
            self._select(self._views[max(0, place)])

    def action_select_end(self, end: int) -> None:
        """The first message, or the last."""
        if self._views:
            if end < 0:
                self._hold(0)
            self._select(self._views[-1 if end > 0 else 0])

    def action_unfold(self) -> None:
        """Show or hide the rest of a long message, or the thought before a reply."""
        if self._selected:
            self._selected.unfold()

    def unfold(self, name: str) -> None:
        """The same of a message by its id, if it is held."""
        for view in self._views:
            if view.node.id == name:
                view.unfold()

    @on(MessageView.Unfolded)
    def _keep_unfolded(self, message: MessageView.Unfolded) -> None:
        view = message.view
        if not view.unfolded:
            self._unfolded.discard(view.node.id)
            return
        self._unfolded.add(view.node.id)
        if view is not self._growing:  # from whose beginning one reads
            self.anchor(False)
            self.call_after_refresh(self._show_from_top, view, again=2)

    def _show_from_top(self, view: MessageView, again: int = 0) -> None:
        """Have a message in sight, from its beginning where it is long. again: how often, while
        the text gets its height."""
        if view.is_attached:
            self.scroll_to_widget(view, animate=False, top=view.size.height > self.size.height)
            if again:
                self.call_after_refresh(self._show_from_top, view, again - 1)

    def _select(self, view: MessageView | None) -> None:
        if self._selected:
            self._selected.remove_class(MessageView.selected_class)
        self._selected = view
        if view:
            view.add_class(MessageView.selected_class)
            self.anchor(False)
            self._show_from_top(view)

    def _view(self, entry: Entry, growing: str | None) -> MessageView:
        name, unfolded = entry.node.id, entry.node.id in self._unfolded
        if entry.node.message.role == "user":
            return Question(entry, unfolded=unfolded)
        return Answer(entry, growing=name == growing, unfolded=unfolded)
