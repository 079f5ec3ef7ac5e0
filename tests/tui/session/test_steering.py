"""The dial, words in place of a preset, and the speed that steering costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH
from amulet_local.protocol.alignment import STRONGEST
from amulet_local.protocol.messages import (
    Finished,
    Pace,
    Stats,
)
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.session.sessions import (
    PRESETS,
    ask,
    begin,
)
from tui.session.steering import FaderChoice, SteeringChoice


def test_the_dial_turns_the_reply_that_is_being_written() -> None:
    engine = FakeEngine(["A", HOLD])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 5.65))
    ask(session, engine)
    session.turn(3.0)
    assert engine.turns == [(1, (3.0,))]
    assert session.replying == session.steering
    assert session.status.steering.strength == 3.0


def test_with_another_preset_chosen_meanwhile_the_dial_is_the_next_replys() -> None:
    engine = FakeEngine(["A", HOLD])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 5.65))
    ask(session, engine)
    session.steering = SteeringChoice.to_preset(PRESETS["verbose"])
    session.turn(3.0)
    assert engine.turns == []
    assert session.status.steering.strength == 5.65


def test_a_preference_in_the_users_words_steers_as_a_preset_does() -> None:
    engine = FakeEngine()
    session = begin(engine, SteeringChoice.to_words("Answer in rhymes."))
    ask(session, engine)
    request = engine.requests[0]
    assert (request.alignment.preference, request.alignment.method) == (
        "Answer in rhymes.",
        "amulet",
    )
    assert (request.alignment.strength, request.alignment.sampling) == (
        USUAL_STRENGTH,
        USUAL_SAMPLING,
    )
    assert SteeringChoice.to_words("") == SteeringChoice()


def test_faders_are_turned_together_also_from_nothing_and_never_too_far() -> None:
    names = ("concise", "formal", "verbose")
    faders = [FaderChoice(PRESETS[name], strength=4.0, muted=name == "verbose") for name in names]
    mix = SteeringChoice.to_mix(faders)
    assert [it.strength for it in mix.at(4.0).mix] == [2.0, 2.0, 2.0]
    assert [it.strength for it in mix.at(0.0).mix] == [0.0, 0.0, 0.0]
    assert [it.strength for it in mix.at(0.0).at(3.0).mix] == [1.5, 1.5, 0.0]
    opposed = SteeringChoice.to_mix([replace(faders[0], strength=-8.0), faders[1]])
    assert [it.strength for it in opposed.at(STRONGEST).mix] == [-STRONGEST, STRONGEST]
    silent = SteeringChoice.to_mix([replace(fader, muted=True) for fader in faders])
    assert silent.at(3.0).mix == silent.mix


def test_the_speed_against_a_plain_chats_is_known_once_it_was_measured() -> None:
    stats = Stats(30, 0, 60, 12, 0.1, 0.1, 1.0, 12.0, 42, 2, blocks=4)
    finished = Finished(1, "By the sea.", (1, 2), "stop", stats)
    engine = FakeEngine([finished], ["B."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"]))
    session.ask("a?")
    session.take(engine.events.get())
    assert session.status.pace == 0.0
    session.take(Pace(1.5))
    assert session.status.pace == pytest.approx(12 / 4 / 1.5)
