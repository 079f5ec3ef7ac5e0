"""The mixing desk: what keys and mouse make of several faders, and when it counts."""

from __future__ import annotations

import pytest

from amulet_local.presets.mixes import load_mixes
from amulet_local.presets.mixing import total
from amulet_local.presets.preset import USUAL_STRENGTH, load_presets
from tests.asking import built_in_strength
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, Running, chat
from tui.session.steering import FaderChoice, SteeringChoice, heard, titled
from tui.widgets.desk import Desk

HUGE = (200, 60)


def told(running: Running) -> list[tuple[str, float, bool]]:
    """Name, strength and silence of each fader."""
    return [(f.name, f.strength, f.muted) for f in running.session.steering.told]


async def mix(running: Running, *names: str) -> None:
    for name in names:
        running.screen.set_focus(running.screen.panel.at_hand)
        await running.press("plus", *name, "enter")


async def test_plus_on_the_dial_makes_a_mix_and_one_fader_is_a_dial_again() -> None:
    engine = FakeEngine()
    async with chat(engine, size=SMALL) as running:
        await mix(running, "formal")
        usual = {name: built_in_strength(name) for name in ("concise", "formal")}
        assert told(running) == [(name, usual[name], False) for name in usual]
        assert running.screen.panel.at_hand.has_focus
        await running.press("ctrl+t")
        await running.say("Where to?")
        assert [f.name for f in engine.requests[-1].alignment.mix] == ["concise", "formal"]
        await running.press("ctrl+t", "2", "x")
        assert running.session.steering.mix == ()
        assert running.session.steering.title == "Concise"
        assert running.screen.dial.has_focus
        await running.press("ctrl+t")
        await running.say("And now?")
        assert engine.requests[-1].alignment.mix == ()
        assert engine.requests[-1].alignment.preference


async def test_keys_right_behind_the_one_that_takes_the_last_fader_away_do_nothing() -> None:
    async with chat(FakeEngine()) as running:
        await mix(running, "formal")
        for key in ("x", "x", "m", "s", "b", "right", "minus", "pageup", "x"):
            running.app.simulate_key(key)
        await running.settle()
        assert running.session.steering.mix == ()
        assert running.notified == []


@pytest.mark.parametrize("size", [SMALL, HUGE])
async def test_keys_turn_mute_solo_and_take_away(size: tuple[int, int]) -> None:
    async with chat(FakeEngine(), size=size) as running:
        await mix(running, "formal", "sycophantic")
        desk = running.screen.panel.desk
        more, less = ("up", "down") if desk.standing else ("right", "left")
        await running.press("3", "b", less, "minus")
        assert told(running)[2] == ("sycophantic", -1.1, False)
        await running.press(more, "1", "m")
        assert told(running)[2] == ("sycophantic", -1.0, False)
        assert [silent for _, _, silent in told(running)] == [True, False, False]
        await running.press("2", "s")
        assert [silent for _, _, silent in told(running)] == [True, False, True]
        await running.press("s", "1", "m", "x")
        assert [name for name, _, _ in told(running)] == ["formal", "sycophantic"]
        assert desk.cursor == 0


async def test_a_reply_under_way_follows_each_fader_and_what_is_new_waits() -> None:
    engine = FakeEngine(["Take ", HOLD, "the path."])
    async with chat(engine, size=SMALL) as running:
        await mix(running, "formal")
        await running.press("ctrl+t")
        await running.say("Where to?")
        await running.press("ctrl+t", "2", "b", "equals_sign")
        concise = built_in_strength("concise")
        await running.press("m")
        assert engine.turns[-2:] == [(1, (concise, 1.0)), (1, (concise, None))]
        assert not running.screen.panel.has_class("-pending")
        await mix(running, "uplifting")
        turns = len(engine.turns)
        assert running.screen.panel.has_class("-pending")
        await running.press("1", "minus")
        assert len(engine.turns) == turns
        engine.go_on()


async def test_a_fader_taken_away_falls_silent_in_the_reply_under_way() -> None:
    engine = FakeEngine(["Take ", HOLD, "the path."])
    async with chat(engine, size=SMALL) as running:
        await mix(running, "formal")
        await running.press("ctrl+t")
        await running.say("Where to?")
        await running.press("ctrl+t", "2", "x")
        assert engine.turns[-1] == (1, (built_in_strength("concise"), None))
        assert running.session.steering.title == "Concise"
        engine.go_on()


async def test_more_than_the_model_bears_is_shown_and_f_makes_it_fit() -> None:
    async with chat(FakeEngine(), size=HUGE) as running:
        await mix(running, "formal")
        assert "total 5.00, above the limit of 3" in running.shown()
        assert "/fit scales all down" in running.shown()
        await running.press("f")
        assert total(running.session.steering.told) == pytest.approx(3)
        assert "total 3.00, limit 3" in running.shown()
        assert "/fit scales all down" not in running.shown()


async def test_a_mix_is_saved_and_brought_back_by_its_name() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await mix(running, "formal")
        await running.press("2", "b", "minus", "w", *"work", "enter")
        await running.workers_done()
        await running.settle()
        (kept,) = load_mixes(load_presets()).mixes.values()
        assert [fader.name for fader in kept.faders] == ["concise", "formal"]
        assert kept.faders[1].strength == -1.0
        await running.press("ctrl+t")
        await running.say("/preset none")
        assert told(running) == []
        await running.say("/preset work")
        assert [(name, strength) for name, strength, _ in told(running)] == [
            ("concise", built_in_strength("concise")),
            ("formal", -1.0),
        ]


async def test_words_and_what_is_there_already_can_be_added() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.say("/mix Use British spelling.")
        await running.say("/mix concise")
        assert [name for name, _, _ in told(running)] == ["concise", ""]
        for number in range(4):
            await running.say(f"/mix Number {number}")
        await running.say("/mix One too many")
        assert len(told(running)) == 6


async def test_a_strength_may_stand_behind_a_colon_as_on_the_command_line() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        for typed in ("concise:2", "formal: -1,5", "Speak of a ratio of 3:2", "formal:2000"):
            await running.say(f"/mix {typed}")
        faders = running.session.steering.faders
        assert [(fader.title, fader.strength) for fader in faders] == [
            ("Concise", 2.0),
            ("Formal", -1.5),
            ("Speak of a ratio of 3:2", USUAL_STRENGTH),
        ]
        assert "from -1000 to 1000, not 2000" in running.notified[-1]


@pytest.mark.parametrize("size", [SMALL, HUGE])
async def test_the_mouse_takes_hold_of_faders(size: tuple[int, int]) -> None:
    async with chat(FakeEngine(), size=size) as running:
        await mix(running, "formal")
        desk = running.screen.panel.desk
        x, y = (desk._fader_width + 1, 9) if desk.standing else (17, 1)
        await running.pilot.mouse_down(desk, offset=(x, y))
        await running.pilot.mouse_up(desk, offset=(x, y))
        assert told(running)[1][1] < 0
        x, y = (desk._fader_width + 1, 11) if desk.standing else (desk.size.width - 3, 1)
        await running.pilot.click(desk, offset=(x, y))
        assert told(running)[1][2]


@pytest.mark.parametrize("size", [SMALL, HUGE])
async def test_no_fader_is_told_by_its_colour_alone(size: tuple[int, int]) -> None:
    async with chat(FakeEngine(), size=size) as running:
        await mix(running, "formal", "sycophantic")
        await running.press("3", "m")
        text = running.shown()
        for line in ("1 Concise", "2 Formal", "▸3 Sycophantic"):
            assert line in text
        assert "+1.50 muted" in text


async def test_the_line_of_keys_names_those_at_hand_and_always_quit_and_help() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await mix(running, "formal")
        line = running.shown().split("\n")[-1]
        for key in ("m Mute", "w Save", "^q Quit", "^g Help"):
            assert key in line


async def test_without_any_preference_a_column_is_called_by_none() -> None:
    async with chat(FakeEngine(), size=(150, 24)) as running:
        await running.say("Hi")
        await mix(running, "formal")
        await running.press("1", "b", "minus", "ctrl+y")
        assert "1 · base" in running.shown()


async def test_where_all_are_muted_it_is_said_what_to_do() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("Hi")
        await mix(running, "formal")
        await running.press("1", "m", "2", "m", "ctrl+y", "t")
        assert running.notified == [
            "Unmute a preference first: the comparison is between answers with and without it.",
            "Unmute a preference first: the placement is that of a preference.",
        ]


def test_a_mix_is_called_by_what_is_heard_of_it() -> None:
    presets = load_presets()
    concise, formal = (FaderChoice(presets.get(name)) for name in ("concise", "formal"))
    away = FaderChoice(None, "Flatter me.", -2.0)
    assert titled([concise, formal, away]) == "Concise + Formal − Flatter me."
    alone = FaderChoice(presets.get("formal"), solo=True)
    assert titled([concise, alone]) == "Formal"
    assert heard([concise, alone]) == [alone]
    assert titled([FaderChoice(None, "A.", muted=True)]) == "All muted"
    assert SteeringChoice.to_mix([concise, away]).at(4.0).mix[1].strength < -2.0
    assert isinstance(Desk().faders, tuple)
