"""The card of the heat view: what else could have been said."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Event,
    Examined,
    Failed,
    Prefilling,
    Reply,
)
from tests.checks import some
from tests.fake_engine import CANDIDATES, HOLD, FakeEngine
from tests.tui.running import LARGE, MODEL, SMALL, chat, store_with
from tests.tui.screens.heat_screen import TEXT, WALK, looking, no_answer, screen, told
from tui.session.changes import ChosenModel
from tui.widgets.heat_text import HeatText
from tui.widgets.token_card import TokenCard

pytestmark = pytest.mark.usefixtures("strength_of_the_paper")


async def test_the_card_says_what_else_could_have_been_said() -> None:
    engine = FakeEngine(WALK)
    async with chat(engine, size=SMALL) as running:
        await looking(running)
        await running.press("n")
        shown = running.shown()
        for told in ("base", "prompt only", "realigned", "1.26", "2.31", "5.65", "3/6", "70%"):
            assert told in shown
        assert "Well" in shown
        ((request, strengths),) = engine.examined
        assert request.trace
        assert request.begun == Message("assistant", TEXT, tuple(range(100, 106)))
        assert request.messages[-1].text == "Where to?"
        assert len(strengths) == 6
        await running.press("n", "p", "p")
        assert len(engine.examined) == 1


async def test_lists_that_decide_a_flip_otherwise_than_measured_say_so() -> None:
    async with chat(FakeEngine(WALK), size=LARGE) as running:
        await looking(running)
        assert "Computed anew" not in running.shown()  # at a flip, which the lists have too
        await running.press("home")
        assert not screen(running)._reading.tokens[0].measures.flip
        assert "Computed anew" in running.shown()


async def test_the_written_token_stands_below_a_list_that_it_is_not_in() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        card = screen(running).query_one(TokenCard)
        lines = [line.plain for line in card._lines(40)]
        marked = [line for line in lines if line.startswith("●")]
        assert len(marked) == 3
        assert all("␣the" in line for line in some(marked))
        assert f"{math.exp(-2.0):.0%}" in marked[0]
        assert f"{math.exp(-0.5):.0%}" in marked[2]


async def test_lists_that_come_in_parts_are_shown_as_they_come() -> None:
    def half(request: Reply) -> Iterator[Event]:
        yield Prefilling(30, 60)
        yield Examined(request.id, 0, 6, (CANDIDATES,) * 2)

    engine = FakeEngine(WALK)
    engine.examining = half
    async with chat(engine) as running:
        await looking(running)
        assert "Well" in running.shown()
        await running.press("end")
        assert "Well" not in running.shown()
        assert "Reading the reply… 2/6" in running.shown()
        ((request, _),) = engine.examined
        engine.events.put(Examined(request.id, 2, 6, (CANDIDATES,) * 4))
        await running.settle()
        await running.until("Well")
        assert "Reading" not in running.shown()


async def test_closed_before_the_answer_it_stops_the_engine() -> None:
    engine = FakeEngine(WALK)
    engine.examining = no_answer
    async with chat(engine) as running:
        await looking(running)
        assert "Reading the reply…" in running.shown()
        await running.press("escape")
        assert engine.stops == 1
        await running.press("ctrl+f")
        assert len(engine.examined) == 2


async def test_closed_after_the_answer_it_leaves_the_engine_alone() -> None:
    engine = FakeEngine(WALK)
    async with chat(engine) as running:
        await looking(running)
        await running.press("escape")
        assert engine.stops == 0


async def test_another_model_than_the_writers_is_not_asked() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await running.say("Where to?")
    engine = FakeEngine()
    other = ChosenModel(MODEL.path.with_name("other.gguf"), "Other", "Q8_0")
    async with chat(engine, model_store=store_with(other)) as running:
        await running.press("ctrl+b", "ctrl+f")
        shown = told(running)
        assert "small.gguf" in shown
        assert "other.gguf is loaded" in shown
        assert "realigned" in shown  # the chance of the written token is kept
        assert engine.examined == []
        await running.press("tab")
        assert screen(running).query_one(HeatText).has_focus


async def test_without_a_model_that_is_said_and_a_loading_one_is_waited_for() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await running.say("Where to?")
    async with chat(FakeEngine(), model_store=store_with(None)) as running:
        await running.press("ctrl+b", "ctrl+f")
        assert "no model is loaded" in told(running)
    engine = FakeEngine(loading=(HOLD,))
    async with chat(engine) as running:
        await running.press("ctrl+b", "ctrl+f")
        assert "The model is still being loaded." in running.shown()
        engine.go_on()
        await running.until("Well")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Failed("the message makes a prompt of 9,999 tokens; shorten it.", 2, 2), "9,999"),
        (Died("The engine stopped (signal 9)."), "The engine stopped (signal 9)."),
        (Examined(2, 0, 99, ()), "reads other tokens"),
    ],
)
async def test_what_goes_wrong_is_said_in_the_card(event: Event, reason: str) -> None:
    engine = FakeEngine(WALK)
    engine.examining = lambda request: [event]
    async with chat(engine) as running:
        await looking(running)
        assert reason in told(running)
        assert len(engine.examined) == 1
