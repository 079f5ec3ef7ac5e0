"""An engine that does not respond is told of, with the key that restarts it; nothing is lost."""

from __future__ import annotations

import pytest

from amulet_local.protocol.messages import Prefilling
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import chat
from tui.screens import model_actions

STUCK = "The engine has not responded for 12 seconds and seems to be stuck."


async def test_it_is_told_of_once_and_the_key_restarts_it() -> None:
    engine = FakeEngine(["One ", HOLD], ["Two."])
    async with chat(engine) as running:
        await running.say("Where to?")
        assert "Restart" not in running.shown()
        engine.in_trouble = STUCK
        for _ in range(3):
            model_actions.look_after(running.screen)
        await running.settle()
        shown = running.shown()
        assert shown.count("has not responded for 12 seconds and seems to be stuck. Press ^r") == 1
        assert "× not responding" in shown
        assert "^r Restart" in shown
        await running.press("ctrl+r")
        assert len(engine.loads) == 2
        assert "The conversation is safe; the model is being loaded again." in running.shown()
        assert running.said == ["Where to?", "One "]
        await running.say("And then?")
        assert running.said == ["Where to?", "One ", "And then?", "Two."]


async def test_a_question_without_an_answer_is_the_users_again() -> None:
    engine = FakeEngine([HOLD])
    async with chat(engine) as running:
        await running.say("Where to?")
        engine.in_trouble = STUCK
        model_actions.look_after(running.screen)
        await running.press("ctrl+r")
        assert running.prompt.text == "Where to?"
        assert running.said == []


async def test_where_it_goes_on_by_itself_the_line_says_so() -> None:
    engine = FakeEngine(["One ", HOLD, "two."])
    async with chat(engine) as running:
        await running.say("Where to?")
        engine.in_trouble = STUCK
        model_actions.look_after(running.screen)
        assert "× not responding" in running.shown()
        engine.in_trouble = ""
        model_actions.look_after(running.screen)
        await running.settle()
        assert "▸ writing" in running.shown()


async def test_the_key_does_nothing_to_an_engine_that_works() -> None:
    engine = FakeEngine(["One ", HOLD, "two."])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+r")
        assert len(engine.loads) == 1


async def test_a_flood_of_events_leaves_time_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.chat._AT_ONCE", 3)
    engine = FakeEngine()
    async with chat(engine) as running:
        for number in range(8):
            engine.events.put(Prefilling(number, 8))
        running.screen.poll()
        assert len(list(engine.events.taken(8))) == 5
