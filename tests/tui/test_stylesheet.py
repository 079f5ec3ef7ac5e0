"""What is parsed is parsed once, by any app, and looks the same."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.css.model import RuleSet
from textual.css.stylesheet import StylesheetParseError

from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tui.stylesheet import ParsedOnce
from tui.themes import DARK, LIGHT

INK = ("a.tcss", "")


def sheet(ink: str, css: str = "Label { color: $ink; }") -> ParsedOnce:
    made = ParsedOnce(variables={"ink": ink})
    made.add_source(css, INK)
    return made


def colours(of: ParsedOnce) -> list[Color]:
    return [rule.styles.color for rule in of.rules]


def test_another_stylesheet_has_the_very_rules_that_were_parsed() -> None:
    assert sheet("red").rules[0] is sheet("red").rules[0]


def test_another_theme_is_parsed_for_its_own_colours_and_the_first_is_still_there() -> None:
    changing = sheet("red")
    (red,) = changing.rules
    changing.set_variables({"ink": "blue"})
    changing.reparse()
    assert colours(changing) == [Color.parse("blue")]
    changing.set_variables({"ink": "red"})
    changing.reparse()
    assert changing.rules == [red]
    assert colours(changing) == [Color.parse("red")]


def test_the_same_source_with_other_words_is_parsed_anew() -> None:
    changing = sheet("red")
    assert colours(changing) == [Color.parse("red")]
    changing.add_source("Label { color: green; }", INK)
    assert colours(changing) == [Color.parse("green")]


def test_what_cannot_be_parsed_leaves_the_rules_as_they_were() -> None:
    changing = sheet("red")
    before = changing.rules
    changing.add_source("Label { color: nothing; }", ("b.tcss", ""))
    with pytest.raises(StylesheetParseError):
        changing.reparse()
    assert changing.rules == before


async def test_a_second_app_parses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for theme in (LIGHT, DARK):
        async with chat(FakeEngine(), theme=theme.name):
            pass

    def parse(*css: object, **_: object) -> list[RuleSet]:
        raise AssertionError(f"{css} is parsed")

    monkeypatch.setattr("textual.css.stylesheet.parse", parse)
    async with chat(FakeEngine(), theme=DARK.name) as running:
        running.app.theme = LIGHT.name
        await running.settle()
        assert running.app.current_theme.name == LIGHT.name
