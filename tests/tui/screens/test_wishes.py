"""A wish in the app: sent with its message, shown, edited, answered again, compared, kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH
from amulet_local.protocol.alignment import USUAL_GUARD
from amulet_local.protocol.message import LONGEST_WISH, Message
from tests.fake_engine import HOLD, FakeEngine, Measured, Script
from tests.tui.running import LARGE, SMALL, Running, chat
from tui.widgets.steering import SteeringPanel

REVIEW = "Write a review of the film !! all in lower case"
REPLY: Script = (Measured("a fine", 0.3, True, 1.4), Measured(" film.", 0.1))
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE])


def wishes(engine: FakeEngine) -> list[str]:
    return [request.wish for request in engine.requests]


def panel(running: Running) -> str:
    """How the next reply is steered, in words."""
    (parts,) = running.screen.query_one(SteeringPanel).query("#chosen")
    return " ".join(str(part.render()) for part in parts.children)


@SIZES
async def test_a_wish_is_sent_apart_from_its_message_and_shown_with_it(
    size: tuple[int, int],
) -> None:
    engine = FakeEngine(REPLY, REPLY)
    async with chat(engine, size=size, preset="") as running:
        await running.say(REVIEW)
        asked = engine.requests[0]
        assert asked.messages == (
            Message("user", "Write a review of the film", wish="all in lower case"),
        )
        alignment = asked.alignment
        assert (alignment.preference, alignment.method) == ("", "amulet")
        assert (alignment.strength, alignment.guard) == (USUAL_STRENGTH, USUAL_GUARD)
        assert alignment.sampling == USUAL_SAMPLING
        assert asked.trace
        shown = running.shown()
        assert "▌ Write a review of the film\n" in shown
        assert "▌ !! all in lower case" in shown
        assert "wish 2.00 past prompt" in shown
        await running.say("And another?")
        assert wishes(engine) == ["all in lower case", ""]
        assert engine.requests[1].alignment.method == "base"
        assert not engine.requests[1].steered


async def test_a_wish_counts_beside_the_preset_at_its_strength() -> None:
    engine = FakeEngine(REPLY)
    async with chat(engine) as running:
        await running.say("/strength 4")
        await running.say(REVIEW)
        assert engine.requests[0].alignment.preference
        assert engine.requests[0].alignment.strength == 4
        assert "Concise + wish 4.00" in running.shown()


async def test_what_is_only_a_wish_is_given_back_with_a_sentence() -> None:
    engine = FakeEngine()
    async with chat(engine) as running:
        await running.say("!! all in lower case")
        assert running.notified[-1].startswith("This is only a wish")
        assert running.prompt.text == "!! all in lower case"
        running.prompt.text = "Why? !! " + "x" * (LONGEST_WISH + 1)
        await running.press("enter")
        assert "4,000 are allowed" in running.notified[-1]
        assert not engine.requests


async def test_a_wish_is_edited_with_its_message() -> None:
    engine = FakeEngine(REPLY, REPLY, REPLY)
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+up", "k", "e")
        assert running.prompt.text == "Write a review of the film\n!! all in lower case"
        await running.press("s", "enter")
        assert wishes(engine)[-1] == "all in lower cases"
        assert "‹ 2/2 ›" in running.shown()
        await running.press("ctrl+up", "k", "e")
        running.prompt.text = "Write a review of the film"
        await running.press("enter")
        assert wishes(engine)[-1] == ""
        await running.press("ctrl+up", "k", "h", "h")
        assert "!! all in lower case\n" in running.shown()


async def test_marks_in_an_edited_reply_are_text() -> None:
    engine = FakeEngine(["wow !! really"])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "e")
        assert running.prompt.text == "wow !! really"
        await running.press("s", "enter")
        assert running.said == ["Where to?", "wow !! reallys"]


async def test_answered_again_and_at_another_strength_the_wish_is_there() -> None:
    engine = FakeEngine(REPLY, REPLY, REPLY)
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+t", "l", "enter", "ctrl+r")
        await running.say("/again")
        assert wishes(engine) == ["all in lower case"] * 3
        assert [it.alignment.strength for it in engine.requests] == [USUAL_STRENGTH, 3.0, 3.0]


async def test_the_dial_turns_a_wish_while_it_is_written() -> None:
    engine = FakeEngine([*REPLY, HOLD])
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+t", "l")
        assert engine.turns == [(engine.requests[0].id, (3.0,))]


async def test_the_panel_comes_to_life_while_a_wish_is_typed() -> None:
    engine = FakeEngine(REPLY, REPLY)
    async with chat(engine, preset="") as running:
        assert panel(running).startswith("No preset ▾")
        assert running.dial.disabled
        running.prompt.insert(REVIEW)
        await running.settle()
        assert panel(running).startswith("Your wish ▾ 2.00 past prompt")
        assert not running.dial.disabled
        await running.press("enter")
        assert panel(running).startswith("Your wish ▾")  # what ctrl+r would follow
        running.prompt.insert("And another?")
        await running.settle()
        assert panel(running).startswith("No preset ▾")
        running.prompt.text = ""
        await running.settle()
        await running.press("ctrl+t")
        assert running.dial.has_focus
        await running.press("ctrl+n")
        assert running.dial.disabled
        assert running.prompt.has_focus


async def test_a_strength_without_a_preset_is_for_wishes() -> None:
    engine = FakeEngine(REPLY)
    async with chat(engine, preset="") as running:
        await running.say("/strength 3.5")
        await running.say("/guard 0.2")
        assert "this is for wishes (!!): strength 3.50, guard 0.2" in running.notified[-1]
        await running.say(REVIEW)
        assert engine.requests[0].alignment.strength == 3.5
        assert engine.requests[0].alignment.guard == 0.2


async def test_a_wish_waits_with_its_message_and_comes_back_with_it() -> None:
    engine = FakeEngine(["One.", HOLD])
    async with chat(engine, preset="") as running:
        await running.say("Where to?")
        await running.say(REVIEW)
        assert "!! all in lower case" in running.shown()
        await running.press("escape")
        assert running.prompt.text == "Write a review of the film\n!! all in lower case"
        await running.press("up", "up")
        assert running.prompt.text == REVIEW


async def test_a_comparison_is_with_and_without_the_wish() -> None:
    engine = FakeEngine(REPLY, REPLY, REPLY, REPLY)
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+y")
        assert "Write a review of the film !! all in lower case" in running.shown()
        base, prompted, realigned = engine.requests[1:]
        assert base.wish == ""
        assert prompted.wish == realigned.wish == "all in lower case"
        assert [it.alignment.method for it in engine.requests[1:]] == ["base", "pref", "amulet"]
        assert realigned.alignment.strength == USUAL_STRENGTH
        await running.press("left", "left", "enter")  # base, which did not follow it
        origin = running.session.path[-1].origin
        assert origin is not None
        assert origin.wish == ""
        assert not origin.steered


async def test_the_heat_view_reads_a_reply_with_the_wish_that_it_followed() -> None:
    engine = FakeEngine(REPLY)
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+f")
        assert engine.examined[0][0].wish == "all in lower case"
        assert "wish 2.00 past prompt" in running.shown()
        await running.press("plus", "enter")
        assert engine.requests[-1].wish == "all in lower case"
        assert engine.requests[-1].alignment.strength == 2.5
        assert running.app.screen is running.screen


async def test_a_chat_opened_again_has_the_wish_and_its_strength() -> None:
    async with chat(FakeEngine(REPLY), preset="") as running:
        await running.say("/strength 3.5")
        await running.say(REVIEW)
    engine = FakeEngine(REPLY)
    async with chat(engine, preset="") as running:
        await running.press("ctrl+b")
        assert "▌ !! all in lower case" in running.shown()
        await running.press("ctrl+r")
        assert wishes(engine) == ["all in lower case"]
        assert engine.requests[0].alignment.strength == 3.5
        await running.press("up")
        assert running.prompt.text == "Write a review of the film\n!! all in lower case"


async def test_a_wish_is_found_and_marked_in_its_message() -> None:
    async with chat(FakeEngine(REPLY), preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+n")
        await running.say("/search lower")
        await running.until("!! all in lower case")
        await running.press("enter")
        await running.until("▌ !! all in lower case")


async def test_a_wish_is_explained_where_it_is_typed() -> None:
    engine = FakeEngine(REPLY)
    async with chat(engine, preset="") as running:
        running.prompt.insert("Why? !!")
        await running.settle()
        assert "a wish for this reply alone" in running.shown()
        await running.press("tab")
        assert running.prompt.text == "Why? !! "
        running.prompt.text = "wow"
        running.prompt.move_cursor((0, 3))
        running.prompt.insert(" !!")
        await running.press("enter")  # sends what stands there, and no wish
        assert engine.requests[0].messages == (Message("user", "wow !!"),)
        running.prompt.insert("```\n!!")
        await running.settle()
        assert "a wish for this reply alone" not in running.shown()


async def test_what_is_held_back_is_told_while_it_is_typed_and_below_the_reply() -> None:
    engine = FakeEngine(REPLY)
    async with chat(engine, size=LARGE, preset="") as running:
        running.prompt.text = 'Why? !! without the word "sky"'
        await running.settle()
        assert "guard 0.03 · “sky” held back" in panel(running)
        running.prompt.text = ""
        await running.say("/strength 1")
        running.prompt.text = 'Why? !! without the word "sky"'
        await running.settle()
        assert "held back" not in panel(running)
        running.prompt.text = ""
        await running.say("/strength 2")
        await running.say('Why? !! without the word "sky"')
        assert "✓ “sky” held back" in running.shown()


async def test_the_command_begins_a_wish() -> None:
    async with chat(FakeEngine(), preset="") as running:
        await running.say("/wish all in lower case")
        assert running.prompt.text == "\n!! all in lower case"
        await running.press("W", "h", "y")
        assert running.prompt.text == "Why\n!! all in lower case"
        running.prompt.text = ""
        await running.say("/wish")
        assert running.prompt.text == "\n!! "
        running.prompt.insert("/wis")
        await running.settle()


async def test_files_are_attached_to_the_message(here: Path) -> None:
    (here / "notes.md").write_text("a !! b\n!! c", "utf-8")
    engine = FakeEngine(REPLY)
    async with chat(engine, preset="") as running:
        await running.say("Sum up @notes.md !! in one line")
        (message,) = engine.requests[0].messages
        assert message.text == "Sum up @notes.md\n\nnotes.md:\n```md\na !! b\n!! c\n```"
        assert message.wish == "in one line"
        await running.press("ctrl+up", "k", "e")
        assert running.prompt.text == f"{message.text}\n!! in one line"


# -- followed -------------------------------------------------------------------------------------


async def test_below_a_reply_stands_whether_it_followed() -> None:
    async with chat(FakeEngine(REPLY), preset="", size=SMALL) as running:
        await running.say("Write a review !! all in lower case, at least 9 words")
        shown = " ".join(running.shown().split())
        assert (
            "wish 2.00 past prompt · clearly followed +1.00 · ✓ in lower case · "
            "✗ at least 9 words · 2 tokens"
        ) in shown
        note = running.screen.query("Answer > .note").first(Static)
        assert "+1.000 nats likelier" in str(note.tooltip)


async def test_the_heat_view_says_whether_the_reply_followed() -> None:
    async with chat(FakeEngine(REPLY), preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+f")
        assert "nats per token · clearly followed +1.00" in running.shown()


async def test_a_plain_reply_says_nothing_of_it() -> None:
    async with chat(FakeEngine(["a film."]), preset="") as running:
        await running.say("Write a review")
        assert "followed" not in running.shown()


async def test_columns_say_which_of_them_do_what_the_wish_asks_for() -> None:
    engine = FakeEngine(REPLY, ["A Film."], REPLY, REPLY)
    async with chat(engine, preset="") as running:
        await running.say(REVIEW)
        await running.press("ctrl+y")
        assert "✗ in lower case · 1 token" in running.shown()
        assert running.shown().count("✓ in lower case · 2 tokens") == 2
        await running.press("v")
        assert "in lower case · " not in running.shown()
