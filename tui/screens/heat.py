"""The heat view: a reply token by token, what else could have been said, and a way to go on from
anywhere in it.

The screen is dismissed with the reply to go on with, or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from amulet_local.chats.conversation import Node
from amulet_local.chats.followed import followed
from amulet_local.protocol.alignment import STRONGEST
from amulet_local.strengths import label
from tui.actions import HEAT_SCREEN, bindings
from tui.heatmap.alternatives import Alternatives
from tui.heatmap.colours import fader_styles, legend, ramp
from tui.heatmap.shares import faders_of
from tui.heatmap.tokens import Reading
from tui.markdown.sanitising import clean, count
from tui.screens.dialog import Dialog
from tui.session.session import Session
from tui.widgets.curves import Curves
from tui.widgets.dial import step
from tui.widgets.heat_text import HeatText
from tui.widgets.keys import KeyLine
from tui.widgets.token_card import Shown, TokenCard

_POLLS_PER_S = 8
_BESIDE = 100  # cells from which the card is beside the reply, as in styles/heat.tcss
_STEPS = 5  # tenths of strength that a key turns
_DIGITS = {"full_stop": ".", "comma": "."}
_LONGEST_NUMBER = 7
_NO_DIAL = "This reply follows no preference, so there is no dial to turn."


@dataclass(frozen=True)
class Branch:
    """A reply to write on from (or, with an ending, to keep as it is), and at which strength."""

    begun: Node
    strength: float


class HeatScreen(Dialog[Branch | None]):
    """title: how the reply was steered, in words. Needs a reading with tokens."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(HEAT_SCREEN)

    def __init__(self, session: Session, reading: Reading, title: str) -> None:
        super().__init__()
        self._reading, self._alternatives, self._about = (
            reading,
            Alternatives(session, reading),
            title,
        )
        self._text, self._card = HeatText(reading), TokenCard(reading)
        self._curves, self._legend = Curves(reading), Static(id="legend")
        self._set: float | None = None  # the strength to go on at, where it is not the token's
        self._typed = ""

    def compose(self) -> ComposeResult:
        """The reply above its curves, the card beside or below, the keys."""
        yield Static(self._heading(), id="heading")
        with Horizontal(id="heat"):
            with Vertical(id="reply"):
                yield self._text
                yield self._curves
                yield self._legend
            with VerticalScroll(id="card", can_focus=False):
                yield self._card
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin at the first flip, or the first token."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._explain())
        self._explain()
        self.set_focus(self._text)
        self._text.cursor = next(iter(self._reading.flips), 0)
        self.poll()
        self.set_interval(1 / _POLLS_PER_S, self.poll)

    def on_resize(self, event: events.Resize) -> None:
        """Below the reply, the card has little height."""
        self._card.flat = event.size.width < _BESIDE

    def on_unmount(self) -> None:
        """Nobody reads what the engine would still say. The signal holds what hears it."""
        self._alternatives.close()
        self.app.theme_changed_signal.unsubscribe(self)

    def _leave(self, branch: Branch | None) -> None:
        """Give way to the chat, and the engine with it, which is to write there."""
        self._alternatives.close()
        self.dismiss(branch)

    def _heading(self) -> Content:
        tokens, flips = self._reading.tokens, self._reading.flips
        shifts = [it.measures.shift for it in tokens if it.measures.shift is not None]
        parts = [clean(self._about), count(len(tokens), "token")]
        if shifts:
            parts += [
                count(len(flips), "flip"),
                f"shift {sum(shifts) / len(shifts):.2f} nats per token",
            ]
        parts += map(clean, followed(self._reading.node).told)
        return Content.styled("Heat", "bold") + Content("  " + " · ".join(filter(None, parts)))

    def _explain(self) -> None:
        """What the colours mean."""
        if self._text.by_fader:
            self._legend.update(self._names())
            return
        levels = ramp(self.app.theme_variables, coloured=not self.app.no_color)
        tints = [(text, Style.from_rich_style(style)) for text, style in legend(levels)]
        self._legend.update(Content.assemble("shift in nats ", *tints, "  ", ("flip", "underline")))

    def _names(self) -> Content:
        """Which number and colour is whose."""
        styles = fader_styles(self.app.theme_variables, coloured=not self.app.no_color)
        names = enumerate(faders_of(self._reading))
        told = [
            (f" {number + 1} {clean(name)} ", Style.from_rich_style(styles[number]))
            for number, name in names
        ]
        return Content.assemble("shifted most by ", *told, "  ", ("flip", "underline"))

    def action_who(self) -> None:
        """Tint by who moved a token, or by how far it was moved."""
        if not faders_of(self._reading):
            self.notify("This reply follows one preference, which caused the whole shift.")
            return
        self._text.by_fader = not self._text.by_fader
        self._explain()

    # -- the card -----------------------------------------------------------------------------

    def poll(self) -> None:
        """Show what is known by now of the token at the cursor."""
        self._alternatives.ask()
        cursor = self._text.cursor
        self._curves.cursor = cursor
        self._card.showing = Shown(
            cursor, self._alternatives.at(cursor), self._alternatives.why, self._strength_in_words()
        )

    @on(HeatText.Moved)
    def _moved(self) -> None:
        self.poll()

    @on(Curves.Pointed)
    def _point(self, message: Curves.Pointed) -> None:
        self._text.point(message.token)

    # -- the strength to go on at -------------------------------------------------------------

    @property
    def _has_dial(self) -> bool:
        origin = self._reading.node.origin
        return bool(origin and origin.steered)

    @property
    def strength(self) -> float:
        """To go on at: what was set here, else the token's own."""
        if self._set is None:
            return self._reading.tokens[self._text.cursor].measures.strength
        return self._set

    def _strength_in_words(self) -> str:
        if not self._has_dial:
            return ""
        if self._typed:
            return f"{self._typed}▏"
        return f"{self.strength:.2f} {label(self.strength)}{'' if self._set is None else ' ◂'}"

    def action_turn(self, direction: int) -> None:
        """More, or less."""
        if self._has_dial:
            self._typed, self._set = "", step(self.strength, direction * _STEPS)
            self.poll()
        else:
            self.notify(_NO_DIAL)

    def on_key(self, event: events.Key) -> None:
        """A number is the strength to go on at."""
        typed = self._typed
        if event.key == "backspace" and typed:
            typed = typed[:-1]
        elif event.key.isdecimal() or (typed and event.key in _DIGITS):
            typed += _DIGITS.get(event.key, event.key)
        else:
            return
        event.stop()
        if not self._has_dial:
            self.notify(_NO_DIAL)
            return
        try:
            number = float(typed) if typed else None
        except ValueError:
            return
        if len(typed) <= _LONGEST_NUMBER and (number is None or number <= STRONGEST):
            self._typed, self._set = typed, number
            self.poll()

    # -- going on -----------------------------------------------------------------------------

    def action_branch(self) -> None:
        """Go on from before the token at the cursor."""
        self._leave(Branch(self._reading.cut(self._text.cursor), self.strength))

    @on(TokenCard.Picked)
    def _replace(self, message: TokenCard.Picked) -> None:
        """Go on with another token in its place; one that ends the reply ends it."""
        cursor, candidate = self._text.cursor, message.candidate
        candidates = self._alternatives.at(cursor)
        if candidate.ends and cursor + self._reading.before == 0:
            self.notify("A reply cannot end before its first token.")
        elif candidate.ends:
            self._leave(Branch(self._reading.ended(cursor), self.strength))
        elif candidates:
            begun = self._reading.replaced(cursor, candidate, candidates)
            self._leave(Branch(begun, self.strength))

    def action_card(self) -> None:
        """Into the card and back."""
        if self._card.has_focus:
            self.set_focus(self._text)
        elif self._card.showing and self._card.showing.candidates:
            self.set_focus(self._card)
        else:
            self.notify(self._alternatives.why or "There is nothing to pick here.")

    def action_leave(self) -> None:
        """From the card to the text, from the text to the chat."""
        if self._typed or self._set is not None:
            self._typed, self._set = "", None
            self.poll()
        elif self._card.has_focus:
            self.set_focus(self._text)
        else:
            self._leave(None)
