"""Chats exported to files, and imported from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from amulet_local.chats.chat import Chat
from amulet_local.chats.export import to_json, to_markdown
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, chat
from tests.tui.screens.chats_screen import (
    answered,
    elsewhere,
    fill_in,
    is_open,
    keep,
    text,
    two_branches,
)
from tui.screens.chat import ChatScreen
from tui.screens.line_form import LineForm


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the app is started."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def exported(name: str, write: Any) -> str:
    with elsewhere() as history:
        return str(write(Chat(history, name)))


async def test_a_chat_is_exported_to_a_file_named_by_its_title(here: Path) -> None:
    name = keep("Where to?", "To Wales.", title="Ferien: wohin?")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "e")
        assert running.app.screen.query_one(Input).value == "Ferien-wohin.md"
        await running.press("enter")
        await answered(running)
        file = here / "Ferien-wohin.md"
        assert file.read_text("utf-8") == exported(name, to_markdown)
        assert running.notified[-1] == f"Written: {file}"
        await running.press("e")
        await fill_in(running, str(here / "chat.json"))
        assert (here / "chat.json").read_text() == exported(name, to_json)
        assert is_open(running)


async def test_nothing_is_written_over_without_asking(here: Path) -> None:
    name = keep("Where to?", "To Wales.")
    (here / "a.md").write_text("mine")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        await fill_in(running, "a.md")
        assert "is there already" in text(running)
        assert (here / "a.md").read_text() == "mine"
        await fill_in(running, "b.md")
        assert (here / "b.md").exists()
        await running.press("e")
        await fill_in(running, "a.md")
        await running.press("escape", "e")
        await fill_in(running, "a.md")
        assert (here / "a.md").read_text() == "mine"
        await fill_in(running, "a.md")
        assert (here / "a.md").read_text("utf-8") == exported(name, to_markdown)


async def test_a_file_that_cannot_be_written_leaves_the_path_to_be_mended(here: Path) -> None:
    keep("Where to?", "To Wales.")
    (here / "folder").mkdir()
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        await fill_in(running, "no/such/folder.md")
        assert "cannot be written" in text(running)
        await fill_in(running, "~nobody-here/chat.md")
        assert "nobody's home folder" in running.shown()
        await fill_in(running, "folder")
        assert (here / "folder" / "Where-to.md").exists()


async def test_the_open_chat_is_exported_by_command(here: Path) -> None:
    engine = FakeEngine(["One."], ["Two", HOLD])
    async with chat(engine) as running:
        await running.say("/export")
        assert "nothing to export yet" in running.notified[-1]
        await running.say("Mine")
        await running.say("/export mine.json")
        await answered(running)
        assert json.loads((here / "mine.json").read_text())["title"] == "Mine"
        assert running.notified[-1] == f"Written: {here / 'mine.json'}"
        assert isinstance(running.app.screen, ChatScreen)
        await running.say("/export mine.json")
        await answered(running)
        assert "is there already" in text(running)
        await running.press("escape")
        await running.say("/export")
        assert running.app.screen.query_one(Input).value == "Mine.md"


async def test_a_chat_that_is_gone_cannot_be_exported(here: Path) -> None:
    name = keep("Where to?", "To Wales.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        with elsewhere() as history:
            history.remove(name)
        await fill_in(running, "a.md")
        assert "removed meanwhile" in running.shown()
        assert not (here / "a.md").exists()


async def test_a_chat_is_imported_with_nothing_lost_and_opened(here: Path) -> None:
    name, _ = two_branches()
    text = exported(name, to_json)
    (here / "chat.json").write_text(text)
    with elsewhere() as history:
        history.destroy(name)
    keep("Newer")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "i")
        running.app.screen.query_one(Input).value = "ch"
        await running.settle()
        await running.press("tab")
        assert running.app.screen.query_one(Input).value == "chat.json"
        await running.press("enter")
        await answered(running)
        assert running.session.chat.id == name
        assert running.said == ["Where to?", "Stay at home."]
        assert running.notified[-1] == "Imported: Where to?"
        assert exported(name, to_json) == text
        await running.say("/import chat.json")
        await answered(running)
        assert running.session.chat.id != name, "beside the one that is there"
        assert running.said == ["Where to?", "Stay at home."]


async def test_a_file_that_cannot_be_imported_leaves_the_path_to_be_mended(here: Path) -> None:
    (here / "bad.json").write_text('{"format": "amulet-chat"')
    (here / "other.json").write_text('{"format": "another"}')
    async with chat(FakeEngine()) as running:
        await running.say("/import nowhere.json")
        await answered(running)
        assert "cannot be read" in text(running)
        for name in ("bad.json", "other.json"):
            await fill_in(running, name)
            assert "is no chat to import" in text(running)
        await fill_in(running, ".")
        assert "cannot be read" in text(running)
        await running.press("escape")
        await running.say("/import")
        assert isinstance(running.app.screen, LineForm)
        await running.press("escape")
        assert running.prompt.has_focus
        assert running.said == []
