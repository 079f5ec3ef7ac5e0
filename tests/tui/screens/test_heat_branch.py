"""Going on from a token of the heat view, with another one or at another strength."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amulet_local.chats.provenance import unpack
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Candidate,
    Candidates,
    Event,
    Examined,
    Reply,
)
from tests.fake_engine import HOLD, FakeEngine, Measured
from tests.tui.running import SMALL, chat
from tests.tui.screens.heat_screen import TEXT, WALK, looking, no_answer, screen
from tui.widgets.heat_text import HeatText
from tui.widgets.token_card import TokenCard

pytestmark = pytest.mark.usefixtures("strength_of_the_paper")


async def test_going_on_before_the_answer_stops_the_reading_and_not_the_reply() -> None:
    engine = FakeEngine(WALK, [" on", HOLD, " and on."])
    engine.examining = no_answer
    async with chat(engine) as running:
        await looking(running)
        await running.press("end", "enter")
        assert engine.stops == 1
        assert "▸ writing" in running.shown()
        engine.go_on()
        await running.settle()
        assert running.said[-1].endswith(" on and on.")


async def test_another_strength_goes_on_from_before_the_token() -> None:
    engine = FakeEngine(WALK, [Measured(" short way.")])
    async with chat(engine, size=SMALL) as running:
        await looking(running)
        await running.press("n", "minus", "minus")
        assert "4.70" in running.shown()
        await running.press("enter")
        assert running.said == ["Where to?", "Take the short way."]
        request = engine.requests[-1]
        assert request.begun == Message("assistant", "Take the", (100, 101))
        assert request.alignment.strength == 4.7
        assert running.session.steering.strength == request.alignment.strength
        reply = running.session.path[-1]
        assert [token.characters for token in unpack(reply.measures)] == [4, 4, 11]
        assert "‹ 2/2 ›" in running.shown()
        await running.press("ctrl+up", "left")
        assert running.said == ["Where to?", TEXT]


async def test_a_number_is_a_strength_and_escape_takes_it_back() -> None:
    engine = FakeEngine(WALK, ["!"])
    async with chat(engine) as running:
        await looking(running)
        await running.press("1", "2", "full_stop", "5", "full_stop")
        assert "12.5▏" in running.shown()
        await running.press("backspace", "backspace", "backspace")
        assert "1▏" in running.shown()
        await running.press("escape")
        assert "5.65 Amulet" in running.shown()
        await running.press("9", "9", "9", "9", "9")
        await running.press("escape", "2", "comma", "5", "enter")
        assert engine.requests[-1].alignment.strength == 2.5


async def test_the_reply_is_gone_on_with_as_it_was_steered_then() -> None:
    engine = FakeEngine(WALK, ["!"])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+p", *"verbose", "enter")
        await running.press("ctrl+f")
        await running.press("enter")
        assert "concise" in engine.requests[-1].alignment.preference
        steering = running.session.steering
        assert steering.preset
        assert steering.preset.name == "concise"


async def test_another_token_is_picked_from_the_lists() -> None:
    engine = FakeEngine(WALK, [Measured("on.")])
    async with chat(engine, size=SMALL) as running:
        await looking(running)
        await running.press("n", "tab")
        card = screen(running).query_one(TokenCard)
        assert card.has_focus
        assert card.place == (2, 0)
        for keys, place in (
            ("down", (2, 1)), ("j", (2, 1)), ("up", (2, 0)), ("k", (1, 1)), ("left", (0, 1)),
            ("h", (0, 1)), ("right", (1, 1)), ("l", (2, 1)), ("left", (1, 1)),
        ):  # fmt: skip
            await running.press(keys)
            assert card.place == place, keys
        assert "▸" in running.shown()
        await running.press("enter")
        assert running.said == ["Where to?", "Take theWalk on."]
        assert engine.requests[-1].begun == Message("assistant", "Take theWalk ", (100, 101, 300))
        measures = unpack(running.session.path[-1].measures)
        assert [token.characters for token in measures] == [4, 4, 5, 3]
        assert measures[2].shift == pytest.approx(1.26)


async def test_candidates_are_picked_with_the_mouse() -> None:
    engine = FakeEngine(WALK, ["on."])
    async with chat(engine) as running:
        await looking(running)
        rows = running.shown().split("\n")
        row = next(number for number, text in enumerate(rows) if "Well" in text)
        place = (rows[row].index("Well"), row)
        await running.pilot.click(offset=place)
        await running.settle()
        assert screen(running).query_one(TokenCard).place == (0, 1)
        await running.pilot.click(offset=place, times=2)
        await running.settle()
        assert running.said[-1] == "TakeWell, on."


async def test_escape_leaves_the_card_first() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        await running.press("tab", "escape")
        assert screen(running).query_one(HeatText).has_focus
        await running.press("tab", "tab")
        assert screen(running).query_one(HeatText).has_focus
        await running.press("escape")
        assert running.prompt.has_focus


END = Candidate(2, "<|im_end|>", 0.4, True)


def ends(request: Reply) -> Iterator[Event]:
    yield Examined(request.id, 0, 6, (Candidates((), (), (END,)),) * 6)


async def test_the_end_can_be_picked_and_is_a_reply_of_its_own() -> None:
    engine = FakeEngine(WALK)
    engine.examining = ends
    async with chat(engine) as running:
        await looking(running)
        assert "■ end" in running.shown()
        await running.press("home", "tab", "enter")
        assert "says nothing" in running.notified[-1]
        await running.press("escape", "n", "n", "tab", "enter")
        assert running.said == ["Where to?", "Take the"]
        assert len(engine.requests) == 1
        assert running.session.path[-1].message.token_ids == (100, 101)
        assert "‹ 2/2 ›" in running.shown()
        await running.press("ctrl+f")
        assert "2 tokens · 1 flip" in running.shown()
        await running.press("escape", "ctrl+up", "u")
        assert running.said == ["Where to?", TEXT]


async def test_in_the_card_letters_go_to_the_ends_of_a_list() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        await running.press("tab", "G")
        card = screen(running).query_one(TokenCard)
        assert card.place == (2, 1)
        await running.press("g")
        assert card.place == (2, 0)
