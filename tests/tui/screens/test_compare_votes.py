"""Blind votes: which is which is hidden, votes are counted, and many suggest a default."""

from __future__ import annotations

import shutil

import pytest

from amulet_local.chats.votes import Choice, Tally
from amulet_local.presets.preset import load_presets, read_preset
from amulet_local.settings import presets_folder
from amulet_local.strengths import AMULET
from tests.fake_engine import FakeEngine
from tests.tui.running import MODEL, chat
from tests.tui.screens.compare_screen import ALL, SIZES, comparing, comparison, names, screen
from tui.comparison.comparison import strengths_of

pytestmark = pytest.mark.usefixtures("strength_of_the_paper", "shuffling_turns_round")


@SIZES
async def test_a_vote_hides_which_is_which_until_it_is_given(size: tuple[int, int]) -> None:
    async with chat(FakeEngine(*ALL), size=size) as running:
        await comparing(running)
        await running.press("v")
        shown = running.shown()
        for hidden in ("base", "prompt only", "Amulet", "tokens"):
            assert hidden not in shown
        assert "Which reply is best?" in shown
        await running.press("enter", "x", "plus", "r", "5")
        assert comparison(running).blind
        await running.press("1")
        shown = " ".join(running.shown().split())
        assert "✓ 1 · 5.65 Amulet" in shown
        assert "You chose 5.65 Amulet. 1 of the 3 votes" in shown
        assert names(running) == ["5.65 Amulet", "prompt only", "base"]
        assert running.session.history.votes.tally(MODEL.name, "concise") == Tally(1, {5.65: 1})


async def test_no_vote_shows_them_too_and_keeps_nothing() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await comparing(running)
        await running.press("b", "0")
        assert "No vote." in running.shown()
        assert "base" in running.shown()
        assert running.session.history.votes.tally(MODEL.name, "concise").votes == 0


async def test_enough_votes_suggest_a_default_and_a_key_makes_it_one() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        ballot = [Choice("concise", strength) for strength in (0.0, 1.0, AMULET)]
        await comparing(running)
        await running.press("u")
        assert "do not suggest another strength" in running.notified[-1]
        for _ in range(2):
            running.session.history.votes.add(MODEL.name, ballot, 1)
        await running.press("v", "2")
        assert "Of 3 votes, 3 went to 1.00: u makes it" in screen(running)._telling()
        await running.press("u")
        assert "Concise is now 1.00." in running.shown()
        own = read_preset(presets_folder() / "concise.toml")
        assert own.strength == 1.0
        assert own.preference == load_presets().presets["concise"].preference
        await running.press("v", "2")
        assert "which is this preset's default" in screen(running)._telling()
        await running.press("escape")
        steering = running.session.steering
        assert steering.preset
        assert steering.preset.strength == 1.0
        assert steering.strength == pytest.approx(AMULET)


async def test_a_default_that_cannot_be_written_is_said() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        shutil.rmtree(presets_folder())
        presets_folder().write_text("in the way")
        ballot = [Choice("concise", 3.0)]
        await comparing(running)
        for _ in range(3):
            running.session.history.votes.add(MODEL.name, ballot, 0)
        await running.press("v", "1", "u")
        assert "concise.toml" in running.notified[-1]


async def test_a_tie_suggests_nothing() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await comparing(running)
        for strength in (3.0, 3.0, 5.65):
            running.session.history.votes.add(MODEL.name, [Choice("concise", strength)], 0)
        await running.press("v", "1")
        assert "No strength leads after 4 votes." in running.shown()


async def test_votes_are_not_kept_for_words_of_the_users_own() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await running.say("/prefer brief")
        await comparing(running)
        await running.press("v", "1")
        assert "Votes are only saved for presets." in running.shown()


async def test_votes_between_mixes_teach_the_faders_and_ask_what_teaches_most() -> None:
    engine = FakeEngine(*ALL, *([f"Reply {number}."] for number in range(9)))
    async with chat(engine) as running:
        await running.say("/mix formal")
        await comparing(running)
        await running.press("3", "t")
        pair = [strengths_of(column.steering) for column in comparison(running).columns[3:]]
        assert pair[0] != pair[1]
        assert [set(mix or {}) for mix in pair] == [{"concise", "formal"}] * 2
        await running.press("v", "1")
        assert "So far, your votes put concise" in running.words()
        (ballot,) = running.session.history.votes.ballots(MODEL.name)
        assert len(ballot.mixes) == 5
        assert ballot.chosen == 0
        assert {"concise": 0.0, "formal": 0.0} in ballot.mixes


async def test_no_columns_are_added_while_a_vote_is_on() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await running.say("/mix formal")
        await comparing(running)
        await running.press("v", "o", "t")
        assert comparison(running).blind
        assert len(comparison(running).columns) == 3


async def test_many_votes_speak_against_a_default() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await running.say("/mix formal")
        away, present = {"concise": AMULET, "formal": -3.0}, {"concise": AMULET, "formal": 1.0}
        for _ in range(20):
            running.session.history.votes.add_mixes(MODEL.name, [away, present], 0)
        await comparing(running)
        await running.press("v", "1")
        assert "your votes put formal at" in running.words().casefold()
        await running.press("u")
        own = read_preset(presets_folder() / "formal.toml")
        assert isinstance(own.strength, float)
        assert own.strength < 1.0
