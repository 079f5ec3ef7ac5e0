"""A token in numbers, and what base, prompt only and realigned would have said in its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from amulet_local.chats.provenance import TokenMeasures
from amulet_local.protocol.messages import Candidate, Candidates
from amulet_local.strengths import label
from tui.actions import CARD, bindings
from tui.heatmap.shares import faders_of
from tui.heatmap.sparkline import level_bar
from tui.heatmap.token_lines import shown
from tui.heatmap.tokens import Reading
from tui.markdown.sanitising import clean

LISTS = ("base", "prompt only", "realigned")
_GAP = 2
_FADER = 14  # cells of a fader's name
_MOST_BAR = 24
_CHANCE = 6  # cells of a probability
_ENDS = "■ end"
_DIFFERS = "Recomputed: because of rounding, a flip can differ from what was first measured."


@dataclass(frozen=True)
class Shown:
    """What a card shows. strength: to go on with. why: there are no candidates, in a sentence."""

    token: int
    candidates: Candidates | None
    why: str
    strength: str


class TokenCard(Widget, can_focus=True):
    """With the focus, one candidate is selected, and Enter picks it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "name", "value", "head", "bar", "chance", "chosen", "selected", "quiet"
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = bindings(CARD)
    ALLOW_SELECT = False

    showing: reactive[Shown | None] = reactive(None, layout=True)
    flat: reactive[bool] = reactive(False, layout=True)  # facts in a line, lists side by side
    place: reactive[tuple[int, int]] = reactive((2, 0))  # of the selected: list, row

    class Picked(Message):
        """The user wants this candidate in the token's place."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading
        self._faders = [clean(name) for name in faders_of(reading)]
        self._rows: list[dict[int, tuple[int, int]]] = []  # by line: column -> candidate's place

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it has to say."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Facts, then lists."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if self.showing is None:
            return []
        facts = self._facts(self.showing, width)
        facts += [] if self.flat else [Content()]
        lists, self._rows = [], []
        if candidates := self.showing.candidates:
            lists = self._candidates(candidates, width)
            if self._differs(candidates):
                lists += Content.styled(_DIFFERS, ".quiet").wrap(max(1, width))
        if self.showing.why:
            words = Content.styled(self.showing.why, ".quiet")
            lists += words.wrap(max(1, width))
        self._rows = [{}] * len(facts) + self._rows
        return facts + lists

    # -- facts --------------------------------------------------------------------------------

    def _facts(self, showing: Shown, width: int) -> list[Content]:
        token = self._reading.tokens[showing.token]
        measures = token.measures
        text = self._reading.text_of(showing.token)
        title = Content.styled(f" {shown(text)} ", ".chosen")
        if not text:
            title += Content.styled(" no visible character", ".quiet")
        count = f"{showing.token + 1}/{len(self._reading.tokens)}"
        title = title.truncate(max(1, width - len(count) - 1), ellipsis=True)
        title = title.pad_right(max(1, width - title.cell_length - len(count)))
        title += Content.styled(count, ".quiet")
        told = self._told_flat(showing, measures) if self.flat else self._told(showing, measures)
        if self.flat:
            parts = [Content.assemble((f"{name} ", ".name"), text) for name, text in told]
            return [title, Content("  ").join(parts).truncate(max(1, width), ellipsis=True)]
        names = max(len(name) for name, _ in told)
        lines = [Content.assemble((name.ljust(names + 1), ".name"), text) for name, text in told]
        return [title, *(line.truncate(max(1, width), ellipsis=True) for line in lines)]

    def _told(self, showing: Shown, measures: TokenMeasures) -> list[tuple[str, str]]:
        """What was measured, with names."""
        told = [("shift", _nats(measures.shift))]
        if measures.flip is not None:
            told.append(("flip", _flip(measures.flip, measures.flip_strength)))
        told.append(("strength", f"{measures.strength:.2f} {label(measures.strength)}"))
        faders = zip(self._faders, measures.strengths, measures.shares, strict=False)
        told += [
            (f"{number} {_fitted(name, _FADER).rstrip()}", f"{share:+.2f} nats at {strength:+.2f}")
            for number, (name, strength, share) in enumerate(faders, 1)
        ]
        if showing.candidates is None:
            told += [
                (name, _percent(math.exp(chance)))
                for name, chance in zip(LISTS, _logps(measures), strict=True)
                if chance is not None
            ]
        return [*told, ("continue at", showing.strength)] if showing.strength else told

    def _told_flat(self, showing: Shown, measures: TokenMeasures) -> list[tuple[str, str]]:
        """The same in a line."""
        flip = _flip(bool(measures.flip), measures.flip_strength).replace("strength ", "")
        strength = f"{measures.strength:.2f}"
        if showing.strength and not showing.strength.startswith(strength):
            strength += f" → {showing.strength}"
        told = [("shift", "none" if measures.shift is None else f"{measures.shift:.2f}")]
        told += [("flip", flip)] if measures.flip is not None else []
        told += [
            (f"{number}", f"{share:+.2f}")
            for number, share in enumerate(measures.shares[: len(self._faders)], 1)
        ]
        return [*told, ("strength", strength)]

    def _differs(self, candidates: Candidates) -> bool:
        """Whether the lists, computed again, have the flip otherwise than it was measured."""
        assert self.showing
        flip = self._reading.tokens[self.showing.token].measures.flip
        if flip is None or not candidates.pref or not candidates.realigned:
            return False
        return flip != (candidates.pref[0].token != candidates.realigned[0].token)

    # -- lists --------------------------------------------------------------------------------

    def _candidates(self, candidates: Candidates, width: int) -> list[Content]:
        lists = [
            (number, name, found)
            for number, (name, found) in enumerate(zip(LISTS, _lists(candidates), strict=True))
            if found
        ]
        beside = self.flat
        own = (width - _GAP * (len(lists) - 1)) // len(lists) if beside else width
        columns = [self._column(number, name, found, own) for number, name, found in lists]
        numbers = [number for number, _, _ in lists]
        if not beside:
            lines: list[Content] = []
            for number, column in zip(numbers, columns, strict=True):
                lines += column
                self._rows += [{}, *({0: (number, row)} for row in range(len(column) - 1))]
            return lines
        lines = []
        for row in range(max(map(len, columns))):
            cells = [column[row] if row < len(column) else Content() for column in columns]
            padded = [cell.pad_right(own - cell.cell_length) for cell in cells]
            lines.append(Content(" " * _GAP).join(padded))
            starts = {at * (own + _GAP): (number, row - 1) for at, number in enumerate(numbers)}
            self._rows.append(starts if row else {})
        return lines

    def _column(
        self, number: int, name: str, found: tuple[Candidate, ...], width: int
    ) -> list[Content]:
        lines = [Content.styled(name, ".head").truncate(width)]
        bar = min(_MOST_BAR, max(2, (width - _CHANCE - 10) // 2))
        words = max(1, width - bar - _CHANCE - 3)
        rows = [*found, *self._also(number, found)]
        most = max(candidate.p for each in self._all() for candidate in each)
        for row, candidate in enumerate(rows):
            text = _ENDS if candidate.ends else shown(candidate.text)
            selected = self.has_focus and self.place == (number, row)
            sign = "▸" if selected else "●" if candidate.token == self._written else " "
            style = ".selected" if selected else ".chosen" if sign == "●" else ".value"
            lines.append(
                Content.assemble(
                    (f"{sign} {_fitted(text, words)}", style),
                    " ",
                    (level_bar(candidate.p / most, bar), ".bar"),
                    (_percent(candidate.p).rjust(_CHANCE), ".chance"),
                ).truncate(max(1, width))
            )
        return lines

    def _also(self, number: int, found: tuple[Candidate, ...]) -> list[Candidate]:
        """The token that was written, where it is not among the likeliest."""
        assert self.showing
        token = self._reading.tokens[self.showing.token]
        chance = _logps(token.measures)[number]
        if chance is None or any(candidate.token == self._written for candidate in found):
            return []
        text = self._reading.text_of(self.showing.token)
        return [Candidate(self._written, text, math.exp(chance))]

    @property
    def _written(self) -> int:
        """The id of the token that is there."""
        assert self.showing
        return self._reading.node.message.token_ids[self._reading.before + self.showing.token]

    # -- picking ------------------------------------------------------------------------------

    def on_focus(self) -> None:
        """Begin at the likeliest that was realigned."""
        self._select(2, 0)

    def _select(self, number: int, row: int) -> None:
        found = self._found(number)
        if found:
            self.place = (number, max(0, min(len(found) - 1, row)))

    def _all(self) -> tuple[tuple[Candidate, ...], ...]:
        candidates = self.showing.candidates if self.showing else None
        return _lists(candidates) if candidates else ()

    def _found(self, number: int) -> tuple[Candidate, ...]:
        """A list, as far as there is one; the written token below it is no candidate."""
        lists = self._all()
        return lists[number] if 0 <= number < len(lists) else ()

    def action_candidate(self, by: int) -> None:
        """The candidate so many places on; past a list's end, the next list."""
        number, row = self.place
        if 0 <= row + by < len(self._found(number)):
            self._select(number, row + by)
        elif found := self._found(number + by):
            self._select(number + by, 0 if by > 0 else len(found) - 1)

    def action_end(self, end: int) -> None:
        """The first candidate of the list, or the last."""
        number = self.place[0]
        self._select(number, len(self._found(number)) - 1 if end > 0 else 0)

    def action_list(self, by: int) -> None:
        """The next list, or the one before."""
        self._select(self.place[0] + by, self.place[1])

    def action_pick(self) -> None:
        """Have the selected one in the token's place."""
        number, row = self.place
        if row < len(found := self._found(number)):
            self.post_message(self.Picked(found[row]))

    def on_click(self, event: events.Click) -> None:
        """Select a candidate; a second click picks it."""
        place = event.get_content_offset(self)
        rows = self._rows[place.y] if place and place.y < len(self._rows) else {}
        starts = [start for start in rows if place and start <= place.x]
        if not starts:
            return
        number, row = rows[max(starts)]
        if row >= len(self._found(number)):
            return
        again = self.has_focus and self.place == (number, row) and event.chain > 1
        self.focus()
        self.call_later(self._select, number, row)
        if again:
            self.action_pick()


def _lists(candidates: Candidates) -> tuple[tuple[Candidate, ...], ...]:
    return candidates.base, candidates.pref, candidates.realigned


def _logps(measures: TokenMeasures) -> tuple[float | None, ...]:
    return measures.logp_base, measures.logp_pref, measures.logp_realigned


def _nats(shift: float | None) -> str:
    return "none (no preference)" if shift is None else f"{shift:.2f} nats"


def _flip(flipped: bool, strength: float | None) -> str:
    """Whether realignment changed the greedy choice, and at which strength it does."""
    reachable = strength is not None and math.isfinite(strength)
    if flipped:
        return f"from strength {strength:.2f} on" if reachable else "yes"
    return f"no; from strength {strength:.2f} on" if reachable else "at no strength"


def _percent(p: float) -> str:
    if p < 0.001:
        return "<0.1%"
    return f"{p:.0%}" if p >= 0.0995 else f"{p:.1%}"


def _fitted(text: str, width: int) -> str:
    """Exactly this wide; what is cut is seen to be cut."""
    return set_cell_size(text, width) if cell_len(text) <= width else (
        set_cell_size(text, width - 1) + "…"
    )  # fmt: skip
