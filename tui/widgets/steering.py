"""How the next reply is steered: the preset, its words where there is room, and the dial."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from amulet_local.realignment import BASE, label
from tui.markdown.sanitising import clean
from tui.session.steering import SteeringChoice
from tui.widgets.dial import Dial

_UNSTEERED = "The model as it is. Choose a preset, and the dial sets how strongly it is followed."

_MEANINGS = {
    "away": "leads away from it",
    "base": "ignores it",
    "past base": "barely follows it",
    "prompt": "only asks for it",
    "past prompt": "does more than ask",
    "LA": "follows it firmly",
    "past LA": "follows it strongly",
    "Amulet": "as strongly as in the paper",
    "past Amulet": "very strongly; text may suffer",
}


class SteeringPanel(Widget):
    """Shows how replies are steered. A click on the preset is the screen's action."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None

    def compose(self) -> ComposeResult:
        """The preset and its strength, what it is for and its words, the dial."""
        with Horizontal(id="chosen"):
            yield Static(id="preset")
            yield Static(id="strength")
            yield Static(id="meaning")
            yield Static(id="how")
            yield Static(id="pending")
        yield Static(id="description")
        yield Static(id="words")
        yield Dial()

    def show(self, steering: SteeringChoice, calibrated: float | None, *, pending: bool) -> None:
        """calibrated: the strength found for this preset and model, if any. pending: whether this
        counts from the next message only, since a reply is under way."""
        if self._shown == (steering, calibrated, pending):
            return
        self._shown = (steering, calibrated, pending)
        self.set_class(pending, "-pending")
        followed = bool(steering.preference)
        strength = steering.strength if followed else BASE
        self._say(
            "#preset",
            f"{clean(steering.title)} ▾",
            Style.from_meta({"@click": "screen.pick_preset"}),
        )
        self._say("#strength", f"{strength:.2f} {label(strength)}" if followed else "")
        self._say("#meaning", _MEANINGS[label(strength)] if followed else "")
        self.query_one("#how", Static).update(_how(steering) if followed else Content())
        self._say("#pending", "→ from the next message" if pending else "")
        description = steering.preset.description if steering.preset else ""
        self._say("#description", clean(description) if followed else _UNSTEERED)
        self._say("#words", f"“{clean(steering.preference)}”" if followed else "")
        dial = self.query_one(Dial)
        dial.strength, dial.calibrated = strength, calibrated
        dial.disabled = not followed

    def _say(self, selector: str, text: str, style: Style | str = "") -> None:
        self.query_one(selector, Static).update(Content.styled(text, style))


def _how(steering: SteeringChoice) -> Content:
    """Guard and placement; a click on either changes it."""
    guard = f"guard {steering.guard:g}" if steering.guard else "no guard"
    place = "in the system prompt" if steering.placement == "system" else "in the newest message"
    return Content(" · ").join(
        Content.styled(text, Style.from_meta({"@click": f"screen.{action}"}))
        for text, action in ((guard, "guard"), (place, "place"))
    )
