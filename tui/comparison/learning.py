"""What votes between mixes teach about their presets, and which pair would be worth a vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from amulet_local.chats.votes import Ballot
from amulet_local.presets.learned import Learned, Vector, Vote, around, learn, most_telling
from amulet_local.presets.preset import Preset
from tui.session.steering import SteeringChoice


def learned_from(ballots: Sequence[Ballot], presets: Sequence[Preset]) -> Learned:
    """What votes between mixes of these presets come to; those about others say nothing here."""
    names = [preset.name for preset in presets]
    votes = [
        Vote(
            np.array([[mix.get(name, 0.0) for name in names] for mix in ballot.mixes]),
            ballot.chosen,
        )
        for ballot in ballots
        if set().union(*ballot.mixes) <= set(names) and len(ballot.mixes) > 1
    ]
    return learn(votes, np.array([preset.usual_strength for preset in presets]))


def most_telling_pair(
    ballots: Sequence[Ballot], steering: SteeringChoice
) -> Sequence[SteeringChoice]:
    """The two mixes of the same presets whose vote would teach most; none where words are among
    them, or there is no mix."""
    presets = [fader.preset for fader in steering.mix if fader.preset]
    if not presets or len(presets) < len(steering.mix):
        return ()
    learned = learned_from(ballots, presets)
    mixes = around(np.array([fader.strength for fader in steering.mix]))
    return [_at(steering, mixes[number]) for number in most_telling(learned, mixes)]


def _at(steering: SteeringChoice, strengths: Vector) -> SteeringChoice:
    faders = [
        replace(fader, strength=round(float(strength), 2), given=True, muted=False, solo=False)
        for fader, strength in zip(steering.mix, strengths, strict=True)
    ]
    return steering.with_faders(faders)
