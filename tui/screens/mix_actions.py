"""What can be done about a mix: add a preference, move faders, make them fit, save them.

Functions over the chat's screen. Strengths, and which faders are heard, count at once, also for a
reply that is being written; which there are, from the next message on.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec

from amulet_local.errors import AmuletError, UsageError
from amulet_local.path_text import as_text
from amulet_local.presets.firmness import as_strength, parted
from amulet_local.presets.mixes import load_mixes, save_mix
from amulet_local.presets.mixing import Chosen, borne, scaled, total
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import MOST_FADERS, STRONGEST
from tui.markdown.sanitising import sentence
from tui.screens.chat_view import ChatView
from tui.screens.line_form import LineForm
from tui.screens.preset_picker import Choice, PresetPicker
from tui.session.steering import FaderChoice, SteeringChoice
from tui.widgets.desk import Faders

_FULL = f"A mix can have at most {MOST_FADERS} preferences; remove one first."
_NOTHING_TO_SAVE = "there is no preference to save; choose a preset first."


def model_file(view: ChatView) -> str:
    """The path of the model at hand; empty for none."""
    model = view.session.model
    return as_text(model.path) if model else ""


def bears(view: ChatView, steering: SteeringChoice) -> float:
    """How much the model at hand bears of these preferences together."""
    return borne(model_file(view), [it.preset for it in steering.faders if it.preset])


def pick_fader(view: ChatView) -> None:
    """Choose a preset to follow beside what is followed; files may have changed."""
    if len(view.session.steering.faders) >= MOST_FADERS:
        view.notify(_FULL)
        return
    view.presets = load_presets()
    view.app.push_screen(PresetPicker(view.presets, None), partial(_picked, view))


def _picked(view: ChatView, choice: Choice | None) -> None:
    if choice and choice.preset:
        _add(view, [Chosen(choice.preset)])
        view.set_focus(view.panel.at_hand)


def add_named(view: ChatView, typed: str) -> None:
    """Follow a preset or words as well, at a strength behind a colon, or all of a mix."""
    view.presets = load_presets()
    name, behind = parted(typed)
    try:
        strength = as_strength(behind) if behind else None
        if name in view.presets.presets or name in view.presets.broken:
            _add(view, [Chosen(view.presets.get(name), "", strength)])
        elif not behind and (mix := load_mixes(view.presets).get(name)):
            _add(view, list(mix.faders))
        else:
            _add(view, [Chosen(None, name, strength)])
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
    except msgspec.ValidationError:
        view.notify(f"The strength must be from -{STRONGEST:g} to {STRONGEST:g}, not {behind}.")


def _add(view: ChatView, chosen: list[Chosen]) -> None:
    """What is there already is not there twice: it stays where it stands, as it was added last."""
    faders = {fader.preference: fader for fader in view.session.steering.faders}
    for each in chosen:
        fader = FaderChoice.of(each, model_file(view))
        if fader.preference in faders:
            view.notify(f"{fader.title} was already in the mix; its strength is now the new one.")
        faders[fader.preference] = fader
    if len(faders) > MOST_FADERS:
        view.notify(_FULL)
        return
    view.session.steering = view.session.steering.with_faders(tuple(faders.values()))
    view.show()


def move(view: ChatView, faders: Faders) -> None:
    """The faders stand like this. One that was taken away falls silent at once, and is gone from
    the next message on."""
    session, before = view.session, view.session.steering
    left = {fader.preference for fader in faders}
    if session.replying and len(left) < len(before.mix):
        gone = [it if it.preference in left else replace(it, muted=True) for it in before.mix]
        session.turn_to(before.with_faders(gone))
        session.steering = before.with_faders(faders)
    else:
        session.turn_to(before.with_faders(faders))
    view.show()
    if not session.steering.mix:
        view.set_focus(view.panel.at_hand)


def fit(view: ChatView) -> None:
    """Turn all faders together, so that they come to what the model bears."""
    steering = view.session.steering
    most = bears(view, steering)
    if not steering.mix or total(steering.told) <= most:
        view.notify(f"The strengths are already within the limit of {most:.3g}.")
        return
    turned = scaled(steering.told, most)
    faders = [
        replace(fader, strength=told.strength, given=True)
        for fader, told in zip(steering.mix, turned, strict=True)
    ]
    view.session.turn_to(steering.with_faders(faders))
    view.show()


def ask_name(view: ChatView) -> None:
    """Ask for a name to save the mix under."""
    if not view.session.steering.faders:
        view.notify(sentence(_NOTHING_TO_SAVE))
        return
    hint = "Lower-case letters, digits and hyphens."
    form = LineForm("Save as a mix", "", hint, lambda name, _sure: _saved(view, name))
    view.app.push_screen(form, partial(_tell, view))


def save(view: ChatView, name: str) -> None:
    """Save the mix under a name."""
    try:
        _tell(view, _saved(view, name))
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")


def _saved(view: ChatView, name: str) -> str:
    """Raises AmuletError where it cannot be saved."""
    steering = view.session.steering
    if not steering.faders:
        raise UsageError(_NOTHING_TO_SAVE)
    chosen = tuple(fader.chosen for fader in steering.faders)
    save_mix(name.strip(), chosen, load_presets(), steering.kept)
    return name.strip()


def _tell(view: ChatView, name: str | None) -> None:
    if name:
        view.notify(f"Saved. Use it with /preset {name}, or amulet ask -p {name}.")
