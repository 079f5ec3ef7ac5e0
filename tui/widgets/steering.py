"""How the next reply is steered: the preset, its words where there is room, and the dial."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from amulet_local.chats.followed import told_held_back
from amulet_local.presets.mixing import total
from amulet_local.protocol.voices import held_back
from amulet_local.strengths import BASE, label
from tui.markdown.sanitising import clean
from tui.session.requests import alignment_of
from tui.session.steering import SteeringChoice
from tui.widgets.desk import Desk
from tui.widgets.dial import Dial

_WISHED = (
    "For this reply only; later messages do not see it. The dial sets how firmly it is followed."
)
_UNSTEERED = "The model as it is. Choose a preset, and the dial sets how strongly it is followed."

_BESIDE, _TALL = 150, 36  # cells of a screen that has room for standing faders

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
        self.dial, self.desk = Dial(), Desk()
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
        yield self.dial
        yield self.desk

    @property
    def at_hand(self) -> Dial | Desk:
        """What strengths are set with: the desk, where there are several preferences."""
        return self.desk if self.has_class("-mix") else self.dial

    def on_resize(self) -> None:
        """Beside the chat there is room for faders that stand."""
        self.desk.standing = self.app.size.width >= _BESIDE and self.app.size.height >= _TALL

    def show(
        self,
        steering: SteeringChoice,
        calibrated: float | None,
        wish: str,
        borne: float = 0.0,
        *,
        pending: bool,
    ) -> None:
        """calibrated: the strength found for this preset and model, if any. wish: of the reply that
        the dial is about. borne: how much of a mix the model bears. pending: whether this counts
        from the next message only, since a reply is under way."""
        if self._shown == (steering, calibrated, wish, borne, pending):
            return
        self._shown = (steering, calibrated, wish, borne, pending)
        self.set_class(pending, "-pending")
        self.set_class(bool(steering.mix), "-mix")
        self.desk.faders = steering.mix
        followed = bool(steering.preference or wish)
        strength = steering.strength if followed else BASE
        self._say(
            "#preset",
            f"{_called(steering, wish)} ▾",
            Style.from_meta({"@click": "screen.pick_preset"}),
        )
        told = f"{strength:.2f} {label(strength)}", _MEANINGS[label(strength)]
        if steering.mix:
            told = _in_all(steering, borne)
        self._say("#strength", told[0] if followed else "")
        self._say("#meaning", told[1] if followed else "")
        self.query_one("#how", Static).update(_how(steering, wish) if followed else Content())
        self._say("#pending", "→ from the next message" if pending else "")
        description = steering.preset.description if steering.preset else ""
        description = _WISHED if wish and not steering.preference else description
        self._say("#description", clean(description) if followed else _UNSTEERED)
        words = [f"“{clean(text)}”" for text in (steering.preference, wish) if text]
        self._say("#words", "\n".join(words))
        self.dial.strength, self.dial.calibrated = strength, calibrated
        if self.dial.has_focus and not followed:
            self.dial.action_leave()
        self.dial.disabled = not followed
        if self.desk.has_focus and not steering.mix:
            self.screen.set_focus(self.dial)
        elif self.dial.has_focus and steering.mix:
            self.screen.set_focus(self.desk)

    def _say(self, selector: str, text: str, style: Style | str = "") -> None:
        self.query_one(selector, Static).update(Content.styled(text, style))


def _called(steering: SteeringChoice, wish: str) -> str:
    """What is followed; the faders of a mix have their names below."""
    if not steering.mix:
        return clean(steering.followed(wish))
    return f"Mix of {len(steering.mix)}{' + wish' if wish else ''}"


def _in_all(steering: SteeringChoice, borne: float) -> tuple[str, str]:
    """What faders come to, and what to do where that is too much."""
    now = total(steering.told)
    if now <= borne + 0.005:
        return f"total {now:.2f}, limit {borne:.3g}", ""
    return f"total {now:.2f}, above the limit of {borne:.3g}", "f or /fit scales all down"


def _how(steering: SteeringChoice, wish: str) -> Content:
    """Guard, and placement of a preference; a click on either changes it. And words that are held
    back, as soon as a wish asks for that."""
    parts = [(f"guard {steering.guard:g}" if steering.guard else "no guard", "guard")]
    if steering.preference:
        place = "system prompt" if steering.placement == "system" else "newest message"
        parts.append((f"in the {place}", "place"))
    said = [
        Content.styled(text, Style.from_meta({"@click": f"screen.{action}"}))
        for text, action in parts
    ]
    held = held_back(alignment_of(steering, wish), wish)
    return Content(" · ").join([*said, *([Content(clean(told_held_back(held)))] if held else [])])
