"""The same question answered in several ways side by side, with a blind vote between them.

The screen is dismissed with the column to take into the chat, or None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import HorizontalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.style import Style
from textual.widgets import Input, Static

from amulet_local.conversation import Node
from amulet_local.errors import AmuletError
from amulet_local.own_presets import save_preset
from amulet_local.presets import Preset, Presets, Strength, read_preset
from amulet_local.votes import FEWEST
from tui.actions import COMPARE, bindings, shown_key
from tui.changes import Steering
from tui.comparing import Column, Comparison, usual
from tui.screens.picker import Choice, PresetPicker
from tui.session import Session
from tui.text import clean, sentence
from tui.widgets.column import ColumnView
from tui.widgets.keys import KeyLine

_POLLS_PER_S = 10
_BLIND = "Which reply is best? Press its number; 0 shows them without a vote."


@dataclass(frozen=True)
class Taken:
    """A reply to take into the chat, and how it was steered."""

    reply: Node
    steering: Steering


class CompareScreen(ModalScreen[Taken | None]):
    """question: to be answered by the ways to steer around this one, which has a preference."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(COMPARE)

    def __init__(
        self, session: Session, presets: Presets, question: Node, steering: Steering
    ) -> None:
        super().__init__()
        self._session, self._presets, self._steering = session, presets, steering
        self.comparison = Comparison(session, question, usual(steering))
        self._views: list[ColumnView] = []
        self._place = 0  # of the selected one
        self._said = self._refusal = ""
        self._favourite: tuple[Preset, float] | None = None
        self._beside = steering  # what a column of another strength is like

    def compose(self) -> ComposeResult:
        """The question, the columns (and where one is seen at a time, their names), what to do."""
        yield Static(id="heading")
        yield Static(id="tabs")
        yield HorizontalScroll(id="columns", can_focus=False)
        yield Input(id="strength", type="number", placeholder="A strength, like 2 or 4.5")
        yield Static(id="said")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin at once."""
        question = " ".join(clean(self.comparison.question.message.text).split())
        heading = Content.styled("Compare", "bold") + Content(f"  {question}")
        self.query_one("#heading", Static).update(heading)
        self._lay_out()
        self.set_interval(1 / _POLLS_PER_S, self._update)

    def on_unmount(self) -> None:
        """Nobody reads what the engine would still say."""
        self.comparison.close()

    # -- what is shown ------------------------------------------------------------------------

    @property
    def _selected(self) -> ColumnView:
        """The column that keys are about."""
        return self._views[self._place]

    def _lay_out(self, selected: Column | None = None) -> None:
        """A view for each column, in their order."""
        holder = self.query_one("#columns")
        self._views = [ColumnView(column) for column in self.comparison.columns]
        with self.app.batch_update():
            holder.remove_children()
            holder.mount_all(self._views)
        places = [place for place, it in enumerate(self.comparison.columns) if it is selected]
        self._place = places[0] if places else len(self._views) - 1
        self.call_after_refresh(self.action_go, self._place)
        self._update()

    def _update(self) -> None:
        """Show what is written by now."""
        comparison = self.comparison
        self._refusal = comparison.begin()  # what could not be begun before may be now
        parting = comparison.parting
        for number, view in enumerate(self._views):
            view.show(self._heading(number, view.column), parting, blind=comparison.blind)
        tabs = [
            Content.styled(
                f" {self._heading(number, view.column)} ",
                Style.from_meta({"@click": f"screen.go({number})"})
                + Style(reverse=number == self._place),
            )
            for number, view in enumerate(self._views)
        ]
        self.query_one("#tabs", Static).update(Content(" ").join(tabs))
        self.query_one("#said", Static).update(Content(clean(self._telling())))

    def _heading(self, number: int, column: Column) -> str:
        if self.comparison.blind:
            return f"{number + 1}"
        preset = column.steering.title
        own = "" if preset == self._steering.title else f"{preset} "
        won = "✓ " if column is self.comparison.winner else ""
        return f"{won}{number + 1} {own}{column.name}"

    def _telling(self) -> str:
        """What to know now, in a sentence."""
        if self.comparison.blind:
            return _BLIND
        if said := self._said or self._refusal:
            return sentence(said)
        texts = [column.text for column in self.comparison.columns if column.ended]
        if len(texts) == len(self.comparison.columns) > 1 and len(set(texts)) == 1:
            return "All columns say the same."
        key = shown_key(self.app, COMPARE, "vote")
        return "" if self.comparison.running else f"{key} votes without seeing which is which."

    # -- columns ------------------------------------------------------------------------------

    def action_column(self, by: int) -> None:
        """The column so many to the right."""
        self.action_go(self._place + by)

    def action_go(self, number: int) -> None:
        """The column of a number, counted from 0."""
        if 0 <= number < len(self._views):
            self._place = number
            self._selected.scroll.focus()
            self.query_one("#columns").scroll_to_widget(self._selected, animate=False)
            self._update()

    @on(ColumnView.Pointed)
    def _point(self, message: ColumnView.Pointed) -> None:
        self.action_go(self._views.index(message.view))

    def action_scroll(self, lines: int) -> None:
        """All columns up or down."""
        for view in self._views:
            view.scroll.scroll_relative(y=lines, animate=False)

    def action_again(self) -> None:
        """All once more, by another seed."""
        if self.comparison.running:
            self.notify("The columns are still being written; stop them first.")
            return
        self._said, self._favourite = "", None
        self.comparison.again()
        self._lay_out(self.comparison.columns[self._place])

    def action_stop(self) -> None:
        """Leave what is written as it is."""
        self.comparison.stop()
        if len(self.comparison.columns) < len(self._views):
            self._lay_out(self.comparison.columns[-1])

    def action_add_preset(self) -> None:
        """A column by another preset."""
        if not self.comparison.blind:
            current = self._selected.column.steering.preset
            self.app.push_screen(PresetPicker(self._presets, current), self._add_choice)

    def _add_choice(self, choice: Choice | None) -> None:
        if choice and choice.preset:
            self._add(Steering.to_preset(choice.preset))

    def action_add_strength(self) -> None:
        """Ask for a strength, for a column like this one."""
        if not self.comparison.blind:
            asked = self.query_one("#strength", Input)
            asked.value = f"{self._selected.column.steering.strength + 1:g}"
            asked.display = True
            self._beside = self._selected.column.steering
            asked.focus()

    @on(Input.Submitted, "#strength")
    def _add_strength(self, message: Input.Submitted) -> None:
        try:
            strength = msgspec.convert(message.value, Strength, strict=False)
        except msgspec.ValidationError:
            self.notify(f"A strength is a number, like 2 or 4.5, not {message.value}.")
            return
        self._leave_strength()
        self._add(replace(self._beside, strength=strength))

    def _leave_strength(self) -> bool:
        """Close the question for a strength; False if it is not asked."""
        asked = self.query_one("#strength", Input)
        if not asked.display:
            return False
        asked.display = False
        self._selected.scroll.focus()
        return True

    def _add(self, steering: Steering) -> None:
        if refusal := self.comparison.add(steering):
            self.notify(refusal)
            return
        self._said = ""
        self._lay_out(self.comparison.columns[-1])

    def action_remove(self) -> None:
        """Take this column away."""
        if self.comparison.blind:
            return
        if refusal := self.comparison.remove(self._selected.column):
            self.notify(refusal)
        else:
            self._lay_out(self.comparison.columns[max(0, self._place - 1)])

    # -- voting -------------------------------------------------------------------------------

    def action_vote(self) -> None:
        """Hide which is which, and ask."""
        if refusal := self.comparison.hide():
            self.notify(refusal)
        else:
            self._said, self._favourite = "", None
            self._lay_out(self.comparison.columns[0])

    def action_choose(self, number: int) -> None:
        """Vote for the column of a number, counted from 1; 0 is no vote."""
        if not self.comparison.blind:
            self.action_go(number - 1)
            return
        if number > len(self.comparison.columns):
            return
        try:
            self.comparison.vote(number - 1 if number else None)
            self._said = self._result()
        except AmuletError as error:
            self._said = f"The vote is not kept: {error}"
        self._update()

    def _result(self) -> str:
        """What was voted for, and what all votes come to."""
        winner = self.comparison.winner
        if winner is None:
            return "No vote."
        preset = winner.steering.preset
        chosen = f"You chose {winner.steering.title} {winner.name}."
        if not preset:
            return f"{chosen} Votes are kept for presets only."
        tally = self.comparison.tally(preset)
        favourite = tally.favourite
        if favourite is None:
            if tally.votes < FEWEST:
                return f"{chosen} {tally.votes} of the {FEWEST} votes that a suggestion needs."
            return f"{chosen} No strength is ahead in {tally.votes} votes."
        told = f"Of {tally.votes} votes, {tally.won[favourite]} went to {favourite:.2f}"
        if abs(favourite - preset.strength) < 0.005:
            return f"{chosen} {told}, which is this preset's default."
        self._favourite = (preset, favourite)
        key = shown_key(self.app, COMPARE, "use_favourite")
        return f"{chosen} {told}: {key} makes it this preset's default."

    def action_use_favourite(self) -> None:
        """Make the strength with most votes the preset's own."""
        if not self._favourite:
            self.notify("The votes suggest no other strength yet.")
            return
        preset, strength = self._favourite
        try:
            path = save_preset(msgspec.structs.replace(preset, strength=strength))
            changed = read_preset(path)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return
        self._favourite = None
        steering = self._session.steering
        if steering.preset and steering.preset.name == changed.name:
            self._session.steering = replace(steering, preset=changed)
        self._said = f"{preset.title or preset.name} is followed at {strength:.2f} by default now."
        self._update()

    # -- leaving ------------------------------------------------------------------------------

    def action_take(self) -> None:
        """Take this column into the chat as a reply."""
        column = self._selected.column
        if self.comparison.blind:
            self.notify(_BLIND)
        elif reply := self.comparison.reply(column):
            self.dismiss(Taken(reply, column.steering))
        elif column.ended:
            self.notify("There is nothing to take here.")
        else:
            self.notify("This column is still being written.")

    def action_leave(self) -> None:
        """Stop, and back to the chat."""
        if not self._leave_strength():
            self.dismiss(None)
