"""The same question answered in several ways side by side, with a blind vote between them.

The screen is dismissed with the column to take into the chat, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import HorizontalScroll
from textual.content import Content
from textual.widgets import Input, Static

from amulet_local.chats.conversation import Node
from amulet_local.chats.wishes import join_wish
from amulet_local.errors import AmuletError
from amulet_local.presets.editing import save_preset
from amulet_local.presets.firmness import as_strength
from amulet_local.presets.preset import Presets, read_preset
from tui.actions import COMPARE, bindings, shown_key
from tui.comparison.comparison import Column, Comparison, left_out, usual, with_preset
from tui.comparison.verdicts import Favourite, told
from tui.markdown.sanitising import clean, sentence
from tui.screens.dialog import Dialog
from tui.screens.preset_picker import Choice, PresetPicker
from tui.session.session import Session
from tui.session.steering import SteeringChoice
from tui.widgets.column import ColumnView
from tui.widgets.column_tabs import ColumnTabs
from tui.widgets.fields import Line
from tui.widgets.keys import KeyLine

_POLLS_PER_S = 10
_NARROWEST, _READABLE = 24, 30  # cells of a column, where all fit and where they do not
_NARROW = 72  # cells in which one at a time is read more easily
_NOT_WHILE_WRITING = ("vote", "again")
_ADDING = ("add_strength", "add_preset", "teach", "leave_out")
_NOT_BLIND = ("vote", "again", "take", "remove", "use_favourite", *_ADDING)
_BLIND = "Which reply is best? Press its number, or 0 to show which is which without voting."


@dataclass(frozen=True)
class Taken:
    """A reply to take into the chat, and how it was steered."""

    reply: Node
    steering: SteeringChoice


class CompareScreen(Dialog[Taken | None]):
    """question: to be answered by the ways to steer around this one; either has something to
    follow, be it a wish."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(COMPARE)
    AUTO_FOCUS = ""

    def __init__(
        self, session: Session, presets: Presets, question: Node, steering: SteeringChoice
    ) -> None:
        super().__init__()
        self._session, self._presets, self._steering = session, presets, steering
        otherwise = session.suited(SteeringChoice.to_preset(steering.preset)).strength
        self.comparison = Comparison(session, question, usual(steering, otherwise))
        self._views: list[ColumnView] = []
        self._place = 0  # of the selected one
        self._doing = (False, False)  # whether something is written; whether a vote is on
        self._said = self._refusal = ""
        self._favourite: Favourite | None = None
        self._beside = steering  # what a column of another strength is like

    def compose(self) -> ComposeResult:
        """The question, the columns (and where one is seen at a time, their names), what to do."""
        yield Static(id="heading")
        yield ColumnTabs(id="tabs")
        yield HorizontalScroll(id="columns", can_focus=False)
        asks = "A strength, like 2 or 4.5"
        yield Line(id="other-strength", restrict=r"[-+]?[\d.,]*", placeholder=asks)
        yield Static(id="said")
        yield KeyLine()

    async def on_mount(self) -> None:
        """Begin at once."""
        asked = self.comparison.question.message
        question = " ".join(clean(join_wish(asked.text, asked.wish)).split())
        heading = Content.styled("Compare", "bold") + Content(f"  {question}")
        self.query_one("#heading", Static).update(heading)
        await self._lay_out()
        self.set_interval(1 / _POLLS_PER_S, self.poll)

    def on_unmount(self) -> None:
        """Nobody reads what the engine would still say."""
        self.comparison.close()

    # -- what is shown ------------------------------------------------------------------------

    @property
    def _selected(self) -> ColumnView:
        """The column that keys are about."""
        return self._views[self._place]

    async def _lay_out(self, place: int | None = None) -> None:
        """A view for each column, in their order. place: of the one to select; else the last."""
        columns, count = self.comparison.columns, len(self._views)
        gone, added = self._views[len(columns) :], list(map(ColumnView, columns[count:]))
        self._views = [*self._views[: len(columns)], *added]
        self._place = len(columns) - 1 if place is None else place
        for view, column in zip(self._views, columns, strict=True):
            view.column = column
        self._fit()
        for view in gone:
            await view.remove()
        await self.query_one("#columns").mount_all(added)
        self.action_go(self._place)

    def on_resize(self) -> None:
        """Other widths."""
        self._fit()

    def _fit(self) -> None:
        """Side by side as far as they can be read; else some at a time, and their names above."""
        width, count = self.size.width, len(self._views)
        fitting = width // count >= _NARROWEST
        at_once = count if fitting else width // _READABLE if width >= _NARROW else 1
        self.set_class(not fitting, "-tabs")
        self.set_class(at_once == 1, "-single")
        for view in self._views:
            view.styles.width = width // at_once
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        self.query_one("#columns").scroll_to_widget(self._selected, animate=False)

    def poll(self) -> None:
        """Show what is written by now."""
        comparison = self.comparison
        self._refusal = comparison.begin()  # what could not be begun before may be now
        names = [self._heading(number) for number in range(len(self._views))]
        for number, view in enumerate(self._views):
            view.show(names[number], comparison.parting(number), blind=comparison.blind)
        self.query_one(ColumnTabs).show(names, self._place)
        said, telling = self.query_one("#said", Static), Content(clean(self._telling()))
        if said.content != telling:
            said.update(telling)
        if self._doing != (comparison.running, comparison.blind):
            self._doing = (comparison.running, comparison.blind)
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Leave out of the footer what there is nothing to do for."""
        running, blind = self._doing
        if action == "stop":
            return running
        if action in _NOT_WHILE_WRITING and running:
            return False
        return not (blind and action in _NOT_BLIND)

    def _heading(self, number: int) -> str:
        if self.comparison.blind:
            return f"Reply {number + 1}"
        column = self.comparison.columns[number]
        won = "✓ " if column is self.comparison.winner else ""
        return f"{won}{number + 1} · {self._title(column)}"

    def _title(self, column: Column) -> str:
        """What to call a column: the preset only where it is another one, and counts."""
        preset = column.steering.title
        named = preset != self._steering.title and column.method != "base"
        return f"{preset} {column.name}" if named else column.name

    def _telling(self) -> str:
        """What to know now, in a sentence."""
        if self.comparison.blind:
            return _BLIND
        if said := self._said or self._refusal:
            return sentence(said)
        texts = [column.text for column in self.comparison.columns if column.ended]
        if len(texts) == len(self.comparison.columns) > 1 and len(set(texts)) == 1:
            return "All columns are the same."
        key = shown_key(self.app, COMPARE, "vote")
        return (
            "" if self.comparison.running else f"Press {key} to vote without seeing which is which."
        )

    # -- columns ------------------------------------------------------------------------------

    def action_column(self, by: int) -> None:
        """The column so many to the right."""
        self.action_go(self._place + by)

    def action_go(self, number: int) -> None:
        """The column of a number, counted from 0."""
        if 0 <= number < len(self._views):
            self._place = number
            for place, view in enumerate(self._views):
                view.set_class(place == number, "-selected")
            self._reveal()
            self.poll()

    @on(ColumnView.Pointed)
    def _point(self, message: ColumnView.Pointed) -> None:
        self.action_go(self._views.index(message.view))

    def action_scroll(self, lines: int) -> None:
        """All columns up or down."""
        for view in self._views:
            view.scroll.scroll_relative(y=lines, animate=False)

    def action_end(self, end: int) -> None:
        """All columns to their beginning, or their end."""
        for view in self._views:
            go = view.scroll.scroll_end if end > 0 else view.scroll.scroll_home
            go(animate=False)

    async def action_again(self) -> None:
        """All once more, by another seed."""
        self._said, self._favourite = "", None
        self.comparison.again()
        await self._lay_out(self._place)

    async def action_stop(self) -> None:
        """Leave what is written as it is."""
        self.comparison.stop()
        await self._lay_out(min(self._place, len(self.comparison.columns) - 1))

    def action_add_preset(self) -> None:
        """A column by another preset."""
        current = self._selected.column.steering.preset
        self.app.push_screen(PresetPicker(self._presets, current), self._add_choice)

    async def _add_choice(self, choice: Choice | None) -> None:
        if choice and choice.preset:
            chosen = SteeringChoice.to_preset(choice.preset)
            await self._add(Column.of(self._session.suited(chosen)))

    async def action_leave_out(self) -> None:
        """See COMPARE."""
        await self._add_all(left_out(self._selected.column.steering))

    async def action_teach(self) -> None:
        """The two mixes whose vote would teach most."""
        from tui.comparison.learning import most_telling_pair  # which needs NumPy

        pair = most_telling_pair(self.comparison.ballots(), self._selected.column.steering)
        await self._add_all([*map(Column.of, pair)])

    async def _add_all(self, columns: Sequence[Column]) -> None:
        for column in columns:
            await self._add(column)
        if not columns:
            self.notify("This is for a mix of presets; choose a column that follows one.")

    def action_add_strength(self) -> None:
        """Ask for a strength, for a column like this one."""
        asked = self.query_one("#other-strength", Input)
        self._beside = self._selected.column.steering
        asked.value = f"{self._beside.strength + 1:.4g}"
        asked.display = True
        self.set_focus(asked)

    @on(Input.Submitted, "#other-strength")
    async def _add_strength(self, message: Input.Submitted) -> None:
        try:
            strength = as_strength(message.value)
        except msgspec.ValidationError:
            self.notify(f"The strength must be a number, like 2 or 4.5, not {message.value}.")
            return
        self._leave_strength()
        await self._add(Column.at(self._beside.at(strength)))

    def _leave_strength(self) -> bool:
        """Close the question for a strength; False if it is not asked."""
        asked = self.query_one("#other-strength", Input)
        if not asked.display:
            return False
        asked.display = False
        self.set_focus(None)
        return True

    async def _add(self, column: Column) -> None:
        if refusal := self.comparison.add(column):
            self.notify(refusal)
            return
        self._said = ""
        await self._lay_out()

    async def action_remove(self) -> None:
        """Take this column away."""
        if refusal := self.comparison.remove(self._selected.column):
            self.notify(refusal)
        else:
            await self._lay_out(max(0, self._place - 1))

    # -- voting -------------------------------------------------------------------------------

    async def action_vote(self) -> None:
        """Hide which is which, and ask."""
        if refusal := self.comparison.hide():
            self.notify(refusal)
        else:
            self._said, self._favourite = "", None
            await self._lay_out(0)

    def action_choose(self, number: int) -> None:
        """Vote for the column of a number, counted from 1; 0 is no vote."""
        if not self.comparison.blind:
            self.action_go(number - 1)
            return
        if number > len(self.comparison.columns):
            return
        try:
            self.comparison.vote(number - 1 if number else None)
            key = shown_key(self.app, COMPARE, "use_favourite")
            self._said, self._favourite = told(self.comparison, self._title, key)
        except AmuletError as error:
            self._said = f"The vote could not be saved: {error}"
        self.action_go(number - 1 if number else self._place)

    def action_use_favourite(self) -> None:
        """Make the strength with most votes the preset's own."""
        if not self._favourite:
            self.notify("The votes do not suggest another strength yet.")
            return
        preset, strength = self._favourite.preset, self._favourite.strength
        try:
            path = save_preset(msgspec.structs.replace(preset, strength=strength))
            changed = read_preset(path)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return
        self._favourite = None
        self._session.steering = with_preset(self._session.steering, changed)
        for column in self.comparison.columns:
            column.steering = with_preset(column.steering, changed)
        self._said = f"The default strength of {preset.title or preset.name} is now {strength:.2f}."
        self.poll()

    # -- leaving ------------------------------------------------------------------------------

    def action_take(self) -> None:
        """Take this column into the chat as a reply."""
        column = self._selected.column
        if reply := self.comparison.reply(column):
            self.dismiss(Taken(reply, column.steering))
        elif column.ended:
            self.notify("There is no reply to use here.")
        else:
            self.notify("This column is still being written.")

    def action_leave(self) -> None:
        """Stop, and back to the chat."""
        if not self._leave_strength():
            self.dismiss(None)
