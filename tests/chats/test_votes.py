"""Blind votes: kept for good, counted per model and preset, and when they speak for a strength."""

from __future__ import annotations

from amulet_local.chats.history import History, history_file
from amulet_local.chats.votes import Ballot, Choice, Tally
from amulet_local.strengths import AMULET

MODEL = "SmolLM2-135M-Instruct"
BALLOT = [Choice("concise", strength) for strength in (0.0, 1.0, 3.0, AMULET)]


def test_votes_are_there_after_a_restart() -> None:
    with History(history_file()) as store:
        for chosen in (2, 2, 3):
            store.votes.add(MODEL, BALLOT, chosen)
    with History(history_file()) as store:
        assert store.votes.tally(MODEL, "concise") == Tally(3, {3.0: 2, 5.65: 1})


def test_a_strength_is_counted_as_people_see_it() -> None:
    with History(None) as store:
        for strength in (5.6487, 5.65, 5.6511):
            store.votes.add(MODEL, [Choice("concise", strength)], 0)
        assert store.votes.tally(MODEL, "concise").favourite == 5.65


def test_each_model_and_preset_has_votes_of_its_own() -> None:
    with History(None) as store:
        store.votes.add(MODEL, BALLOT, 2)
        store.votes.add("another", BALLOT, 3)
        store.votes.add(MODEL, [*BALLOT, Choice("verbose", 2.0)], 4)
        assert store.votes.tally(MODEL, "concise") == Tally(1, {3.0: 1})
        assert store.votes.tally(MODEL, "verbose") == Tally(1, {2.0: 1})
        assert store.votes.tally(MODEL, "formal") == Tally(0, {})


def test_few_votes_and_ties_speak_for_nothing() -> None:
    assert Tally(2, {3.0: 2}).favourite is None
    assert Tally(4, {3.0: 2, 1.0: 2}).favourite is None
    assert Tally(7, {3.0: 4, 1.0: 3}).favourite == 3.0
    assert Tally(0, {}).favourite is None


def test_mixes_are_kept_with_all_their_faders_and_one_preset_is_a_mix_of_one() -> None:
    mix = {"concise": 2.0, "formal": -1.0}
    with History(None) as store:
        store.votes.add_mixes(MODEL, [{}, mix], 1)
        store.votes.add(MODEL, BALLOT[:2], 0)
        assert store.votes.ballots(MODEL) == [
            Ballot(({}, mix), 1),
            Ballot(({"concise": 0.0}, {"concise": 1.0}), 0),
        ]
        assert store.votes.ballots("another") == []
        assert store.votes.tally(MODEL, "concise") == Tally(1, {0.0: 1})
