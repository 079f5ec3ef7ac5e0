"""The chat on the screen, at the smallest size and at a roomy one."""

from __future__ import annotations

from textual import events

from amulet_local.errors import UsageError
from amulet_local.protocol.messages import Died, Failed, Loading, Notice, Prefilling
from amulet_local.strengths import label
from tests.asking import built_in_strength
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import LARGE, SMALL, chat
from tui.widgets.message import MessageView
from tui.widgets.page import Page

STRENGTH = f"{built_in_strength('concise'):.2f} {label(built_in_strength('concise'))}"
LONG = [f"Paragraph {number} goes on for a while.\n\n" for number in range(60)]


async def test_one_can_write_at_once_and_everything_is_in_sight() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        assert running.prompt.has_focus
        shown = running.shown()
        for text in ("Amulet", "Ask anything", "Concise", STRENGTH, "base", "prompt", "LA", "8"):
            assert text in shown
        for text in ("ready", "context 0/2,048", "Q4_1", "^p Preset", "^g Help", "^q Quit"):
            assert text in shown


async def test_a_message_and_its_reply_are_shown_with_how_it_came_about() -> None:
    async with chat(FakeEngine(["Take ", "the **coast**", " path."]), size=SMALL) as running:
        await running.say("Where [b]to[/b]?")
        shown = running.shown()
        assert "Where [b]to[/b]?" in shown
        assert "Take the coast path." in shown
        assert f"Concise {STRENGTH} · 3 tokens, 25 tokens/s" in shown
        assert running.prompt.text == ""


async def test_several_turns_stand_below_each_other() -> None:
    async with chat(FakeEngine(["First."], ["Second."])) as running:
        await running.say("One?")
        await running.say("Two?")
        rows = running.shown().split("\n")
        places = [
            next(row for row, text in enumerate(rows) if words in text)
            for words in ("One?", "First.", "Two?", "Second.")
        ]
        assert places == sorted(places)


async def test_a_message_before_the_model_is_ready_is_seen_to_wait() -> None:
    engine = FakeEngine(["Hello."], loading=(Loading(0.43), HOLD))
    async with chat(engine, size=SMALL) as running:
        assert "loading 43%" in running.shown()
        await running.say("Hi")
        assert "waiting for the model" in running.shown()
        engine.go_on()
        await running.settle()
        assert "waits" not in running.shown()
        assert "Hello." in running.shown()


async def test_a_waiting_message_can_be_taken_back_into_what_is_being_written() -> None:
    async with chat(FakeEngine(loading=(HOLD,))) as running:
        await running.say("Hi")
        running.prompt.insert("draft")
        await running.press("escape")
        assert running.prompt.text == "Hi\ndraft"
        assert not running.screen.query(MessageView)
        assert "Your preference is a dial" in running.shown()


async def test_reading_the_prompt_is_seen_before_the_first_word() -> None:
    engine = FakeEngine([Prefilling(512, 1024), HOLD])
    async with chat(engine, size=SMALL) as running:
        await running.say("Hi")
        assert "reading the prompt 512/1,024" in running.shown()


async def test_escape_stops_a_reply_and_keeps_it() -> None:
    async with chat(FakeEngine(["By the ", HOLD]), size=SMALL) as running:
        assert "esc Stop" not in running.shown()
        await running.say("Where to?")
        assert "esc Stop" in running.shown()
        assert "writing" in running.shown()
        await running.press("escape")
        shown = running.shown()
        assert "By the" in shown
        assert shown.count("■ stopped") == 2  # below the reply, and in the status line
        assert "esc Stop" not in shown


async def test_a_message_sent_while_a_reply_streams_waits_for_its_turn() -> None:
    engine = FakeEngine(["One", HOLD], ["Two"])
    async with chat(engine) as running:
        await running.say("a?")
        await running.say("b?")
        assert "… waiting for the model" in running.shown()
        engine.go_on()
        await running.settle()
        assert [len(request.messages) for request in engine.requests] == [1, 3]
        assert "Two" in running.shown()


async def test_a_new_chat_is_empty_and_the_old_reply_does_not_come_into_it() -> None:
    engine = FakeEngine(["old ", HOLD], ["new"])
    async with chat(engine) as running:
        await running.say("a?")
        await running.press("ctrl+n")
        assert "old" not in running.shown()
        assert "Your preference is a dial" in running.shown()
        await running.say("b?")
        assert "new" in running.shown()
        assert [message.text for message in engine.requests[1].messages] == ["b?"]


# -- the message being written --------------------------------------------------------------------


async def test_ctrl_j_and_shift_enter_break_lines_and_the_prompt_grows() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        height = running.prompt.size.height
        await running.press("a", "ctrl+j", "b", "shift+enter", "q")
        assert running.prompt.text == "a\nb\nq"
        assert running.prompt.size.height == height + 2
        await running.press("enter")
        assert running.said[0] == "a\nb\nq"
        assert running.prompt.size.height == height


async def test_enter_is_not_overtaken_by_the_letters_before_it() -> None:
    async with chat(FakeEngine()) as running:
        for key in ("h", "i", "enter"):
            running.app.simulate_key(key)
        await running.settle()
        assert running.said[0] == "hi"


async def test_a_paste_of_many_lines_stays_one_message_without_control_characters() -> None:
    async with chat(FakeEngine()) as running:
        running.prompt.post_message(events.Paste("one\r\ntwo\rthree\x1b[31m\x07"))
        await running.settle()
        assert running.prompt.text == "one\ntwo\nthree[31m"
        assert not running.said


async def test_nothing_is_sent_of_nothing() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("  \n ")
        assert not running.said


# -- what models write ----------------------------------------------------------------------------


async def test_markup_and_escapes_in_a_reply_are_only_text() -> None:
    text = "[b]x[/] [/y] \x1b[2J [@click=app.quit]z[/]\n\n| [/] |\n|---|\n| [/b] |\n"
    async with chat(FakeEngine([text]), size=SMALL) as running:
        await running.say("\x1b]0;title\x07 [/]")
        shown = running.shown()
        assert "[b]x[/] [/y] [2J [@click=app.quit]z[/]" in shown
        assert "\x1b" not in shown
        await running.pilot.hover(Page)
        await running.settle()


async def test_a_reply_that_grows_touches_only_its_last_blocks() -> None:
    engine = FakeEngine(["One.\n\nTwo.\n\n", "Th", HOLD, "ree.", HOLD])
    async with chat(engine) as running:
        await running.say("Count.")
        before = running.screen.query(Page).last().stack.blocks
        engine.go_on()
        await running.settle()
        after = running.screen.query(Page).last().stack.blocks
        assert [it.block.styled.text for it in after] == ["One.", "Two.", "Three."]
        assert [old is new for old, new in zip(before, after, strict=True)] == [True, True, False]


async def test_an_empty_reply_is_said_to_be_empty() -> None:
    async with chat(FakeEngine([])) as running:
        await running.say("Hi")
        assert "the model wrote nothing" in running.shown()


# -- following ------------------------------------------------------------------------------------


async def test_the_newest_text_is_followed_until_the_reader_scrolls_up() -> None:
    engine = FakeEngine([*LONG, HOLD, "The end."])
    async with chat(engine, size=SMALL) as running:
        await running.say("Go on.")
        assert running.transcript.following
        await running.press("pageup")
        assert "more below" in running.shown()
        before = running.transcript.scroll_y
        engine.go_on()
        await running.settle()
        assert running.transcript.scroll_y == before
        assert "The end." not in running.shown()
        await running.press("ctrl+end")
        assert "The end." in running.shown()
        assert "more below" not in running.shown()


async def test_scrolling_down_at_the_end_does_not_end_the_following() -> None:
    engine = FakeEngine([*LONG, HOLD, "More.", HOLD])
    async with chat(engine, size=SMALL) as running:
        await running.say("Go on.")
        await running.press("pagedown", "pagedown")
        engine.go_on()
        await running.settle()
        assert "More." in running.shown()


async def test_a_held_reply_is_drawn_when_the_reader_comes_back() -> None:
    engine = FakeEngine([*LONG, HOLD, "More.", HOLD])
    async with chat(engine, size=SMALL) as running:
        await running.say("Go on.")
        await running.press("pageup")
        engine.go_on()
        await running.settle()
        pages = running.screen.query(Page)
        assert "More." not in [block.styled.text for page in pages for block in page.blocks]
        await running.press("pagedown", "pagedown")
        await running.until("More.")


async def test_two_pages_at_once_are_two_pages() -> None:
    async with chat(FakeEngine(LONG), size=SMALL) as running:
        await running.say("Go on.")
        transcript = running.transcript
        end, page = transcript.max_scroll_y, transcript.scrollable_content_region.height
        transcript.page(-1)
        transcript.page(-1)
        await running.settle()
        assert transcript.scroll_y == end - 2 * page
        transcript.page(1)
        transcript.page(1)
        await running.settle()
        assert transcript.following


async def test_a_short_chat_stands_above_the_prompt_and_counts_as_followed() -> None:
    async with chat(FakeEngine(["Yes."])) as running:
        await running.say("Short?")
        assert running.transcript.following
        assert running.transcript.scroll_y == 0


# -- what goes wrong ------------------------------------------------------------------------------


async def test_a_dead_engine_is_told_of_and_the_next_message_goes_on() -> None:
    engine = FakeEngine(["By the ", Died("The engine stopped (out of memory).")], ["sea."])
    async with chat(engine, size=SMALL) as running:
        await running.say("Where to?")
        shown = " ".join(running.shown().split())
        assert "By the" in shown
        assert "The engine stopped (out of memory). The conversation is safe" in shown
        assert "× engine stopped" in shown
        await running.say("Go on.")
        assert "sea." in running.shown()
        assert len(engine.requests[1].messages) == 3


async def test_what_has_no_answer_comes_back_in_the_order_in_which_it_was_said() -> None:
    engine = FakeEngine([HOLD, Died("The engine has ended.")])
    async with chat(engine) as running:
        for text in ("first", "second", "third"):
            await running.say(text)
        engine.go_on()
        await running.settle()
        assert running.prompt.text == "first\nsecond\nthird"


async def test_a_message_that_is_refused_comes_back_with_the_reason() -> None:
    engine = FakeEngine([Failed("the message is too long; shorten it.", UsageError.exit_code, 1)])
    async with chat(engine) as running:
        await running.say("long")
        assert running.prompt.text == "long"
        assert "! The message is too long; shorten it." in running.shown()


async def test_notices_are_shown_between_the_turns() -> None:
    engine = FakeEngine([Notice("the oldest 2 messages are left out from here on."), "A."])
    async with chat(engine, notices=["a preset of yours is not usable"]) as running:
        assert "· A preset of yours is not usable." in running.shown()
        await running.say("Hi")
        assert "· The oldest 2 messages are left out from here on." in running.shown()


async def test_a_death_before_the_first_word_leaves_an_empty_chat_that_can_be_read() -> None:
    engine = FakeEngine([HOLD, Died("The engine stopped (out of memory).")])
    async with chat(engine, size=SMALL) as running:
        await running.say("Where to?")
        engine.go_on()
        await running.settle()
        assert running.prompt.text == "Where to?"
        assert "The engine stopped" in running.shown()
        assert "more below" not in running.shown()
        await running.press("enter")
        assert "Take the coast path." in running.shown()


# -- sizes ----------------------------------------------------------------------------------------


async def test_nothing_is_lost_when_the_terminal_changes_its_size() -> None:
    engine = FakeEngine(["A reply of some words, ", "with more to come", HOLD, " at last."])
    async with chat(engine, size=LARGE) as running:
        await running.say("Where to?")
        running.prompt.insert("draft")
        for size in [SMALL, (200, 60), (40, 10), (20, 5), LARGE]:
            await running.resize(*size)
        engine.go_on()
        await running.settle()
        assert "A reply of some words, with more to come at last." in running.shown()
        assert running.prompt.text == "draft"


async def test_a_wide_terminal_shows_the_words_of_the_preset_beside_the_chat() -> None:
    words = "Your answer should be concise"
    async with chat(FakeEngine(), size=(200, 60)) as running:
        assert words in running.shown()
        await running.resize(*LARGE)
        assert words not in running.shown()


async def test_what_the_dial_does_is_said_once_in_two_lines() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        rows = running.shown().split("\n")
        row = next(number for number, line in enumerate(rows) if "The dial: " in line)
        assert rows[row].strip() == "The dial: at 0 the preset is ignored, at 1 it is"
        assert rows[row + 1].strip() == "just a request; from 3 up it shapes every word."
        await running.say("Where to?")
        await running.press("ctrl+n")
        assert "Your preference is a dial" in running.shown()
        assert "The dial: " not in running.shown()
    async with chat(FakeEngine(), size=SMALL) as running:
        assert "Your preference is a dial" in running.shown()
        assert "The dial: " not in running.shown()
