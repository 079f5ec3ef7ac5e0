"""What is typed is read at a pause, and what has waited for a reply once that has ended."""

from __future__ import annotations

import asyncio

import pytest

from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import chat
from tui.widgets import prompt


async def test_a_pause_in_the_typing_has_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "PAUSE_S", 0.01)
    engine = FakeEngine(["By the sea.", HOLD], ["A."])
    async with chat(engine) as running:
        running.prompt.insert("Where to g")
        await asyncio.sleep(0.1)
        await running.settle()
        assert [said.text for said, _ in engine.read] == ["Where to"]
        await running.press("enter")
        running.prompt.insert("And the ferry ")
        await asyncio.sleep(0.1)
        await running.settle()
        assert len(engine.read) == 1  # a reply is being written
        engine.go_on()
        await running.settle()
        assert [said.text for said, _ in engine.read[1:]] == ["And the ferry"]
        running.prompt.text = "/model other "
        await asyncio.sleep(0.1)
        await running.settle()
        assert len(engine.read) == 2
