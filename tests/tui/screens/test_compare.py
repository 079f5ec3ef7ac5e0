"""One question answered several ways side by side: columns, added and taken; what goes wrong."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from amulet_local.chats.provenance import unpack
from amulet_local.protocol.messages import Died, Failed
from amulet_local.strengths import AMULET
from tests.fake_engine import HOLD, FakeEngine, Script
from tests.tui.running import MODEL, SMALL, chat, store_with
from tests.tui.screens.compare_screen import (
    ALL,
    BASE,
    FIRST,
    PROMPTED,
    REALIGNED,
    SIZES,
    comparing,
    comparison,
    names,
    selected,
)
from tui.comparison.comparison import LONGEST
from tui.screens.compare import CompareScreen
from tui.screens.preset_picker import PresetPicker

pytestmark = pytest.mark.usefixtures("strength_of_the_paper", "shuffling_turns_round")


# -- columns --------------------------------------------------------------------------------------


@SIZES
async def test_base_prompt_and_realigned_are_written_side_by_side(size: tuple[int, int]) -> None:
    engine = FakeEngine(*ALL)
    async with chat(engine, size=size) as running:
        await comparing(running)
        shown = running.shown()
        for told in ("Where to?", "1 · base", "2 · prompt only", "3 · 5.65 Amulet", "it."):
            assert told in shown
        base, prompted, realigned = engine.requests[1:]
        assert [it.alignment.method for it in (base, prompted, realigned)] == [
            "base",
            "pref",
            "amulet",
        ]
        assert [bool(it.alignment.preference) for it in (base, prompted, realigned)] == [
            False,
            True,
            True,
        ]
        assert realigned.alignment.strength == pytest.approx(AMULET)
        assert [it.alignment.guard for it in (base, prompted, realigned)] == [0.0, 0.0, 0.1]
        assert [it.trace for it in (base, prompted, realigned)] == [False, True, True]
        assert len({it.seed for it in (base, prompted, realigned)}) == 1
        assert {it.max_tokens for it in (base, prompted, realigned)} == {LONGEST}
        assert base.messages == engine.requests[0].messages
        assert "2 tokens · 25.0/s" in shown
        await running.press("escape")
        assert running.said == ["Where to?", "Hello."]
        assert engine.stops == 0


async def test_the_selected_question_is_compared_and_the_command_works() -> None:
    engine = FakeEngine(FIRST, FIRST)
    async with chat(engine) as running:
        await running.say("a?")
        await running.say("b?")
        await running.press("ctrl+up", "k", "k", "ctrl+y")
        assert engine.requests[-1].messages[-1].text == "a?"
        await running.press("q", "i")
        await running.say("/compare")
        assert engine.requests[-1].messages[-1].text == "b?"


async def test_what_cannot_be_compared_is_said() -> None:
    async with chat(FakeEngine(["One", HOLD]), preset="") as running:
        await running.press("ctrl+y")
        assert "There is no question yet." in running.notified[-1]
        await running.say("a?")
        await running.press("ctrl+y")
        assert "Choose a preset first" in running.notified[-1]
        await running.say("/preset concise")
        await running.press("ctrl+y")
        assert "A reply is being written" in running.notified[-1]


async def test_columns_grow_together_and_escape_stops_them() -> None:
    engine = FakeEngine(FIRST, ["Take ", HOLD, "the path."], PROMPTED, REALIGNED)
    async with chat(engine) as running:
        await comparing(running)
        assert "▸ 1 token " in running.shown()
        assert "Take" in running.shown()
        await running.press("v")
        assert not comparison(running).blind
        await running.press("escape")
        assert engine.stops == 1
        assert running.said == ["Where to?", "Hello."]
        await running.say("b?")
        assert running.said[2:] == ["b?", "Take the coast path."]


async def test_a_stop_leaves_what_is_written() -> None:
    engine = FakeEngine(FIRST, ["Take ", HOLD, "the path."], PROMPTED, REALIGNED)
    async with chat(engine) as running:
        await comparing(running)
        await running.press("left", "left", "s")
        assert "1 token · 25.0/s · stopped" in running.shown()
        assert "no text" in running.shown()
        assert not comparison(running).running
        await running.press("enter")
        assert running.said == ["Where to?", "Take "]


async def test_the_selection_moves_by_keys_and_mouse() -> None:
    async with chat(FakeEngine(*ALL), size=SMALL) as running:
        await comparing(running)
        assert selected(running) == "5.65 Amulet"
        for keys, name in (
            ("left", "prompt only"), ("h", "base"), ("left", "base"), ("right", "prompt only"),
            ("l", "5.65 Amulet"), ("right", "5.65 Amulet"), ("1", "base"), ("6", "base"),
            ("tab", "prompt only"), ("shift+tab", "base"),
        ):  # fmt: skip
            await running.press(keys)
            assert selected(running) == name, keys
        assert "coast" in running.shown()
        rows = running.shown().split("\n")
        row = next(number for number, text in enumerate(rows) if "2 · prompt only" in text)
        await running.pilot.click(offset=(rows[row].index("prompt"), row))
        await running.settle()
        assert selected(running) == "prompt only"
        assert "road." in running.shown()


async def test_long_columns_scroll_together() -> None:
    lines: Script = [f"line {number}\n\n" for number in range(60)]
    async with chat(FakeEngine(FIRST, lines, lines, lines)) as running:
        await comparing(running)
        assert running.shown().count("line 0") == 3
        await running.press("pagedown", "down", "j")
        assert "line 0" not in running.shown()
        assert running.shown().count("line 6") == 3
        await running.press("pageup", "up", "k")
        assert running.shown().count("line 0") == 3
        await running.press("G")
        assert running.shown().count("line 59") == 3
        await running.press("g")
        assert running.shown().count("line 0") == 3


@pytest.mark.parametrize("width", [60, 200])
async def test_the_selected_column_is_in_sight_at_any_width(width: int) -> None:
    scripts: list[Script] = [[f"text{number}"] for number in range(6)]
    async with chat(FakeEngine(FIRST, *scripts), size=(width, 24)) as running:
        await comparing(running)
        for strength in ("2", "4", "5"):
            await running.press("plus")
            running.app.screen.query_one(Input).value = strength
            await running.press("enter")
        for number in range(6):
            await running.press(str(number + 1))
            assert f"text{number}" in running.shown()


# -- adding and removing --------------------------------------------------------------------------


async def test_a_column_at_another_strength_is_added() -> None:
    engine = FakeEngine(*ALL, ["Go."])
    async with chat(engine, size=SMALL) as running:
        await comparing(running)
        await running.press("plus")
        assert running.app.screen.query_one(Input).value == "6.649"
        await running.press(*["backspace"] * 5, *"four", "enter")
        assert names(running)[-1] == "5.65 Amulet"
        await running.press(*"4,0", "enter")
        assert names(running)[-1] == "4.00 past LA"
        assert engine.requests[-1].alignment.strength == 4.0
        assert engine.requests[-1].seed == engine.requests[1].seed
        assert "Go." in running.shown()
        await running.press("plus")
        running.app.screen.query_one(Input).value = "1"
        await running.press("enter")
        assert "already there" in running.notified[-1]
        await running.press("plus", "escape")
        assert isinstance(running.app.screen, CompareScreen)
        await running.press("minus", "x", "delete")
        assert names(running) == ["base"]
        await running.press("minus")
        assert "last column" in running.notified[-1]


async def test_a_column_by_another_preset_is_added() -> None:
    engine = FakeEngine(*ALL, ["Go on and on."])
    async with chat(engine) as running:
        await comparing(running)
        await running.press("a")
        assert isinstance(running.app.screen, PresetPicker)
        await running.press(*"verbose", "enter")
        assert "4 · Verbose 5.65 Amulet" in running.shown()
        assert "verbose" in engine.requests[-1].alignment.preference
        await running.press("enter")
        assert running.said == ["Where to?", "Go on and on."]
        steering = running.session.steering
        assert steering.preset
        assert steering.preset.name == "verbose"


async def test_columns_added_while_others_are_written_wait_their_turn() -> None:
    engine = FakeEngine(FIRST, ["Take ", HOLD, "it."], PROMPTED, REALIGNED, ["Go."])
    async with chat(engine) as running:
        await comparing(running)
        await running.press("plus", "enter")
        assert "waiting for the others" in running.shown()
        await running.press("left", "minus")
        assert "still being written" in running.notified[-1]
        engine.go_on()
        await running.until("Go.")


async def test_there_are_six_columns_at_most() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await comparing(running)
        for strength in ("2", "4", "7", "8"):
            await running.press("plus")
            running.app.screen.query_one(Input).value = strength
            await running.press("enter")
        assert len(names(running)) == 6
        assert "There is room for at most 6 columns" in running.notified[-1]


async def test_all_are_written_again_by_another_seed() -> None:
    engine = FakeEngine(*ALL, ["One."], ["Two."], ["Three."])
    async with chat(engine) as running:
        await comparing(running)
        await running.press("r")
        assert "Three." in running.shown()
        assert "coast" not in running.shown()
        assert engine.requests[4].seed != engine.requests[1].seed


# -- taking one, and what goes wrong --------------------------------------------------------------


async def test_a_column_is_taken_into_the_chat_with_its_measures() -> None:
    engine = FakeEngine(*ALL)
    async with chat(engine, size=SMALL) as running:
        await comparing(running)
        await running.press("enter")
        assert running.said == ["Where to?", "Take it."]
        assert "‹ 2/2 ›" in running.shown()
        node = running.session.path[-1]
        assert node.origin
        assert (node.origin.preset, node.origin.model) == ("concise", MODEL.name)
        assert [token.shift for token in unpack(node.measures)] == [
            pytest.approx(0.1),
            pytest.approx(1.5),
        ]
        assert node.ending
        assert node.ending.reason == "stop"
        await running.press("ctrl+f")
        assert "2 tokens · 1 flip" in running.shown()
        await running.press("escape", "ctrl+up", "u")
        assert running.said == ["Where to?", "Hello."]
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+b", "ctrl+up", "right")
        assert running.said == ["Where to?", "Take it."]


async def test_the_dial_follows_the_column_that_was_taken() -> None:
    async with chat(FakeEngine(*ALL)) as running:
        await comparing(running)
        await running.press("left", "enter")
        assert running.said[-1] == "Take the road."
        assert running.session.steering.strength == 1.0


async def test_what_is_not_complete_cannot_be_taken() -> None:
    async with chat(FakeEngine(FIRST, ["Take ", HOLD], [], [])) as running:
        await comparing(running)
        await running.press("left", "left", "enter")
        assert "still being written" in running.notified[-1]


@pytest.mark.parametrize(
    "event",
    [Failed("the message gives a prompt of 9,999 tokens; shorten it.", 2, 2), Died("It died.")],
)
async def test_what_goes_wrong_is_said_in_the_columns(event: Failed | Died) -> None:
    engine = FakeEngine(FIRST, [event], [event], [event])
    async with chat(engine) as running:
        await comparing(running)
        assert running.shown().count("9,999" if isinstance(event, Failed) else "! It died.") == 3
        await running.press("enter")
        assert "no reply to use" in running.notified[-1]
        await running.press("v")
        assert "nothing to choose" in running.notified[-1]
        await running.press("r")
        assert "coast" in running.shown() or "Take" in running.shown()


async def test_without_a_model_that_is_said() -> None:
    async with chat(FakeEngine(FIRST)) as running:
        await running.say("Where to?")
    async with chat(FakeEngine(), model_store=store_with(None)) as running:
        await running.press("ctrl+b", "ctrl+y")
        assert "No model is loaded." in running.shown()


async def test_a_model_that_is_being_loaded_is_waited_for() -> None:
    async with chat(FakeEngine(FIRST)) as running:
        await running.say("Where to?")
    engine = FakeEngine(BASE, PROMPTED, REALIGNED, loading=(HOLD,))
    async with chat(engine) as running:
        await running.press("ctrl+b", "ctrl+y")
        assert "still loading" in running.shown()
        engine.go_on()
        await running.until("it.")
        assert "still loading" not in running.shown()
