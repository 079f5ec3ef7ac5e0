"""Chats by day, or what a search found by chat: one line each, the one at hand highlighted.

It is told what to list, page by page, and tells when the reader comes near the end of it. Nothing
here reads the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.css.styles import RulesMap
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from amulet_local.chats.listing import Summary, by_day, day_in_words
from amulet_local.chats.search import Hit
from tui.actions import CHATS, bindings
from tui.markdown.sanitising import clean
from tui.session.chat_preview import UNTITLED, marked

_NEAR = 20  # rows
_ROOMY = 64  # columns from which numbers have their noun
_EMPTY = Content()
_SPEAKERS = {"user": "you", "assistant": "reply"}

Row = Summary | Hit


class ChatList(OptionList):
    """Chats or hits. opened: the id of the chat that is open, which has a mark."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHATS, first=True)
    COMPONENT_CLASSES: ClassVar[set[str]] = {"facts"}

    class NearEnd(Message):
        """There were but few rows left below; by now there may be more."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.opened = ""
        self._rows: dict[str, Row] = {}

    # -- what is listed -----------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[Row]:
        """What is listed, from the top."""
        return tuple(self._rows.values())

    @property
    def row(self) -> Row | None:
        """The one at hand."""
        option = self.highlighted_option
        return self._rows.get(option.id or "") if option else None

    def clear(self) -> None:
        """List nothing."""
        self.clear_options()
        self._rows.clear()

    def add_chats(self, chats: Sequence[Summary]) -> None:
        """List these below what is there, each day under its heading."""
        options: list[Option] = []
        last = next(reversed(self._rows.values()), None)
        listed = last.day if isinstance(last, Summary) else None
        for day, those in by_day(chats):
            if day != listed:
                options.append(_heading(day_in_words(day)))
            options += [Option(self._chat(chat), id=chat.id) for chat in those]
        self._rows |= {chat.id: chat for chat in chats}
        self.add_options(options)

    def add_hits(self, hits: Iterable[Hit]) -> None:
        """List what was found, each chat's under its title."""
        options: list[Option] = []
        for (chat, title), those in groupby(hits, lambda hit: (hit.chat, hit.title)):
            mark = "● " if chat == self.opened else ""
            options.append(_heading(mark + (clean(title) or UNTITLED)))
            for hit in those:
                self._rows[hit.message] = hit
                options.append(Option(_found(hit), id=hit.message))
        self.add_options(options)

    def replace(self, chat: Summary) -> None:
        """Show a chat that is listed as it is now."""
        self._rows[chat.id] = chat
        self.replace_option_prompt(chat.id, self._chat(chat))

    def drop(self, name: str) -> None:
        """Take out the row of this id, with its heading where it was alone under it, and
        highlight the next."""
        place = self.get_option_index(name)
        del self._rows[name]
        self.remove_option(name)
        rest = self.options
        if rest[place - 1].disabled and (place == len(rest) or rest[place].disabled):
            self.remove_option_at_index(place - 1)
        self.highlighted = None  # so that the next is seen to be another
        self.highlighted = max(0, place - 1)
        if rest and rest[self.highlighted].disabled:
            self.move(1)

    def _chat(self, chat: Summary) -> Line:
        noun = "message" if chat.messages == 1 else "messages"
        time = f"{datetime.fromtimestamp(chat.changed):%H:%M}"
        mark = "●" if chat.id == self.opened else " "
        return Line(
            Content(f"{mark} {clean(chat.title) or UNTITLED}"),
            f"{chat.messages:,} {noun:<8}  {time}",
            f"{chat.messages:,}  {time}",
        )

    # -- moving -------------------------------------------------------------------------------

    def go_to(self, name: str) -> None:
        """Highlight the row of this id, or else the first."""
        if name in self._rows:
            self.highlighted = self.get_option_index(name)
        else:
            self.action_first()

    def move(self, rows: int) -> None:
        """Go so many rows down, or up, over headings; not past the ends."""
        step = 1 if rows > 0 else -1
        place = target = -1 if self.highlighted is None else self.highlighted
        while rows and 0 <= (place := place + step) < self.option_count:
            if not self.options[place].disabled:
                target, rows = place, rows - step
        if target >= 0:
            self.highlighted = target

    def action_cursor_up(self) -> None:
        """The row before; not round to the last."""
        self.move(-1)

    def action_cursor_down(self) -> None:
        """The next row; not round to the first."""
        self.move(1)

    def action_page_up(self) -> None:
        """As many rows up as are in sight."""
        self.move(-self.size.height)

    def action_page_down(self) -> None:
        """As many rows down as are in sight."""
        self.move(self.size.height)

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Headings come into sight with what stands under them."""
        super().watch_highlighted(highlighted)
        if highlighted and self.options[highlighted - 1].disabled:
            heading = Region(0, highlighted - 1, self.scrollable_content_region.width, 2)
            self.scroll_to_region(heading, force=True, animate=False, immediate=True)
        self._tell_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The mouse scrolls without moving the highlight."""
        super().watch_scroll_y(old_value, new_value)
        self._tell_end()

    @property
    def near_end(self) -> bool:
        """Whether there are but few rows left, below the one at hand or below those in sight."""
        last_seen = int(self.scroll_y) + self.size.height  # options are a row each
        return self.option_count - max(self.highlighted or 0, last_seen) < _NEAR

    def _tell_end(self) -> None:
        if self.near_end:
            self.post_message(self.NearEnd())


class Line(Visual):
    """One line: what it is on the left, cut where it is too long, and facts on the right.

    short: the facts where there is little room. lead: what stands before it in any case. seen: the
    part of it that must not be cut off, as (start, end).
    """

    def __init__(
        self,
        left: Content,
        facts: str = "",
        short: str = "",
        lead: Content = _EMPTY,
        seen: tuple[int, int] = (0, 0),
    ) -> None:
        self._left, self._lead, self._seen = left, lead, seen
        self._facts, self._short = facts, short

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """See Visual."""
        facts = self._facts if width >= _ROOMY else self._short
        room = max(1, width - self._lead.cell_length - len(facts) - 3)
        line = self._lead + self._from(room).truncate(room, ellipsis=True, pad=bool(facts))
        if facts:
            line += Content.styled(f"  {facts} ", ".facts")
        return line.render_strips(width, 1, style, options)

    def _from(self, room: int) -> Content:
        """The text without as much of its beginning as hides what must be seen."""
        start, end = self._seen
        if self._left[:end].cell_length < room:
            return self._left
        begin = max(0, start - room // 3)
        space = self._left.plain.find(" ", begin, start)
        return Content("…") + self._left[(space if space >= 0 else begin) :]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """See Visual."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """See Visual."""
        return 1


def _found(hit: Hit) -> Line:
    who = Content.styled(f"  {_SPEAKERS[hit.role]:<5}  ", ".facts")
    marks = hit.snippet.marks
    return Line(marked(hit.snippet), lead=who, seen=marks[0] if marks else (0, 0))


def _heading(text: str) -> Option:
    return Option(Line(Content(text)), disabled=True)
