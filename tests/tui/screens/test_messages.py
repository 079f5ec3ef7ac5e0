"""What can be done with messages: answer again, edit, continue, walk, delete, copy, fork."""

from __future__ import annotations

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.protocol.message import Message
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, chat
from tui.screens import chat_actions, writing
from tui.widgets.message import MessageView


async def test_a_reply_is_written_anew_and_the_versions_can_be_walked() -> None:
    async with chat(FakeEngine(["One."], ["Two."]), size=SMALL) as running:
        await running.say("Where to?")
        await running.press("ctrl+r")
        assert "Two." in running.shown()
        assert "‹ 2/2 ›" in running.shown()
        await running.press("ctrl+up", "left")
        assert "One." in running.shown()
        assert "‹ 1/2 ›" in running.shown()
        await running.press("h", "l")
        assert "Two." in running.shown()
        await running.press("u")
        assert "One." in running.shown()


async def test_a_click_on_the_arrow_walks_too() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("Where to?")
        await running.press("ctrl+r")
        rows = running.shown().split("\n")
        row = next(number for number, text in enumerate(rows) if "‹ 2/2 ›" in text)
        await running.pilot.click(offset=(rows[row].index("‹"), row))
        await running.settle()
        assert "One." in running.shown()


async def test_a_question_is_edited_in_the_prompt_and_answered() -> None:
    engine = FakeEngine(["One."], ["Two."])
    async with chat(engine, size=SMALL) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "k", "e")
        assert running.prompt.text == "Where to?"
        assert "editing your message" in running.shown()
        await running.press("!", "enter")
        assert running.said == ["Where to?!", "Two."]
        assert "editing" not in running.shown()
        assert "‹ 2/2 ›" in running.shown()


async def test_an_edit_can_be_left_and_what_was_being_written_is_back() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Where to?")
        running.prompt.insert("a draft")
        writing.save_draft(running.screen)
        await running.press("ctrl+up", "k", "e")
        assert running.prompt.text == "Where to?"
        await running.press("escape")
        assert running.prompt.text == "a draft"
        assert running.said == ["Where to?", "One."]


async def test_what_was_being_written_is_back_once_an_edit_is_sent() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("Where to?")
        await running.press(*"half", "ctrl+up", "k", "e", "!")
        writing.save_draft(running.screen)
        assert running.session.chat.draft == "half"
        await running.press("enter")
        assert running.said == ["Where to?!", "Two."]
        assert running.prompt.text == "half"


async def test_a_key_that_edits_takes_nothing_that_was_typed_right_before_it() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Where to?")
        await running.press(*"half", "ctrl+up", "k", "e", "!", "ctrl+up", "e")
        assert running.prompt.text == "One."
        await running.press("escape")
        assert running.prompt.text == "half"


async def test_an_edit_that_cannot_be_sent_now_stays_one() -> None:
    engine = FakeEngine(["One."], ["Two. ", HOLD], ["Three."])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "k", "e")
        running.prompt.write("/again")
        await running.press("enter")
        running.prompt.write("Where from?")
        await running.press("enter")
        assert "A reply is being written; stop it first." in running.shown()
        assert running.prompt.text == "Where from?"
        engine.go_on()
        await running.settle()
        await running.press("enter")
        assert running.said == ["Where from?", "Three."]


async def test_what_was_made_of_a_deleted_message_is_a_message_of_its_own() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "k", "e", "!", "ctrl+up", "k", "d")
        assert "editing" not in running.shown()
        writing.read_ahead(running.screen)
        running.screen.set_focus(running.prompt)
        await running.press("enter")
        assert running.said == ["Where to?!", "Two."]


async def test_an_edited_reply_stands_beside_the_old_and_is_continued() -> None:
    engine = FakeEngine(["By the road."], [" and back."])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "e")
        assert "editing the reply" in running.shown()
        running.prompt.text = "By the sea"
        await running.press("enter")
        assert running.said == ["Where to?", "By the sea"]
        assert "written by you" in running.shown()
        await running.press("ctrl+up", "c")
        assert running.said == ["Where to?", "By the sea and back."]
        assert engine.requests[1].begun == Message("assistant", "By the sea")


async def test_a_message_is_deleted_with_all_that_follows_and_brought_back() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("a?")
        await running.say("b?")
        await running.press("ctrl+up", "k", "d")
        assert running.said == ["a?", "One."]
        assert "Deleted; undo restores it." in running.shown()
        await running.press("u")
        assert running.said == ["a?", "One.", "b?", "Two."]


async def test_a_fork_is_a_chat_of_its_own() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("a?")
        await running.say("b?")
        first = running.session.chat.id
        await running.press("ctrl+up", "k", "k", "f")
        assert running.said == ["a?", "One."]
        assert running.session.chat.id != first
        assert "Fork: a?" in running.shown()


async def test_a_reply_that_is_being_written_is_neither_deleted_nor_forked() -> None:
    engine = FakeEngine(["One. ", HOLD, "Two."])
    async with chat(engine) as running:
        await running.say("a?")
        await running.press("ctrl+up", "d")
        assert "A reply is being written; stop it first." in running.shown()
        assert running.notified == []
        chat_id = running.session.chat.id
        await running.press("f")
        assert running.notified == ["A reply is being written; stop it first."]
        assert running.session.chat.id == chat_id
        engine.go_on()
        await running.settle()
        await running.press("f")
        assert running.said == ["a?", "One. Two."]
        assert running.session.chat.id != chat_id


async def test_messages_and_code_are_copied() -> None:
    text = "See:\n\n```py\na = 1\n```\n\nor\n\n```\nb\n```\n"
    async with chat(FakeEngine([text])) as running:
        await running.say("/copy")
        assert "There is no reply yet." in running.shown()
        await running.say("Code?")
        await running.say("/copy")
        assert running.app.clipboard == text
        for code, told in (("a = 1\n", "1 of 2"), ("b\n", "2 of 2"), ("a = 1\n", "1 of 2")):
            await running.say("/copy-code")
            assert running.app.clipboard == code
            assert f"Copied code block {told}." in running.shown()
        await running.press("ctrl+up", "k", "y")
        assert running.app.clipboard == "Code?"


async def test_the_selection_moves_and_leaves_past_the_last() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("a?")
        await running.say("b?")
        await running.press("ctrl+up")
        selected = running.transcript.selected
        assert selected
        assert selected.message.text == "Two."
        for keys, text in (("k", "b?"), ("g", "a?"), ("up", "a?"), ("down", "One."), ("G", "Two.")):
            await running.press(keys)
            selected = running.transcript.selected
            assert selected
            assert selected.message.text == text
        await running.press("j")
        assert running.prompt.has_focus
        assert running.transcript.selected is None


async def test_while_a_reply_is_written_nothing_is_changed_and_that_is_said() -> None:
    async with chat(FakeEngine(["One", HOLD])) as running:
        await running.say("a?")
        for keys in (("ctrl+r",), ("ctrl+up", "d"), ("ctrl+up", "ctrl+up", "e")):
            await running.press(*keys)
            assert "A reply is being written; stop it first." in running.shown()
        assert running.said[0] == "a?"


async def test_a_long_question_is_folded_and_says_so() -> None:
    lines = "\n".join(f"line {number}" for number in range(60))
    async with chat(FakeEngine(["Long."])) as running:
        await running.say(lines)
        assert "46 more lines; press space to show them" in running.shown()
        assert "line 50" not in running.shown()
        await running.press("ctrl+up", "k", "space")
        assert "more lines" not in running.shown()


async def test_a_question_of_one_long_line_is_folded_also_while_it_waits() -> None:
    engine = FakeEngine(["Once ", HOLD, "upon a time."], ["Yes."])
    async with chat(engine) as running:
        await running.say("Tell me a story.")
        await running.say("long " * 2_000 + "THE-END")
        assert "… 6,007 more characters" in running.shown()
        assert "THE-END" not in running.shown()
        engine.go_on()
        await running.settle()
        assert "6,007 more characters; press space to show them" in running.words()
        await running.press("shift+tab", "up", "space")
        await running.settle()
        await running.press("down")
        assert "THE-END" in running.shown()


async def test_of_a_long_chat_the_newest_messages_are_held_and_more_where_one_goes() -> None:
    async with chat(FakeEngine()) as running:
        nodes: list[Node] = []
        for number in range(45):
            for role in ("user", "assistant"):
                parent = nodes[-1].id if nodes else None
                message = Message(role, f"{role} {number}")
                nodes.append(Node(new_id(), parent, message))
        name = new_chat_id()
        running.session.history.add_chat(name, "Long", Conversation(nodes), 1.0)
        chat_actions.open_chat(running.screen, name)
        await running.settle()
        held = len(running.transcript.query(MessageView))
        assert held < 45
        assert "assistant 44" in running.shown()
        running.transcript.focus()
        await running.settle()
        await running.press(*(["up"] * held))
        assert len(running.transcript.query(MessageView)) > held
        await running.press("g")
        assert "user 0" in running.shown()
        assert len(running.transcript.query(MessageView)) == 90
        await running.press("escape")
        await running.say("And now?")
        assert "And now?" in running.shown()
        assert len(running.transcript.query(MessageView)) < 45
