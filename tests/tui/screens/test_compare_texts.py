"""What of the columns is the same: where their texts part, and ways to steer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amulet_local.presets.preset import load_presets
from amulet_local.strengths import AMULET
from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tests.tui.screens.compare_screen import ALL, comparing, comparison, screen
from tui.comparison.comparison import Column, left_out, parts, same, usual
from tui.session.steering import FaderChoice, SteeringChoice

pytestmark = pytest.mark.usefixtures("strength_of_the_paper", "shuffling_turns_round")


# -- where texts part -----------------------------------------------------------------------------


def column(text: str, *, ended: bool = True) -> Column:
    it = Column.of(SteeringChoice())
    it.steps = [FakeStep(text)]  # type: ignore[list-item]
    it.trouble = "ended" if ended else ""
    return it


class FakeStep:
    def __init__(self, text: str) -> None:
        self.text = text


def test_texts_part_at_the_first_letter_that_differs() -> None:
    assert parts(column("Take the"), column("Take it")) == 5
    assert parts(column("Take"), column("Take")) is None
    assert parts(column(""), column("Take")) == 0


def test_a_text_that_may_go_on_like_the_other_has_not_parted_yet() -> None:
    assert parts(column("Take", ended=False), column("Take it")) is None
    assert parts(column("Take"), column("Take it", ended=False)) == 4


async def test_each_column_is_marked_where_it_leaves_the_first() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await comparing(running)
        texts = [it.text for it in comparison(running).columns]
        places = [comparison(running).parting(number) for number in range(3)]
        assert [text[place:] for text, place in zip(texts, places, strict=True)] == [
            "the coast path, and rest.",
            "road.",
            "it.",
        ]
        running.shown()  # has it drawn
        marked = [
            "".join(
                segment.text
                for strip in view._words._render_cache.lines  # what is drawn
                for segment in strip
                if segment.style and segment.style.underline
            )
            for view in screen(running)._views
        ]
        assert marked == ["the", "road.", "it."]


async def test_columns_that_say_the_same_are_told_to() -> None:
    async with chat(FakeEngine()) as running:
        await comparing(running)
        assert "All columns are the same." in running.shown()


# -- ways to steer --------------------------------------------------------------------------------


def test_the_usual_three_are_never_the_same() -> None:
    preset = load_presets().presets["concise"]
    for strength, third in ((3.0, 3.0), (0.0, AMULET), (1.0, AMULET), (-2.0, -2.0)):
        columns = usual(SteeringChoice.to_preset(preset, strength), preset.usual_strength)
        assert [it.steering.strength for it in columns] == [0.0, 1.0, pytest.approx(third)]
    words = usual(replace(SteeringChoice.to_words("Brief."), strength=1.0))
    assert words[2].steering.strength == 3.0


def test_faders_that_come_to_one_in_all_are_more_than_asked_for() -> None:
    """In a column as they are set; the one that is called prompt only has them in one prompt."""
    faders = [FaderChoice(words=words, strength=0.5) for words in ("Brief.", "Kind.", "Formal.")]
    mix = SteeringChoice.to_mix([*faders[:2], replace(faders[2], muted=True)])
    columns = usual(mix)
    assert [it.name for it in columns] == ["base", "prompt only", "1.00 in all"]
    assert [it.method for it in columns] == ["base", "pref", "amulet"]
    named = [it.name for it in left_out(SteeringChoice.to_mix(faders))]
    assert named == ["1.00 in all"] * 3


def test_at_base_all_presets_are_the_same() -> None:
    presets = load_presets().presets
    concise, verbose = (
        SteeringChoice.to_preset(presets[name], 0.0) for name in ("concise", "verbose")
    )
    assert same(concise, verbose)
    assert not same(replace(concise, strength=2.0), replace(verbose, strength=2.0))
    assert not same(concise, replace(concise, strength=2.0))
