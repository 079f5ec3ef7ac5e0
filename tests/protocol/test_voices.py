"""Which streams a reply needs, and what it cannot say."""

from __future__ import annotations

import pytest

from amulet_local.protocol.alignment import Alignment, Fader
from amulet_local.protocol.voices import held_back


@pytest.mark.parametrize(
    ("alignment", "wish"),
    [
        (Alignment(strength=1.0, guard=0.1), 'without the word "sky"'),
        (Alignment(strength=2.0, guard=0.0), 'without the word "sky"'),
        (Alignment(method="pref", strength=2.0, guard=0.1), 'without the word "sky"'),
        (Alignment(strength=2.0, guard=0.1), "no commas"),
        (Alignment(strength=2.0, guard=0.1), 'nothing like "sky", or so'),
    ],
)
def test_otherwise_no_word_is_held_back(alignment: Alignment, wish: str) -> None:
    assert held_back(alignment, wish) == ()


def test_of_a_mix_those_faders_hold_words_back_that_lead_beyond_asking() -> None:
    without = 'without the word "sky"'
    for strength, words in ((2.0, ("sky",)), (1.0, ()), (-2.0, ())):
        alone = Alignment(guard=0.1, mix=(Fader(without, strength),))
        beside = Alignment(guard=0.1, mix=(Fader(without, strength), Fader("Be kind.", 2.0)))
        assert held_back(alone, "") == held_back(beside, "") == words


def test_a_method_with_a_strength_of_its_own_shares_it_among_the_faders() -> None:
    """Of la's 3, each gets its part: what a fader says does not count alone."""
    without = 'without the word "sky"'
    for strength, words in ((0.5, ("sky",)), (0.1, ())):
        faders = (Fader(without, strength), Fader("Be kind.", 0.5))
        asked = Alignment(method="la", guard=0.1, mix=faders)
        assert held_back(asked, "") == words
