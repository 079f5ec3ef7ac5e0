"""The heat view: what opens it, and where its cursor goes."""

from __future__ import annotations

import pytest

from amulet_local.protocol.message import Message
from amulet_local.strengths import AMULET
from tests.checks import some
from tests.fake_engine import CANDIDATES, HOLD, FakeEngine, Measured
from tests.tui.running import SMALL, Running, chat
from tests.tui.screens.heat_screen import TEXT, WALK, cursor, looking, screen, told
from tui.screens.heat import HeatScreen
from tui.widgets.curves import Curves
from tui.widgets.heat_text import HeatText

pytestmark = pytest.mark.usefixtures("strength_of_the_paper")

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
        assert "This reply has no measurements" in running.notified[-1]
        await running.say("b?")
        await running.press("ctrl+f")
        assert "still being written" in running.notified[-1]
        assert not isinstance(running.app.screen, HeatScreen)


async def test_a_reply_without_a_preference_has_no_heat_and_no_dial() -> None:
    engine = FakeEngine(["Take ", "the path."])
    async with chat(engine, preset="") as running:
        await looking(running)
        assert "none (no preference)" in running.shown()
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
        assert "There is no flip before this one." in running.shown()


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
        await running.resize(*SMALL)
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
