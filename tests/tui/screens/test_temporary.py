"""Temporary chats: marked on the screen, used like any other, and in no file at any time."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.chats.history import History, history_file
from tests.checks import some
from tests.fake_engine import FakeEngine
from tests.tui.running import LARGE, SMALL, Running, chat

WORD = "zyxwvmarkqtoken"


def telling(home: Path) -> list[str]:
    files = some(path for path in home.rglob("*") if path.is_file())
    return [path.name for path in files if WORD[3:].encode() in path.read_bytes().lower()]


async def talk(running: Running) -> None:
    """Everything that leaves traces in an ordinary chat."""
    await running.say(f"What of {WORD}?")
    await running.say(f"/rename About {WORD}")
    await running.say("/again")
    await running.press("ctrl+up", "e")
    running.prompt.insert(f" edited {WORD}")
    await running.press("enter")
    running.prompt.insert(f"draft {WORD}")
    running.screen.poll()
    await running.settle()


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_temporary_chat_is_marked_and_in_no_file(size: tuple[int, int], home: Path) -> None:
    engine = FakeEngine()
    async with chat(engine, size=size) as running:
        await running.say("An ordinary question")
        assert "temporary" not in running.shown().lower()
        await running.say("/temporary")
        assert running.session.temporary
        assert "temporary" in running.shown().lower()
        await talk(running)
        assert len(running.said) >= 2
        assert {(each.chat, each.learns) for each in engine.requests[1:]} == {("", False)}
        assert engine.requests[0].learns
        assert telling(home) == []
        await running.press("ctrl+n")
        assert running.session.temporary
        running.prompt.text = ""
        await running.say("/temporary")
        assert not running.session.temporary
        assert "temporary" not in running.shown().lower()
        assert not any(WORD in text for text in some(running.prompt.inputs))
        assert telling(home) == []
    assert telling(home) == []
    with History(history_file()) as store:
        assert [each.title for each in store.chats()] == ["An ordinary question"]


async def test_the_app_can_begin_with_a_temporary_chat(home: Path) -> None:
    async with chat(FakeEngine(), temporary=True) as running:
        assert "Temporary" in running.shown()
        await talk(running)
    assert telling(home) == []


async def test_what_comes_of_a_temporary_chat_is_temporary_too(home: Path, here: Path) -> None:
    async with chat(FakeEngine(), temporary=True) as running:
        await running.say(f"What of {WORD}?")
        await running.press("ctrl+up", "f")
        assert running.session.temporary
        assert running.session.chat.title.startswith("Fork: ")
        await running.say("/export out.json")
        await running.until("Exported")
        assert WORD in (here / "out.json").read_text("utf-8")
    assert telling(home) == []


async def test_from_a_temporary_chat_one_gets_to_stored_ones_and_not_back(home: Path) -> None:
    async with chat(FakeEngine()) as running:
        await running.say("An ordinary question")
        await running.say("/temporary")
        await running.say(f"What of {WORD}?")
        await running.press("ctrl+b")
        assert running.said[0] == "An ordinary question"
        assert not running.session.temporary
        await running.press("ctrl+b")
        assert running.said[0] == "An ordinary question"
