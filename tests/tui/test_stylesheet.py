"""What is parsed or matched once, by any app, looks the same."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet, StylesheetParseError
from textual.dom import DOMNode
from textual.widgets import OptionList

from tests.checks import some
from tests.fake_engine import FakeEngine, Measured
from tests.tui.running import SMALL, Running, chat
from tui.stylesheet import Match, ParsedOnce
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


async def test_a_second_app_matches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chat(FakeEngine()):
        pass

    def match(_: Stylesheet, node: DOMNode, **__: object) -> None:
        raise AssertionError(f"{node} is matched")

    monkeypatch.setattr(Stylesheet, "apply", match)
    monkeypatch.setattr(Stylesheet, "_process_component_classes", match)
    async with chat(FakeEngine()):
        pass


def styles_of(node: DOMNode) -> dict[str, object]:
    """What a node has from the stylesheet, and its component classes have."""
    styles = node._component_styles
    parts = {name: styles[name].base.get_rules() for name in node._get_component_classes()}
    return {"": node.styles.base.get_rules(), **parts}


def differing(running: Running) -> list[str]:
    """The nodes that look other than by Textual's own stylesheet, which matches each anew."""
    plain = Stylesheet(variables=running.app.get_css_variables())
    for place, source in running.app.stylesheet.source.items():
        plain.add_source(
            source.content, place, source.is_defaults, source.tie_breaker, source.scope
        )
    found = []
    for screen in some(running.app.screen_stack):
        for node in some([*screen.walk_children(with_self=True)]):
            before = styles_of(node)
            plain.apply(node)
            if styles_of(node) != before:
                found.append(str(node))
    return found


async def test_every_widget_looks_as_if_it_were_matched_anew() -> None:
    """Whatever it has become: focused, of another size, in another theme, disabled, hovered."""
    steps = ["ctrl+t", "ctrl+t", "ctrl+f", "tab", "escape", "ctrl+p", "down", "escape", "ctrl+o"]
    async with chat(FakeEngine(["Yes.", Measured(" a", 0.3)])) as running:
        await running.say("Hello?")
        for key in some(steps):
            await running.press(key)
            assert (key, differing(running)) == (key, [])
        await running.press("escape")
        await running.resize(*SMALL)
        assert differing(running) == []
        running.app.theme = LIGHT.name
        running.dial.disabled = True
        running.prompt.mouse_hover = True
        await running.settle()
        assert differing(running) == []
        await running.press("ctrl+l")
        assert running.app.screen.query(OptionList)
        assert differing(running) == []


async def test_what_looks_the_same_is_kept_once() -> None:
    async with chat(FakeEngine(["Yes."])) as running:
        await running.say("Hello?")
        await running.press("ctrl+t", "ctrl+t", "ctrl+p", "escape")
        sheet = running.app.stylesheet
        assert isinstance(sheet, ParsedOnce)
        known = [*sheet._known.values()]
        looks: list[Match] = []
        for match in some(known):
            if match not in looks:
                looks.append(match)
        assert len({id(match) for match in known}) == len(looks) < len(known)


async def test_all_notifications_are_matched_as_one() -> None:
    """Each has an id of its own, for which no rule asks."""
    counts = []
    async with chat(FakeEngine()) as running:
        sheet = running.app.stylesheet
        assert isinstance(sheet, ParsedOnce)
        for number in range(6):
            running.app.notify(f"Number {number}.")
            await running.until(f"Number {number}.")
            counts.append(len(sheet._known))
    assert len(set(counts[2:])) == 1, counts
