"""What can be done about how replies are steered: preset, words, dial, guard, placement.

A part of the chat's screen. All but the dial counts from the next message on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

import msgspec
from textual import on
from textual.screen import Screen

from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import calibrated_strength
from amulet_local.presets.preset import Preset, Presets, load_presets
from amulet_local.protocol.alignment import Placement, Strength
from amulet_local.protocol.numbers import Fraction
from tui.screens.picker import Choice, PresetPicker
from tui.screens.preset_form import PresetForm
from tui.session.changes import GUARDS, Change, SteeringChoice
from tui.session.session import Session
from tui.widgets.dial import Dial
from tui.widgets.prompt import Prompt

_ON_OFF = {"on": True, "off": False}


class OnSteering(Screen[None]):
    """Needs `session` and `prompt`, and `show` for what changes."""

    session: Session
    prompt: Prompt

    def __init__(self) -> None:
        super().__init__()
        self.presets: Presets = load_presets()
        self._calibrated: tuple[object, float | None] = (None, None)

    def show(self, changes: Iterable[Change] = ()) -> None:
        """Show what changes, and how things stand after it."""
        raise NotImplementedError

    @on(Dial.Moved)
    def _turn(self, message: Dial.Moved) -> None:
        self.session.turn(message.strength)
        self.show()

    @on(Dial.Left)
    def _leave_dial(self) -> None:
        self.set_focus(self.prompt)

    def calibrated(self, preset: Preset | None) -> float | None:
        """The strength that `amulet calibrate` found for a preset on the model at hand, if any."""
        model = self.session.model
        asked = (model, preset)
        if asked != self._calibrated[0]:
            found = calibrated_strength(as_text(model.path), preset) if model and preset else None
            self._calibrated = (asked, found)
        return self._calibrated[1]

    def steer_by(self, steering: SteeringChoice) -> None:
        """Be steered like this from the next message on."""
        self.session.steering = steering
        self.show()

    def action_pick_preset(self) -> None:
        """Choose a preset; files may have changed, so they are read anew."""
        self.presets = load_presets()
        self.app.push_screen(PresetPicker(self.presets, self.session.steering.preset), self._pick)

    def _pick(self, choice: Choice | None) -> None:
        if choice:
            self.steer_by(SteeringChoice.to_preset(choice.preset))

    def command_pick_preset(self, name: str) -> None:
        """Take a preset by its name."""
        self.presets = load_presets()
        try:
            preset = None if name in ("none", "off") else self.presets.get(name)
        except AmuletError as error:
            self.notify(str(error), severity="error")
        else:
            self.steer_by(SteeringChoice.to_preset(preset))

    def action_steer(self) -> None:
        """To the dial and back."""
        dial = self.query_one(Dial)
        self.set_focus(dial if self._is_steered() and not dial.has_focus else self.prompt)

    def command_steer(self, strength: str) -> None:
        """Set the dial to a number."""
        try:
            number = msgspec.convert(strength.replace(",", "."), Strength, strict=False)
        except msgspec.ValidationError:
            self.notify(f"A strength is a number, like 3 or 5.65, not {strength}.")
            return
        if self._is_steered():
            self.session.turn(number)
            self.show()

    def action_prefer(self) -> None:
        """Begin to write a preference."""
        self.prompt.write(f"/prefer {self.session.steering.words}")
        self.set_focus(self.prompt)

    def command_prefer(self, words: str) -> None:
        """Prefer this in this chat."""
        self.steer_by(SteeringChoice.to_words(words))

    def action_edit_preset(self) -> None:
        """Change the preset that is chosen."""
        if preset := self.session.steering.preset:
            self.app.push_screen(PresetForm(preset), self._saved)
        else:
            self.action_pick_preset()

    def command_edit_preset(self, name: str) -> None:
        """Change a preset by its name."""
        self.presets = load_presets()
        try:
            self.app.push_screen(PresetForm(self.presets.get(name)), self._saved)
        except AmuletError as error:
            self.notify(str(error), severity="error")

    def action_new_preset(self) -> None:
        """Write a preset, beginning with this chat's own words."""
        self.app.push_screen(PresetForm(None, self.session.steering.words), self._saved)

    def _saved(self, preset: Preset | None) -> None:
        if preset:
            self.presets = load_presets()
            self.steer_by(SteeringChoice.to_preset(preset))

    def action_guard(self) -> None:
        """The next of the usual guards."""
        guard = self.session.steering.guard
        self._guard(next((step for step in GUARDS if step > guard), GUARDS[0]))

    def command_guard(self, guard: str) -> None:
        """Set the guard to a number."""
        try:
            self._guard(msgspec.convert(guard.replace(",", "."), Fraction, strict=False))
        except msgspec.ValidationError:
            self.notify(f"A guard is a number from 0 to 1, like 0.1, not {guard}.")

    def _guard(self, guard: float) -> None:
        if self._is_steered():
            self.steer_by(replace(self.session.steering, guard=guard))

    def action_place(self) -> None:
        """Move the preference to the other place."""
        self.command_place("turn" if self.session.steering.placement == "system" else "system")

    def command_place(self, placement: str) -> None:
        """Put the preference into the system prompt, or into the newest message only."""
        place = next((place for place in get_args(Placement) if place == placement), None)
        if place is None:
            self.notify(f"A preference is placed in system or turn, not in {placement}.")
        elif self._is_steered():
            self.steer_by(replace(self.session.steering, placement=place))

    def action_think(self) -> None:
        """Have replies begin with a thought, or no more."""
        self._think(not self.session.thinking)

    def command_think(self, wanted: str) -> None:
        """The same, by a word."""
        if wanted in _ON_OFF:
            self._think(_ON_OFF[wanted])
        else:
            self.notify(f"Thinking is on or off, not {wanted}.")

    def _think(self, thinking: bool) -> None:
        refusal = self.session.think(thinking)
        told = "Replies begin with a thought." if thinking else "Replies begin without a thought."
        self.notify(refusal or told)
        self.show()

    def _is_steered(self) -> bool:
        """Whether there is something to steer by; if not, that is said."""
        if not self.session.steering.preference:
            self.notify("Choose a preset first: the dial says how strongly it is followed.")
        return bool(self.session.steering.preference)
