"""Nothing that a terminal obeys is drawn, copied or stands in a field, wherever it came from."""

from __future__ import annotations

import ast
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.widgets import Static

import tui
from tests.checks import some
from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tui.gate import Gate
from tui.widgets.fields import Area, Line

BLACK = Color(0, 0, 0)
BAD = "a\x1b]52;c;aGk=\x07b\x9b31mc\u202ed\u200ee\U000e0041f\x00g"
GOOD = "a]52;c;aGk=b31mcdefg"
FIELDS = Path(tui.__file__).parent / "widgets" / "fields.py"


def through(*segments: Segment) -> list[Segment]:
    return Gate().apply(list(segments), BLACK)


@given(st.text(st.characters()))
def test_what_passes_is_as_wide_and_nothing_in_it_is_obeyed(text: str) -> None:
    passed = "".join(segment.text for segment in through(Segment(text)))
    assert cell_len(passed) >= cell_len(text)
    assert not [each for each in passed if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]


def test_a_line_read_from_right_to_left_is_set_apart_from_its_neighbours() -> None:
    passed = through(Segment("Title: "), Segment("שלום"))
    assert [segment.text for segment in passed] == ["\u2066", "Title: ", "שלום", "\u2069"]


def test_styles_stay_but_for_links_that_the_terminal_would_open() -> None:
    bold = Style(bold=True)
    assert through(Segment("hi", bold)) == [Segment("hi", bold)]
    (linked,) = through(Segment("hi", Style(bold=True, link="file:///etc/passwd")))
    assert linked.style is not None
    assert (linked.style.bold, linked.style.link) == (True, None)


async def test_what_a_widget_forgot_is_drawn_safe() -> None:
    async with chat(FakeEngine()) as running:
        await running.screen.mount(Static(BAD, markup=False))
        await running.settle()
        assert GOOD in running.shown()


@pytest.mark.parametrize("text", [BAD, "caf\udce9"])
async def test_what_is_copied_is_safe(text: str) -> None:
    async with chat(FakeEngine()) as running:
        running.app.copy_to_clipboard(text)
        assert running.app.clipboard in (GOOD, "caf\\xe9")


async def test_what_comes_into_the_prompt_is_safe_whichever_way() -> None:
    async with chat(FakeEngine()) as running:
        prompt = running.prompt
        prompt.inputs.append(BAD)
        await running.press("up")
        assert prompt.text == GOOD
        prompt.text = BAD
        assert prompt.text == GOOD
        prompt.clear()
        prompt.insert(BAD)
        assert prompt.text == GOOD
        prompt.give_back(BAD)
        assert prompt.text == f"{GOOD}\n{GOOD}"


async def test_a_stored_draft_is_safe() -> None:
    async with chat(FakeEngine(["Yes."])) as running:
        running.session.chat.draft = BAD
    async with chat(FakeEngine()) as running:
        assert running.prompt.text == GOOD


async def test_a_question_and_a_reply_are_edited_safe() -> None:
    async with chat(FakeEngine([BAD])) as running:
        running.screen.show(running.session.ask(f"{BAD}?"))
        await running.settle()
        assert running.said == [f"{BAD}?", BAD]
        await running.press("ctrl+up", "e")
        assert running.prompt.text == GOOD
        await running.press("escape", "ctrl+up", "up", "e")
        assert running.prompt.text == f"{GOOD}?"


async def test_what_comes_into_a_line_is_safe() -> None:
    async with chat(FakeEngine()) as running:
        line, area = Line(f"{BAD}\nh"), Area(BAD)
        await running.screen.mount(line, area)
        assert (line.value, area.text) == (f"{GOOD} h", GOOD)
        line.value, area.text = BAD, f"{BAD}\nh"
        assert (line.value, area.text) == (GOOD, f"{GOOD}\nh")


def test_every_field_is_one_of_those() -> None:
    sources = some(path for path in Path(tui.__file__).parent.rglob("*.py") if path != FIELDS)
    calls = some(
        ast.unparse(node.func)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    )
    assert {"Line", "Area"} <= set(calls)
    assert not {"Input", "TextArea", "MaskedInput"} & set(calls)
