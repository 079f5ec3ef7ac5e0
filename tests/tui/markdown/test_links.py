"""Links open, but only web pages and mail, and only where the address is seen."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.checks import some
from tests.fake_engine import FakeEngine
from tests.tui.running import SMALL, Running, chat
from tui.markdown.parsing import blocks, links
from tui.screens.link_picker import LinkPicker
from tui.system.links import open_address, openable

TEXT = (
    "See [the path](https://example.org/path),\nhttps://example.org/map. or\n"
    "[write](mailto:inn@example.org);\nnot [this](file:///etc/passwd),\n[this](vscode://run),\n"
    "[this](javascript:alert(1)) or\n[bank](https://bank.example@elsewhere.example/)."
)
MAY = ["https://example.org/path", "https://example.org/map", "mailto:inn@example.org"]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that writes down what it is to open."""
    script, log = tmp_path / "browser", tmp_path / "opened"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))
    return log


@pytest.mark.parametrize("address", [*MAY, "HTTP://EXAMPLE.org", "https://[::1]:8080/x?a=b#c"])
def test_web_pages_and_mail_may_be_opened(address: str) -> None:
    assert openable(address)


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "vscode://run",
        "ftp://example.org",
        "//example.org",
        "/etc/passwd",
        "--help",
        "https:///path",
        "https://bank.example@elsewhere.example/",
        "https://example.org/ a",
        "https://example.org\\@elsewhere.example",
        "https://example.org/\x1b[2J",
        "https://exаmple.org",  # with a Cyrillic letter
        "https://[::1",
        "mailto:",
        "https://example.org/" + "a" * 2000,
        "",
    ],
)
def test_nothing_else_may(address: str, opened: Path) -> None:
    assert not openable(address)
    assert not open_address(address)
    assert not opened.exists()


def test_the_links_of_a_text_are_those_that_may_be_opened() -> None:
    assert [link.address for link in links(TEXT)] == MAY
    assert links("`https://example.org`\n\n```\nhttps://example.org\n```") == []
    assert [it.address for it in links("| a |\n|---|\n| <https://a.example> |")] == [
        "https://a.example"
    ]


def test_an_address_is_seen_unless_the_text_is_it() -> None:
    assert blocks("[a](https://b.example)")[0].styled.text == "a (https://b.example)"
    text = "https://a.example/K%C3%BCste and https://a.example/Küste"
    assert blocks(text)[0].styled.text == text.replace("K%C3%BC", "Kü")
    looks_alike = blocks("<https://exаmple.org>")[0].styled.text
    assert "(https://xn--" in looks_alike
    assert blocks("[https://good.example](https://bad.example)")[0].styled.text.endswith(
        "(https://bad.example)"
    )


def test_the_system_opens_it_without_the_terminal(opened: Path) -> None:
    assert open_address(MAY[0])
    assert opened.read_text() == f"{MAY[0]}\n"


def test_a_browser_may_say_where_the_address_goes(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", f"'unclosed:nowhere %s:{os.environ['BROWSER']} --new=%s")
    assert open_address(MAY[0])
    assert opened.read_text() == f"--new={MAY[0]}\n"


def test_without_a_browser_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert not open_address(MAY[0])
    monkeypatch.setenv("BROWSER", "false")
    assert not open_address(MAY[0])


# -- on the screen --------------------------------------------------------------------------------


async def click(running: Running, text: str) -> None:
    running.transcript.scroll_home(animate=False)
    await running.settle()
    if text not in running.shown():
        await running.press("ctrl+end")
    rows = running.shown().split("\n")
    row = next(number for number, line in enumerate(rows) if text in line)
    await running.pilot.click(offset=(rows[row].index(text) + 1, row))
    await running.workers_done()
    await running.settle()


async def test_a_click_opens_what_it_points_at_and_says_so(opened: Path) -> None:
    async with chat(FakeEngine([TEXT]), size=SMALL) as running:
        await running.say("Where to?")
        await click(running, "the path")
        assert opened.read_text() == f"{MAY[0]}\n"
        assert running.notified[-1] == f"Opening {MAY[0]}"
        await click(running, "/map")
        assert opened.read_text().split() == MAY[:2]
        for text in ("bank (", "this (vscode"):
            await click(running, text)
        assert opened.read_text().split() == MAY[:2]


async def test_keys_choose_among_the_links_and_see_where_they_lead(opened: Path) -> None:
    async with chat(FakeEngine([TEXT], ["None."]), size=SMALL) as running:
        await running.say("Where to?")
        await running.press("ctrl+up", "o")
        assert isinstance(running.app.screen, LinkPicker)
        for address in some(MAY):
            assert address in running.shown()
        assert "vscode" not in running.shown()
        await running.press("down", "down", "enter")
        await running.workers_done()
        assert opened.read_text() == f"{MAY[2]}\n"
        await running.press("o", "m", "a", "p", "enter")
        await running.workers_done()
        assert opened.read_text().split() == [MAY[2], MAY[1]]
        await running.press("o", "z", "z")
        assert "No matches" in running.shown()
        await running.press("enter", "escape", "escape")
        await running.say("And?")
        await running.say("/open")
        assert "no link in this message that can be opened" in running.notified[-1]


async def test_where_no_browser_is_the_address_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "false")
    async with chat(FakeEngine([TEXT])) as running:
        await running.say("Where to?")
        await click(running, "the path")
        for _ in range(50):
            await running.settle()
            if running.app.clipboard:
                break
            await asyncio.sleep(0.02)
        assert running.app.clipboard == MAY[0]
        assert "No browser is available" in running.notified[-1]


async def test_what_may_not_be_opened_never_is(opened: Path) -> None:
    async with chat(FakeEngine()) as running:
        running.app.action_open_address("file:///etc/passwd")
        await running.workers_done()
        await running.settle()
        assert "not file:///etc/passwd" in running.notified[-1]
        assert not opened.exists()
