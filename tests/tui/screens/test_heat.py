"""The heat view: a reply token by token, what else could have been said, and going on from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from amulet_local.chats.provenance import unpack
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Candidate,
    Candidates,
    Died,
    Event,
    Examined,
    Failed,
    Prefilling,
    Reply,
)
from amulet_local.realignment import AMULET
from tests.checks import some
from tests.fake_engine import CANDIDATES, HOLD, FakeEngine, Measured, Script
from tests.tui.running import LARGE, MODEL, SMALL, Running, chat, store_with
from tui.screens.heat import HeatScreen
from tui.session.changes import ChosenModel
from tui.widgets.curves import Curves
from tui.widgets.heat_text import HeatText
from tui.widgets.token_card import TokenCard

WALK: Script = (
    Measured("Take", 0.02),
    Measured(" the", 0.3, True, 1.4),
    Measured(" coast", 1.26, True, 2.31),
    Measured(" path", 0.6, False, 7.0),
    Measured(".\n", 0.0),
    Measured("Rest.", 2.5, True, 1.1),
)
TEXT = "Take the coast path.\nRest."


pytestmark = pytest.mark.usefixtures("strength_of_the_paper")


def screen(running: Running) -> HeatScreen:
    assert isinstance(running.app.screen, HeatScreen)
    return running.app.screen


def cursor(running: Running) -> int:
    return screen(running).query_one(HeatText).cursor


def told(running: Running) -> str:
    """What the card says."""
    lines = screen(running).query_one(TokenCard)._lines(40)
    return " ".join(" ".join(line.plain for line in lines).split())


async def looking(running: Running, key: str = "ctrl+f") -> None:
    """A measured reply, and the view of it."""
    await running.say("Where to?")
    await running.press(key)


# -- opening --------------------------------------------------------------------------------------


async def test_a_key_opens_it_from_the_message_and_from_the_messages() -> None:
    async with chat(FakeEngine(WALK), size=SMALL) as running:
        await looking(running)
        shown = running.shown()
        assert "Concise 5.65 Amulet" in shown
        assert "6 tokens · 3 flips" in shown
        assert "Take the coast path.↵" in shown
        await running.press("escape")
        assert not isinstance(running.app.screen, HeatScreen)
        await running.press("ctrl+up", "v")
        assert isinstance(running.app.screen, HeatScreen)
        await running.press("q")
        await running.press("i")
        await running.say("/look")
        assert isinstance(running.app.screen, HeatScreen)


async def test_the_selected_reply_is_looked_at() -> None:
    async with chat(FakeEngine(WALK, [Measured("Two.")])) as running:
        await running.say("a?")
        await running.say("b?")
        await running.press("ctrl+up", "k", "k", "v")
        assert "Take the coast" in running.shown()


async def test_it_opens_on_a_chat_of_yesterday() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await running.say("Where to?")
    engine = FakeEngine()
    async with chat(engine) as running:
        await running.press("ctrl+b", "ctrl+f")
        assert "Take the coast path.↵" in running.shown()
        assert "62" not in running.shown()
        ((request, strengths),) = engine.examined
        assert request.begun == Message("assistant", TEXT, tuple(range(100, 106)))
        assert list(strengths) == pytest.approx([AMULET] * 6)


async def test_what_cannot_be_looked_at_is_said() -> None:
    async with chat(FakeEngine(["Plain."], ["One", HOLD])) as running:
        await running.press("ctrl+f")
        assert "There is no reply yet." in running.shown()
        await running.say("a?")
        await running.press("ctrl+up", "e")
        running.prompt.text = "Mine."
        await running.press("enter", "ctrl+f")
        assert "Nothing was measured in this reply" in running.notified[-1]
        await running.say("b?")
        await running.press("ctrl+f")
        assert "still being written" in running.notified[-1]
        assert not isinstance(running.app.screen, HeatScreen)


async def test_a_reply_without_a_preference_has_no_heat_and_no_dial() -> None:
    engine = FakeEngine(["Take ", "the path."])
    async with chat(engine, preset="") as running:
        await looking(running)
        assert "none: no preference" in running.shown()
        assert "flip" not in told(running)
        await running.press("plus")
        assert "no dial to turn" in running.notified[-1]
        await running.press("4")
        await running.press("enter")
        assert engine.requests[-1].alignment.preference == ""


async def test_lists_are_there_for_what_the_model_wrote_behind_words_of_ones_own() -> None:
    engine = FakeEngine(["By the road."], [Measured(" and", 0.4, True, 1.2), Measured(" back.")])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "e")
        running.prompt.text = "By the sea"
        await running.press("enter")
        await running.press("ctrl+up", "c")
        assert running.said == ["Where to?", "By the sea and back."]
        await running.press("ctrl+f")
        ((request, strengths),) = engine.examined
        ids = (900, 901, 902, 100, 101)
        assert request.begun == Message("assistant", "By the sea and back.", ids)
        assert len(strengths) == 5
        assert screen(running)._alternatives.at(0) == CANDIDATES
        assert screen(running)._alternatives.why == ""
        assert "Walk" in running.shown()
        await running.press("enter")
        assert engine.requests[-1].begun == Message("assistant", "By the sea", ids[:3])


# -- the cursor -----------------------------------------------------------------------------------


async def test_it_begins_at_the_first_flip_and_goes_wherever_keys_say() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        assert cursor(running) == 1
        for keys, place in (
            ("right", 2), ("l", 3), ("left", 2), ("h", 1),
            ("n", 2), ("w", 5), ("n", 5), ("p", 2), ("b", 1), ("b", 1),
            ("end", 5), ("right", 5), ("home", 0), ("left", 0), ("G", 5), ("g", 0),
            ("down", 5), ("up", 0), ("j", 5), ("k", 0), ("pagedown", 5), ("pageup", 0),
        ):  # fmt: skip
            await running.press(keys)
            assert cursor(running) == place, keys
        assert "No flip before this one." in running.shown()


async def test_up_and_down_keep_to_their_column() -> None:
    async with chat(FakeEngine([*WALK, Measured("\nHome, ", 0.1), Measured("later.")])) as running:
        await looking(running)
        await running.press("home", "right", "right", "right")
        await running.press("down", "down")
        assert cursor(running) == 7
        await running.press("up", "up")
        assert cursor(running) == 3


async def test_a_click_on_a_token_or_a_bar_goes_there() -> None:
    async with chat(FakeEngine(WALK), size=SMALL) as running:
        await looking(running)
        rows = running.shown().split("\n")
        row = next(number for number, text in enumerate(rows) if "coast" in text)
        await running.pilot.click(offset=(rows[row].index("path"), row))
        await running.settle()
        assert cursor(running) == 3
        curves = screen(running).query_one(Curves)
        await running.pilot.click(curves, offset=(12, 0))
        await running.settle()
        assert cursor(running) < 3


async def test_a_long_reply_follows_the_cursor() -> None:
    script = [Measured(f"word{number}\n", 0.1) for number in range(100)]
    async with chat(FakeEngine(script), size=SMALL) as running:
        await looking(running)
        assert "word0" in running.shown()
        await running.press("end")
        assert "word99" in running.shown()
        assert "100/100" in running.shown()


async def test_another_width_wraps_anew_and_keeps_the_cursor() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        await running.press("end")
        await running.pilot.resize_terminal(*SMALL)
        await running.settle()
        assert cursor(running) == 5
        assert "Rest." in running.shown()


async def test_flips_are_underlined_and_warmer_tokens_have_warmer_colours() -> None:
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        styles = tints(running)
        assert [bool(style.underline) for style in styles] == [
            False, True, True, False, False, True
        ]  # fmt: skip
        assert len({style.bgcolor for style in styles}) == 5
        assert not any(style.bold for style in some(styles))
        await running.press("end")
        dark = styles[2].bgcolor
        running.app.theme = "amulet-light"
        await running.settle()
        assert tints(running)[2].bgcolor != dark


async def test_without_colours_weight_says_how_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with chat(FakeEngine(WALK)) as running:
        await looking(running)
        styles = tints(running)
        assert [bool(style.bold) for style in styles] == [
            False, False, True, False, False, True
        ]  # fmt: skip
        assert styles[0].dim


def tints(running: Running):  # type: ignore[no-untyped-def]
    """The style of every token but the cursor's, which is moved out of the way."""
    text = screen(running).query_one(HeatText)
    return [text._tint(number) for number in range(6)]


# -- the card -------------------------------------------------------------------------------------


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


def no_answer(request: Reply) -> Iterator[Event]:
    yield from ()


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


# -- going on from there --------------------------------------------------------------------------


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
