"""What a model thinks before it answers: folded, unfolded, kept, counted, never told again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from amulet_local.chats.conversation import Thought
from amulet_local.chats.export import import_chat, to_json
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Examined
from tests.fake_engine import CANDIDATES, HOLD, LOADED, FakeEngine, Measured, Script, Thinks
from tests.tui.running import MODEL, SMALL, Running, chat
from tui.heatmap.summary import duration, in_words
from tui.screens.heat import HeatScreen
from tui.session.changes import Activity

THINKER = msgspec.structs.replace(LOADED, thinks=True)
THOUGHT = (Thinks(""), Thinks("Walk "), Thinks("or [b]ride[/b]?"), Thinks(""))
WALK: Script = (*THOUGHT, Measured("Take ", 0.3, True, 1.4), Measured("the path.", 1.2))


def thinker(*replies: Script) -> FakeEngine:
    return FakeEngine(*replies, loaded=THINKER)


def activity(running: Running) -> Activity:
    return running.session.status.activity


def row_of(running: Running, text: str) -> tuple[int, int]:
    """Where on the screen this is, as column and row."""
    rows = running.shown().split("\n")
    row = next(number for number, line in enumerate(rows) if text in line)
    return rows[row].index(text), row


# -- shown ----------------------------------------------------------------------------------------


async def test_while_it_thinks_there_is_one_line_and_then_the_reply_below_it() -> None:
    engine = thinker((*THOUGHT, HOLD, "Take ", HOLD, "the path."))
    async with chat(engine, size=SMALL, thinking=True) as running:
        await running.say("Where to?")
        assert activity(running) is Activity.THINKING
        assert "▸ thinking… 4 tokens, 0 s" in running.shown()
        assert "ride" not in running.shown()
        assert "▸ thinking" in running.shown().split("\n")[-2]  # the status line
        engine.go_on()
        await running.settle()
        assert activity(running) is Activity.WRITING
        assert "▸ thought, 4 tokens" in running.shown()
        assert "Take" in running.shown()
        engine.go_on()
        await running.settle()
        assert "▸ thought for 0.2 s, 4 tokens" in running.shown()
        assert row_of(running, "thought for")[1] < row_of(running, "Take the path.")[1]
        assert "2 tokens, 25 tokens/s" in running.shown()
        assert "ride" not in running.shown()


async def test_a_key_and_a_click_unfold_it_as_text_and_fold_it_again() -> None:
    engine = thinker((*THOUGHT[:2], HOLD, *THOUGHT[2:], HOLD, "Take it."))
    async with chat(engine, size=SMALL) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "space")
        assert "▾ thinking…" in running.shown()
        assert "Walk" in running.shown()
        engine.go_on()
        await running.settle()
        assert "Walk or [b]ride[/b]?" in running.shown()
        engine.go_on()
        await running.settle()
        assert "▾ thought for" in running.shown()
        assert row_of(running, "Walk or [b]ride[/b]?")[1] < row_of(running, "Take it.")[1]
        await running.press("space")
        assert "▸ thought for" in running.shown()
        assert "ride" not in running.shown()
        for sign, seen in (("▾", True), ("▸", False)):
            await running.pilot.click(offset=row_of(running, "thought for"))
            await running.settle()
            assert f"{sign} thought for" in running.shown()
            assert ("ride" in running.shown()) == seen


async def test_a_long_thought_is_unfolded_from_its_beginning() -> None:
    long = [Thinks(f"Step {number} of many.\n\n") for number in range(40)]
    async with chat(thinker((*long, Thinks(""), Measured("Take it.", 0.5))), size=SMALL) as running:
        await running.say("Where to?")
        await running.say("/thought")
        assert "▾ thought for" in running.shown()
        assert "Step 0 of many." in running.shown()


async def test_each_message_keeps_how_it_is_folded() -> None:
    async with chat(thinker(WALK, (Thinks("Again?"), "Two."))) as running:
        await running.say("Where to?")
        await running.say("/thought")
        assert "ride" in running.shown()
        await running.press("ctrl+r")
        assert "ride" not in running.shown()
        assert "Again?" not in running.shown()
        await running.press("ctrl+up", "h")
        assert "ride" in running.shown()
        await running.press("l")
        assert "Again?" not in running.shown()


async def test_what_was_thought_is_there_tomorrow_and_in_files(tmp_path: Path) -> None:
    async with chat(thinker(WALK)) as running:
        await running.say("Where to?")
        reply = running.session.path[-1]
        assert reply.thought == Thought("Walk or [b]ride[/b]?", (100, 101, 102, 103))
        assert reply.message == Message("assistant", "Take the path.", (104, 105))
        file = to_json(running.session.chat)
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+b")
        assert "▸ thought for 0.2 s, 4 tokens" in running.shown()
        await running.press("ctrl+up", "space")
        assert "Walk or [b]ride[/b]?" in running.shown()
        path = tmp_path / "chat.json"
        path.write_text(file)
        copy = import_chat(running.session.history, path).conversation.path()[-1]
        assert (copy.thought, copy.message) == (reply.thought, reply.message)


async def test_a_thought_that_was_stopped_is_kept_and_the_question_can_be_answered_again() -> None:
    engine = thinker((*THOUGHT, HOLD), ["Take it."], ["Or that."])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("escape")
        assert "▸ thought for 0.2 s, 4 tokens" in running.shown()
        assert "■ stopped · no answer" in running.shown()
        await running.press("ctrl+up", "c")  # there is nothing to continue: it thinks anew
        assert engine.requests[-1].thought == ()
        assert running.said == ["Where to?", "Take it."]
        assert "thought" not in running.shown()


# -- told and copied ------------------------------------------------------------------------------


async def test_it_is_not_told_to_the_model_in_later_turns() -> None:
    engine = thinker(WALK, ["Because."])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.say("Why?")
        assert engine.requests[-1].messages == (
            Message("user", "Where to?"),
            Message("assistant", "Take the path.", (104, 105)),
            Message("user", "Why?"),
        )
        assert engine.requests[-1].thought == ()


async def test_a_reply_is_copied_without_it_and_it_by_a_command_of_its_own() -> None:
    async with chat(thinker(WALK, ["Two."])) as running:
        await running.say("Where to?")
        await running.say("/copy")
        assert running.app.clipboard == "Take the path."
        await running.say("/copy-thought")
        assert running.app.clipboard == "Walk or [b]ride[/b]?"
        await running.say("Why?")
        for command in ("/copy-thought", "/thought"):
            await running.say(command)
            assert "There was no thinking before this reply" in running.notified[-1]


async def test_a_reply_is_continued_behind_its_thought() -> None:
    engine = thinker(WALK, [" Go."])
    async with chat(engine, thinking=True) as running:
        await running.say("Where to?")
        await running.say("/think off")
        await running.say("/continue")
        request = engine.requests[-1]
        assert request.begun == Message("assistant", "Take the path.", (104, 105))
        assert request.thought == (100, 101, 102, 103)
        assert request.thinking  # as it was when this was thought
        assert running.said[-1] == "Take the path. Go."
        assert "▸ thought, 4 tokens" in running.shown()


# -- the heat view --------------------------------------------------------------------------------


async def test_the_heat_view_is_of_the_answer_and_read_behind_the_thought() -> None:
    engine = thinker(WALK)
    async with chat(engine, thinking=True) as running:
        await running.say("Where to?")
        await running.press("ctrl+f")
        assert isinstance(running.app.screen, HeatScreen)
        assert "2 tokens · 1 flip" in running.shown()
        ((request, strengths),) = engine.examined
        assert request.begun == Message("assistant", "Take the path.", (104, 105))
        assert (request.thinking, request.thought) == (True, (100, 101, 102, 103))
        assert len(strengths) == 2
        assert "Walk" in running.shown()  # of the lists
        await running.press("enter")  # before the first token: behind the thought
        assert engine.requests[-1].begun == Message("assistant", "")
        assert engine.requests[-1].thought == (100, 101, 102, 103)


async def test_lists_need_the_tokens_of_the_thought() -> None:
    engine = thinker(WALK)
    engine.examining = lambda request: [Examined(request.id, 0, 2, (CANDIDATES,) * 2)]
    async with chat(engine) as running:
        await running.say("Where to?")
        node = running.session.path[-1]
        running.session.chat.conversation.replace(replace(node, thought=Thought("Walk?")))
        await running.press("ctrl+f")
        assert "the thinking before it is not known" in " ".join(
            running.shown().replace("▏", "").split()
        )
        assert not engine.examined


# -- on and off -----------------------------------------------------------------------------------


async def test_thinking_is_off_until_it_is_asked_for_and_kept_with_the_chat() -> None:
    engine = thinker()
    async with chat(engine, size=SMALL) as running:
        await running.say("a?")
        assert not engine.requests[-1].thinking
        assert "think" not in running.shown().split("\n")[-2]
        await running.say("/think")
        assert "think" in running.shown().split("\n")[-2]
        await running.say("b?")
        assert engine.requests[-1].thinking
        await running.say("/think off")
        assert "think" not in running.shown().split("\n")[-2]
        await running.say("/think sometimes")
        assert "on or off, not sometimes" in running.notified[-1]
    async with chat(thinker(), size=SMALL) as running:
        assert not running.session.thinking
        await running.press("ctrl+b")
        assert running.session.thinking


async def test_the_config_may_have_it_on() -> None:
    engine = thinker()
    async with chat(engine, thinking=True) as running:
        await running.say("a?")
        assert engine.requests[-1].thinking


async def test_a_model_that_cannot_think_says_so() -> None:
    engine = FakeEngine()
    told = f"{MODEL.name} cannot think before it answers: its chat template does not allow it."
    async with chat(engine) as running:
        await running.say("/think on")
        assert running.notified[-1] == told
        assert not running.session.thinking
    engine = FakeEngine(loading=[HOLD])
    async with chat(engine, thinking=False) as running:
        await running.say("/think on")  # while it is being loaded
        assert running.session.status.thinks
        engine.go_on()
        await running.settle()
        assert told.split(":")[0] in running.shown()
        assert not running.session.status.thinks


# -- words ----------------------------------------------------------------------------------------


def test_thoughts_in_words() -> None:
    assert in_words(132, 4.12) == "thought for 4.1 s, 132 tokens"
    assert in_words(1, 0.0) == "thought, 1 token"
    assert in_words(0, 0.0) == "thought"
    assert duration(72.4) == "1 min 12 s"
    assert duration(59.4) == "59 s"
