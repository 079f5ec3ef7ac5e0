"""What stands below a reply: how it came about, and how far it was moved, in one small line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from amulet_local.chats.conversation import Node
from amulet_local.chats.provenance import TokenMeasures, pack
from amulet_local.protocol.message import Message
from tests.fake_engine import HOLD, FakeEngine, Measured
from tests.tui.running import SMALL, chat
from tui.heatmap.summary import shift_sparkline
from tui.screens.heat import HeatScreen

STEPS = [Measured(f"word{number} ", number % 7 / 2, number % 3 == 0) for number in range(80)]


def reply(shifts: Sequence[float | None], strengths: Sequence[float] = (2.0,)) -> Node:
    last = len(strengths) - 1
    measured = [
        TokenMeasures(1, strengths[min(place, last)], shift) for place, shift in enumerate(shifts)
    ]
    return Node("0", None, Message("assistant", "x" * len(shifts)), measures=pack(measured))


def test_the_shift_is_a_bar_for_each_token_and_then_for_each_few() -> None:
    assert shift_sparkline(reply([0.0, 2.0, 1.0])) == "shift ▁█▅ max 2.00"
    assert shift_sparkline(reply([0.1] * 5)) == "shift ▂▂▂▂▂ max 0.10"  # little looks like little
    line = shift_sparkline(reply([0.0] * 500 + [3.0] + [0.0] * 499))
    assert re.fullmatch(r"shift ▁{12}█▁{11} max 3.00", line)


def test_the_strength_is_there_where_the_dial_was_turned() -> None:
    assert shift_sparkline(reply([0.5] * 4, [2.0])) == "shift ▅▅▅▅ max 0.50"
    assert shift_sparkline(reply([0.5] * 4, [2.0, 2.0, 4.0, 4.0])).endswith("  strength ▅▅██")
    long = shift_sparkline(reply([3.0] * 900, [1.0] * 400 + [5.0] * 500))
    assert len(long) <= 52  # of 60 columns


def test_where_nothing_was_measured_there_is_no_line() -> None:
    assert shift_sparkline(reply([None, None])) == ""
    assert shift_sparkline(reply([])) == ""
    assert shift_sparkline(damaged("broken")) == ""


def damaged(measures: str) -> Node:
    return Node("0", None, Message("assistant", "x"), measures=measures.encode())


async def test_it_stands_below_the_reply_once_that_is_complete() -> None:
    engine = FakeEngine([*STEPS, HOLD])
    async with chat(engine, size=SMALL) as running:
        await running.say("Where to?")
        assert "shift" not in running.shown()
        engine.go_on()
        await running.settle()
        lines = [line.strip() for line in running.shown().split("\n") if "shift" in line]
        assert len(lines) == 1
        assert re.fullmatch(r"shift [▁▂▃▄▅▆▇█]{24} max 3.00", lines[0])
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+b")
        assert lines[0] in running.shown()


async def test_a_reply_without_a_preference_has_none() -> None:
    async with chat(FakeEngine(["Take it."]), preset="") as running:
        await running.say("Where to?")
        assert "shift" not in running.shown()


async def test_a_click_on_it_opens_the_heat_view_of_that_reply() -> None:
    async with chat(FakeEngine([Measured("One.", 1.0)], [Measured("Two.", 1.0)])) as running:
        await running.say("a?")
        await running.say("b?")
        rows = running.shown().split("\n")
        row = next(number for number, line in enumerate(rows) if "shift" in line)
        await running.pilot.click(offset=(rows[row].index("shift"), row))
        await running.settle()
        assert isinstance(running.app.screen, HeatScreen)
        assert running.app.screen._reading.text == "One."


async def test_the_arrows_of_an_older_message_walk_that_one() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("a?")
        await running.press("ctrl+r")
        await running.say("b?")
        rows = running.shown().split("\n")
        row = next(number for number, line in enumerate(rows) if "‹ 2/2 ›" in line)
        await running.pilot.click(offset=(rows[row].index("‹"), row))
        await running.settle()
        assert running.said == ["a?", "One."]
