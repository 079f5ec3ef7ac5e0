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
