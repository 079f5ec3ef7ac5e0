"""What a blind vote came to, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amulet_local.chats.votes import FEWEST
from amulet_local.presets.preset import Preset
from tui.comparison.comparison import SAME, Column, Comparison


@dataclass(frozen=True)
class Favourite:
    """The strength with most votes, where it is not the preset's default."""

    preset: Preset
    strength: float


def told(
    comparison: Comparison, title: Callable[[Column], str], key: str
) -> tuple[str, Favourite | None]:
    """A vote, and what all votes suggest for its preset, if that is another strength.

    title: what to call a column. key: what accepts the suggestion. Raises AmuletError where the
    votes cannot be read.
    """
    winner = comparison.winner
    if winner is None:
        return "No vote.", None
    if winner.steering.mix:
        return _told_of_mix(comparison, winner, f"You chose {title(winner)}.", key)
    chosen, preset = f"You chose {title(winner)}.", winner.steering.preset
    if not preset:
        return f"{chosen} Votes are only saved for presets.", None
    tally = comparison.tally(preset)
    strength = tally.favourite
    if strength is None and tally.votes < FEWEST:
        return f"{chosen} {tally.votes} of the {FEWEST} votes needed for a suggestion.", None
    if strength is None:
        return f"{chosen} No strength leads after {tally.votes} votes.", None
    ahead = f"{chosen} Of {tally.votes} votes, {tally.won[strength]} went to {strength:.2f}"
    if abs(strength - preset.usual_strength) < SAME:
        return f"{ahead}, which is this preset's default.", None
    return f"{ahead}: {key} makes it this preset's default.", Favourite(preset, strength)


def _told_of_mix(
    comparison: Comparison, winner: Column, chosen: str, key: str
) -> tuple[str, Favourite | None]:
    """What all votes teach about the presets of a mix; the one suggested whose default they speak
    against most clearly."""
    presets = [fader.preset for fader in winner.steering.mix if fader.preset]
    if len(presets) < len(winner.steering.mix):
        return f"{chosen} Votes are only saved for presets.", None
    from tui.comparison.learning import learned_from  # which needs NumPy

    learned = learned_from(comparison.ballots(), presets)
    usual = [preset.usual_strength for preset in presets]
    against = [
        (abs(float(learned.strengths[at]) - usual[at]), at)
        for at in range(len(presets))
        if learned.excludes(at, usual[at])
    ]
    if not against:
        told = ", ".join(
            f"{preset.name} {low:.1f} to {high:.1f}"
            for preset, (low, high) in zip(
                presets, map(learned.interval, range(len(presets))), strict=True
            )
        )
        return f"{chosen} So far, your votes put {told}.", None
    _, at = max(against)
    low, high = learned.interval(at)
    best, preset = round(float(learned.strengths[at]), 1), presets[at]
    return (
        f"{chosen} Your votes put {preset.name} at {best:.1f} ({low:.1f} to {high:.1f}), not at "
        f"{usual[at]:.2f}: {key} makes it this preset's default.",
        Favourite(preset, best),
    )
