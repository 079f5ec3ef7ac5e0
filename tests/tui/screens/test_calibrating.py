"""What a model bears is measured while the chat is at rest: offered after a first run's move, begun
by a key or a command, given way to the chat, and followed by gently, clearly and firmly."""

from __future__ import annotations

from itertools import count

import pytest

from amulet_local.presets.calibrated import bearing, is_bearing_known
from amulet_local.presets.firmness import USUAL_BEARING
from amulet_local.protocol.messages import Failed
from tests.fake_engine import HOLD, FakeEngine, Measured, Script
from tests.tui.running import SMALL, Running, chat
from tests.tui.screens.test_first_run import FETCHED, REPLY, first_run, to_the_offer
from tests.tui.screens.test_model_picker import SlowPull
from tui.session.calibration import LIMIT_S, STRENGTHS, WISHES, Calibration

FILE = "/models/small.gguf"
SURPRISES = {1.0: 2.0, 2.0: 2.0, 2.5: 2.1, 3.0: 2.3, 4.0: 3.0, 5.0: 3.5}  # e^0.3 < 1.5 < e^1
WORDS = ("a ", "walk ", "in ", "the ", "hills")


def answers(questions: int = len(WISHES)) -> list[Script]:
    """What is written to so many questions: the further from prompting, the more surprising."""
    return [
        [Measured(word, logp=(-SURPRISES[strength], -1.0, -0.5)) for word in WORDS]
        for _ in range(questions)
        for strength in STRENGTHS
    ]


async def measured(running: Running) -> None:
    await running.until("writes well up to strength 3: gently is 1.5, clearly is 2, firmly is 3.")


async def test_the_command_measures_what_the_model_bears() -> None:
    engine = FakeEngine(*answers())
    async with chat(engine, size=SMALL) as running:
        assert not is_bearing_known(FILE)
        await running.say("/calibrate")
        await measured(running)
        assert bearing(FILE) == 3.0
        assert len(engine.requests) == len(WISHES) * len(STRENGTHS)
        of_one = engine.requests[: len(STRENGTHS)]
        assert [it.alignment.strength for it in of_one] == list(STRENGTHS)
        assert [it.alignment.method for it in of_one] == ["pref", *["amulet"] * 5]
        assert {it.alignment.sampling.temperature for it in engine.requests} == {0.0}
        assert len({it.messages for it in engine.requests}) == len(WISHES)
        assert not running.said


async def test_presets_that_say_how_firmly_follow_it_at_once() -> None:
    scripts = [
        [Measured(word, logp=(-2.0, -1.0, -0.5)) for word in WORDS]
        for _ in range(len(WISHES) * len(STRENGTHS))
    ]
    async with chat(FakeEngine(*scripts), preset="") as running:
        assert running.session.steering.strength == 2.0
        await running.say("/calibrate")
        await running.until("up to strength 5")
        assert running.session.steering.strength == 3.0


async def test_a_first_run_offers_it_after_the_move() -> None:
    pull, engine = SlowPull(), FakeEngine(REPLY, *answers())
    store, _ = first_run(pull)
    async with chat(engine, size=SMALL, model_store=store) as running:
        await to_the_offer(running)
        pull.go.set()
        await running.press("ctrl+d")
        await running.until("^d moves this chat to it.")
        await running.press("ctrl+d")
        await running.until("^d measures how firmly Better-3B can be led")
        assert len(engine.requests) == 1  # nothing is measured unasked
        await running.press("ctrl+d")
        await measured(running)
        assert bearing(FETCHED) == 3.0
        assert "^d Model" not in running.shown()


async def test_the_chat_comes_first_and_the_question_is_begun_anew() -> None:
    held: list[Script] = [[HOLD]] * len(STRENGTHS)
    engine = FakeEngine(*held, ["Here I am."], *answers())
    async with chat(engine) as running:
        await running.say("/calibrate")
        assert len(engine.requests) == len(STRENGTHS)
        await running.say("Are you there?")
        await running.until("Here I am.")
        assert engine.stops == 1
        await measured(running)
        asked = [it.messages for it in engine.requests]
        assert asked[0] == asked[len(STRENGTHS) + 1]


async def test_the_command_again_gives_it_up() -> None:
    engine = FakeEngine(*[[HOLD]] * len(STRENGTHS))
    async with chat(engine) as running:
        await running.say("/calibrate")
        await running.say("/calibrate")
        await running.until("was not measured; the usual strengths stay.")
        assert engine.stops == 1
        assert not is_bearing_known(FILE)


async def test_an_engine_that_cannot_is_told_and_the_chat_goes_on() -> None:
    engine = FakeEngine([Failed("There is no memory for so many replies.", 1)], ["Still here."])
    async with chat(engine) as running:
        await running.say("/calibrate")
        await running.until("could not be measured: There is no memory for so many replies.")
        assert bearing(FILE) == USUAL_BEARING


@pytest.mark.parametrize(
    ("per_question_s", "questions", "told"),
    [
        (LIMIT_S / 4, 4, "writes well up to strength 3"),
        (LIMIT_S, 1, "is too slow here to be measured"),
    ],
)
async def test_it_ends_within_two_minutes(per_question_s: float, questions: int, told: str) -> None:
    engine, ticks = FakeEngine(*answers()), count()
    async with chat(engine) as running:
        calibration = Calibration(
            running.session, running.screen.presets, lambda: next(ticks) * per_question_s
        )
        running.screen.better.calibration = calibration
        running.screen.show()
        await running.until(told)
        assert len(engine.requests) == questions * len(STRENGTHS)
