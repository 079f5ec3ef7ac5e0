"""The dial: what keys, clicks, drags and the wheel make of a strength, and when it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import events

from amulet_local.presets.calibrated import Calibrated, keep_strength
from amulet_local.presets.preset import USUAL_STRENGTH, load_presets
from amulet_local.strengths import AMULET, MARKS
from tests.asking import built_in_strength
from tests.checks import some
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import LARGE, MODEL, SMALL, Running, chat
from tui.session.changes import ChosenModel
from tui.widgets.dial import HIGH, LOW, Dial, next_mark, step


@pytest.mark.parametrize(
    ("strength", "steps", "expected"),
    [
        (0.0, 1, 0.1),
        (0.0, -1, -0.1),
        (2.9, 1, 3.0),
        (0.3, -1, 0.2),
        (5.6, 1, AMULET),  # a mark on the way is a stop
        (AMULET, 1, 5.7),
        (5.7, -1, AMULET),
        (AMULET, -1, 5.6),
        (5.6, 10, 6.6),
        (8.0, 1, 8.0),
        (7.5, 10, 8.0),
        (-1.5, -10, -2.0),
        (12.0, 1, 12.0),  # a preset may lie beyond the track
        (12.0, -10, 11.0),
        (-7.0, 10, -6.0),
    ],
)
def test_steps_are_tenths_and_stop_at_marks(strength: float, steps: int, expected: float) -> None:
    assert step(strength, steps) == pytest.approx(expected, abs=1e-9)


@given(st.floats(LOW, HIGH), st.sampled_from([-10, -1, 1, 10]))
@example(1.5e-9, -10)
def test_a_step_goes_the_right_way_and_never_off_the_track(strength: float, steps: int) -> None:
    after = step(strength, steps)
    assert LOW <= after <= HIGH
    assert (after - strength) * steps >= 0
    assert abs(after - strength) <= 0.1 * abs(steps) + 1e-9


def test_marks_are_walked_from_end_to_end() -> None:
    walked, strength = [LOW], LOW
    while (following := next_mark(strength, 1)) != strength:
        walked.append(strength := following)
    assert walked == [LOW, *MARKS.values(), HIGH]
    assert next_mark(AMULET, -1) == 3.0
    assert next_mark(4.0, -1) == 3.0


async def test_keys_turn_the_dial_and_the_next_message_takes_it() -> None:
    engine = FakeEngine()
    async with chat(engine, size=SMALL) as running:
        await running.press("ctrl+t")
        assert running.dial.has_focus
        for keys, strength, words in [
            (["l"], 3.0, "3.00 LA"),
            (["right", "right"], 3.2, "3.20 past LA"),
            (["shift+left"], 2.2, "2.20 past prompt"),
            (["p"], 1.0, "1.00 prompt"),
            (["up", "up"], AMULET, "5.65 Amulet"),
            (["end"], HIGH, "8.00 past Amulet"),
            (["home"], LOW, "-2.00 away"),
            (["up"], 0.0, "0.00 base"),
        ]:
            await running.press(*keys)
            assert running.session.steering.strength == pytest.approx(strength)
            assert words in running.shown()
        await running.press("b", "l", "enter")
        assert running.prompt.has_focus
        await running.say("Hi")
        assert engine.requests[0].alignment.strength == 3.0


async def test_the_status_line_tells_the_steering_too() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+t", "l")
        assert "Concise 3.00 LA" in running.shown().split("\n")[-2]


async def test_letters_typed_into_the_message_leave_the_dial_alone() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("b", "l", "a", "p")
        assert running.prompt.text == "blap"
        assert running.session.steering.strength == built_in_strength("concise")


async def test_the_dial_turns_the_reply_that_streams_and_those_that_follow() -> None:
    engine = FakeEngine(["One", HOLD], ["Two"])
    async with chat(engine, size=SMALL) as running:
        await running.say("a?")
        await running.press("ctrl+t", "a")
        assert engine.turns == [(1, (AMULET,))]
        assert "from the next message" not in running.shown()
        engine.go_on()
        await running.settle()
        await running.press("enter")
        await running.say("b?")
        strengths = [request.alignment.strength for request in engine.requests]
        assert strengths == [built_in_strength("concise"), pytest.approx(AMULET)]


async def test_another_preset_while_a_reply_streams_counts_from_the_next_message() -> None:
    engine = FakeEngine(["One", HOLD])
    async with chat(engine, size=SMALL) as running:
        await running.say("a?")
        await running.say("/preset verbose")
        assert "→ from the next message" in running.shown()
        await running.press("ctrl+t", "l")
        assert engine.turns == []
        engine.go_on()
        await running.settle()
        assert "from the next message" not in running.shown()


def column(running: Running, mark: str) -> int:
    """Where a mark is on the track."""
    return running.dial._column(MARKS[mark])


async def test_a_click_sets_the_strength_and_writing_goes_on() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        for mark, strength in some(MARKS.items()):
            await running.pilot.click(Dial, offset=(column(running, mark), 0))
            assert running.session.steering.strength == strength
        await running.pilot.click(Dial, offset=(column(running, "prompt") + 3, 0))
        assert 1.0 < running.session.steering.strength < 3.0
        assert running.prompt.has_focus


async def test_the_thumb_can_be_dragged_even_beyond_the_track() -> None:
    async with chat(FakeEngine()) as running:
        pilot = running.pilot
        await pilot.mouse_down(Dial, offset=(column(running, "base"), 0))
        await pilot.hover(Dial, offset=(column(running, "LA"), 1))
        assert running.session.steering.strength == 3.0
        await pilot.hover(offset=(LARGE[0] - 1, 5))
        assert running.session.steering.strength == HIGH
        await pilot.mouse_up(offset=(LARGE[0] - 1, 5))
        await pilot.hover(Dial, offset=(column(running, "LA"), 0))
        assert running.session.steering.strength == HIGH


async def test_the_wheel_moves_it_by_tenths() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+t", "l")
        at = running.dial.region.offset
        for kind, strength in [
            (events.MouseScrollUp, 3.1),
            (events.MouseScrollDown, 3.0),
            (events.MouseScrollDown, 2.9),
        ]:
            running.app.post_message(
                kind(None, at.x, at.y, 0, 0, 0, False, False, False, at.x, at.y)
            )
            await running.settle()
            assert running.session.steering.strength == pytest.approx(strength)


async def test_without_a_preset_there_is_nothing_to_turn() -> None:
    engine = FakeEngine()
    async with chat(engine, preset="") as running:
        assert "No preset" in running.shown()
        await running.press("ctrl+t")
        assert running.prompt.has_focus
        assert "Choose a preset first" in running.shown()
        await running.pilot.click(Dial, offset=(3, 0))
        assert running.session.steering.strength == USUAL_STRENGTH


async def test_a_strength_that_was_calibrated_is_marked_offered_and_taken() -> None:
    preset = load_presets().get("thrifty")
    found = Calibrated(4.5, preset.preference, preset.guard, preset.placement, 1.1, 1.0, 1.0)
    keep_strength(str(MODEL.path), preset, found)
    async with chat(FakeEngine()) as running:
        assert "▽" not in running.shown()
        await running.say("/preset thrifty")
        assert running.session.steering.strength == 4.5
        await running.press("ctrl+t", "b")
        assert "▽" in running.shown()
        await running.press("c")
        assert running.session.steering.strength == 4.5


OTHER = ChosenModel(Path("/models/other.gguf"), "other", "Q4_1")


def calibrate(model: ChosenModel, strength: float) -> None:
    """What `amulet calibrate` keeps for the preset thrifty."""
    preset = load_presets().get("thrifty")
    found = Calibrated(strength, preset.preference, preset.guard, preset.placement, 1.1, 1.0, 1.0)
    keep_strength(str(model.path), preset, found)


async def test_the_calibrated_strength_is_used_from_the_start() -> None:
    calibrate(MODEL, 4.5)
    engine = FakeEngine()
    async with chat(engine, preset="thrifty") as running:
        await running.say("Hi")
        assert [request.alignment.strength for request in engine.requests] == [4.5]
        assert "4.50" in running.shown()


async def test_another_model_has_its_own_calibrated_strength() -> None:
    calibrate(MODEL, 4.5)
    calibrate(OTHER, 2.5)
    async with chat(FakeEngine(), preset="thrifty") as running:
        strengths = []
        for model in (OTHER, ChosenModel(Path("/models/third.gguf"), "third", "Q4_1"), MODEL):
            running.screen.show(running.session.load(model))
            await running.settle()
            strengths.append(running.session.steering.strength)
        assert strengths == [2.5, load_presets().get("thrifty").usual_strength, 4.5]


async def test_a_strength_that_was_given_stays_on_every_model() -> None:
    calibrate(MODEL, 4.5)
    calibrate(OTHER, 2.5)
    async with chat(FakeEngine(), preset="thrifty") as running:
        await running.say("/strength 3.5")
        running.session.load(OTHER)
        assert running.session.steering.strength == 3.5


async def test_a_preset_used_otherwise_than_it_was_calibrated_has_its_own_strength() -> None:
    calibrate(MODEL, 4.5)
    async with chat(FakeEngine(), preset="thrifty") as running:
        before = running.session.steering.guard
        await running.say("/guard 0.3")
        assert running.session.steering.strength == load_presets().get("thrifty").usual_strength
        await running.say(f"/guard {before}")
        assert running.session.steering.strength == 4.5


async def test_without_calibration_its_key_says_how_to_do_it() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+t", "c")
        assert "amulet calibrate" in running.notified[-1]
