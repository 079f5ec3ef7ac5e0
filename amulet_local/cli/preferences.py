"""What is to be followed: `-p NAME[:S]` and `--preference TEXT[:S]`, in the order they were typed.

Names of presets and of mixes go in, and words; what was chosen comes out, or UsageError and
NotUsableError for what there is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from amulet_local.cli.options import Typed, value
from amulet_local.cli.output import say
from amulet_local.errors import UsageError
from amulet_local.presets.firmness import WORDS, Firmness, parted
from amulet_local.presets.mixes import load_mixes
from amulet_local.presets.mixing import Chosen, Together, without_doubles
from amulet_local.presets.preset import Preset, Presets, load_presets
from amulet_local.protocol.alignment import Strength
from amulet_local.system.text_files import shortened


@dataclass(frozen=True)
class Selection:
    """What was chosen. mix: the name of the only one, where it was one."""

    faders: tuple[Chosen, ...] = ()
    together: Together = field(default_factory=Together)
    mix: str = ""

    @property
    def only(self) -> Chosen | None:
        """The preference, where there is one and no more."""
        return self.faders[0] if len(self.faders) == 1 else None

    @property
    def preset(self) -> Preset | None:
        """That of the only one."""
        return self.only.preset if self.only else None


def chosen_preferences(typed: Sequence[Typed] | None, usual: str) -> Selection:
    """What was typed, or else the preset or mix that is usual; nothing where neither names any.

    Of what was given twice, the later one counts, and that is said.
    """
    typed = typed or ((Typed(usual, named=True),) if usual else ())
    presets = load_presets() if any(each.named for each in typed) else Presets({}, {})
    if len(typed) == 1 and typed[0].named:
        mix = load_mixes(presets).get(typed[0].text)
        if mix and mix.name not in presets.presets:
            return Selection(mix.faders, mix.together, mix.name)
    faders = [fader for each in typed for fader in _faders(each, presets)]
    left, doubled = without_doubles(faders)
    for title in doubled:
        say(f"{title} was given more than once; the last one counts.")
    return Selection(tuple(left), Together.of(left))


def _faders(typed: Typed, presets: Presets) -> tuple[Chosen, ...]:
    if not typed.named:
        text, number = parted(typed.text)
        strength = _strength(number.replace(",", "."), "--preference") if number else None
        if not text:
            raise UsageError("--preference is empty; say in words what replies should be like.")
        return (Chosen(None, text, strength),)
    name, colon, number = typed.text.partition(":")
    asked = _strength(number, f"-p {shortened(name)}") if colon else None
    if name in presets.presets or name in presets.broken:
        return (Chosen(presets.get(name), "", asked),)
    mix = load_mixes(presets).get(name)
    if mix is None:
        return (Chosen(presets.get(name), "", asked),)  # which says what there is
    if colon:
        raise UsageError(f"{name} is a mix, whose faders have strengths of their own: -p {name}")
    return mix.faders


def _strength(text: str, option: str) -> Strength | Firmness:
    """A number or a word for it. Raises UsageError."""
    for word in WORDS:
        if text.strip() == word:
            return word
    try:
        strength: float = value(Strength)(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"the strength of {option} {error}; or {', '.join(WORDS)}.") from None
    return strength
