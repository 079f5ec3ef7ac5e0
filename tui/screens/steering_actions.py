"""What can be done about how replies are steered: preset, words, dial, guard, placement.

Functions over the chat's screen. All but the dial counts from the next message on.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import get_args

import msgspec

from amulet_local.chats.wishes import split_wish
from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import calibrated_strength
from amulet_local.presets.firmness import as_strength
from amulet_local.presets.mixes import load_mixes
from amulet_local.presets.preset import Preset, load_presets
from amulet_local.protocol.alignment import Placement
from amulet_local.protocol.numbers import Fraction
from tui.markdown.sanitising import sentence
from tui.screens.chat_view import ChatView
from tui.screens.mix_actions import bears
from tui.screens.preset_form import PresetForm
from tui.screens.preset_picker import Choice, PresetPicker
from tui.session.steering import GUARDS, FaderChoice, SteeringChoice

_ON_OFF = {"on": True, "off": False}


def calibrated_at(view: ChatView, preset: Preset | None) -> float | None:
    """The strength that `amulet calibrate` found for a preset on the model at hand, if any. Read
    from its file only if either is another one than the last time."""
    model = view.session.model
    asked = (model, preset)
    if asked != view.calibrated[0]:
        found = calibrated_strength(as_text(model.path), preset) if model and preset else None
        view.calibrated = (asked, found)
    return view.calibrated[1]


def show_panel(view: ChatView) -> None:
    """Show how the next reply is steered, or the one under way."""
    session = view.session
    steering, calibrated = session.steering, calibrated_at(view, session.steering.preset)
    pending = session.replying not in (None, steering)
    borne = bears(view, steering) if steering.mix else 0.0
    view.panel.show(steering, calibrated, _wish_at_hand(view), borne, pending=pending)


def _wish_at_hand(view: ChatView) -> str:
    """What is wished of the reply that the dial is about: the one under way, else the one that is
    being asked for, else the newest, which may be asked for again."""
    session, typed = view.session, view.prompt.text
    if not session.replying and typed.strip() and not typed.startswith("/"):
        return split_wish(typed)[1] if "!!" in typed else ""
    questions = (node.message for node in reversed(session.path) if node.message.role == "user")
    newest = next(questions, None)
    return newest.wish if newest else ""


def steer_by(view: ChatView, steering: SteeringChoice) -> None:
    """Be steered like this from the next message on."""
    view.session.steering = steering
    view.show()


def pick_preset(view: ChatView) -> None:
    """Choose a preset; files may have changed, so they are read anew."""
    view.presets = load_presets()
    picker = PresetPicker(view.presets, view.session.steering.preset)
    view.app.push_screen(picker, partial(_pick, view))


def _pick(view: ChatView, choice: Choice | None) -> None:
    if choice:
        steer_by(view, SteeringChoice.to_preset(choice.preset))


def take_preset(view: ChatView, name: str) -> None:
    """Take a preset by its name."""
    view.presets = load_presets()
    try:
        if mixed := _mix_called(view, name):
            steer_by(view, mixed)
            return
        preset = None if name in ("none", "off") else view.presets.get(name)
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
    else:
        steer_by(view, SteeringChoice.to_preset(preset))


def _mix_called(view: ChatView, name: str) -> SteeringChoice | None:
    """The mix of a name that no preset has. Raises AmuletError where it is broken."""
    if name in view.presets.presets or not (mix := load_mixes(view.presets).get(name)):
        return None
    faders = [FaderChoice.of(each, "") for each in mix.faders]
    return SteeringChoice.to_mix(faders, mix.together)


def go_to_dial(view: ChatView) -> None:
    """To the dial, or the desk, and back."""
    dial = view.panel.at_hand
    if dial.disabled:
        view.notify(
            "Choose a preset first, or write a wish behind !!: the dial sets how strongly it is "
            "followed."
        )
    view.set_focus(view.prompt if dial.disabled or dial.has_focus else dial)


def set_strength(view: ChatView, strength: str) -> None:
    """Set the dial to a number."""
    try:
        turned = as_strength(strength)
    except msgspec.ValidationError:
        view.notify(f"The strength must be a number, like 3 or 5.65, not {strength}.")
        return
    view.session.turn(turned)
    view.show()
    _tell_wishes(view)


def begin_words(view: ChatView) -> None:
    """Begin to write a preference."""
    view.prompt.begin(f"/prefer {view.session.steering.words}")
    view.set_focus(view.prompt)


def set_words(view: ChatView, words: str) -> None:
    """Prefer this in this chat."""
    steer_by(view, SteeringChoice.to_words(words))


def begin_wish(view: ChatView, words: str = "") -> None:
    """Begin to write a wish below the message; with the words of one, the message above it."""
    message = view.prompt.text
    view.prompt.write(f"{message}\n!! {words}")
    if words and not message:
        view.prompt.move_cursor((0, 0))
    view.set_focus(view.prompt)


def edit_preset(view: ChatView) -> None:
    """Change the preset that is chosen."""
    if preset := view.session.steering.preset:
        view.app.push_screen(PresetForm(preset), partial(_saved, view))
    else:
        pick_preset(view)


def edit_named_preset(view: ChatView, name: str) -> None:
    """Change a preset by its name."""
    view.presets = load_presets()
    try:
        view.app.push_screen(PresetForm(view.presets.get(name)), partial(_saved, view))
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")


def new_preset(view: ChatView) -> None:
    """Write a preset, beginning with this chat's own words."""
    view.app.push_screen(PresetForm(None, view.session.steering.words), partial(_saved, view))


def _saved(view: ChatView, preset: Preset | None) -> None:
    if preset:
        view.presets = load_presets()
        steer_by(view, SteeringChoice.to_preset(preset))


def next_guard(view: ChatView) -> None:
    """The next of the usual guards."""
    guard = view.session.steering.guard
    _guard(view, next((step for step in GUARDS if step > guard), GUARDS[0]))


def set_guard(view: ChatView, guard: str) -> None:
    """Set the guard to a number."""
    try:
        _guard(view, msgspec.convert(guard.replace(",", "."), Fraction, strict=False))
    except msgspec.ValidationError:
        view.notify(f"The guard must be a number from 0 to 1, like 0.1, not {guard}.")


def _guard(view: ChatView, guard: float) -> None:
    steer_by(view, replace(view.session.steering, guard=guard))
    _tell_wishes(view)


def move_preference(view: ChatView) -> None:
    """Move the preference to the other place."""
    set_placement(view, "turn" if view.session.steering.placement == "system" else "system")


def set_placement(view: ChatView, placement: str) -> None:
    """Put the preference into the system prompt, or into the newest message only."""
    place = next((place for place in get_args(Placement) if place == placement), None)
    if place is None:
        view.notify(f"The placement must be system or turn, not {placement}.")
    elif view.session.steering.preference:
        steer_by(view, replace(view.session.steering, placement=place))
    else:
        view.notify(f"{view.session.steering.lacking}: the placement is that of a preference.")


def toggle_thinking(view: ChatView) -> None:
    """Have replies begin with a thought, or no more."""
    _think(view, not view.session.thinking)


def set_thinking(view: ChatView, wanted: str) -> None:
    """The same, by a word."""
    if wanted in _ON_OFF:
        _think(view, _ON_OFF[wanted])
    else:
        view.notify(f"Thinking must be on or off, not {wanted}.")


def _think(view: ChatView, thinking: bool) -> None:
    refusal = view.session.think(thinking)
    told = "Thinking is on." if thinking else "Thinking is off."
    view.notify(refusal or told)
    view.show()


def _tell_wishes(view: ChatView) -> None:
    """Say what strength and guard are for while there is nothing to follow."""
    steering = view.session.steering
    if not steering.preference and not _wish_at_hand(view):
        told = f"strength {steering.strength:.2f}, guard {steering.guard:g}"
        none = "All preferences are muted" if steering.mix else "No preset is chosen"
        view.notify(f"{none}, so this is for wishes (!!): {told}.")
