"""Both themes can be read: every text stands out from its ground as WCAG 2.2 asks (4.5 to 1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App
from textual.color import Color
from textual.theme import Theme

from tests.checks import some
from tui.heatmap.colours import legend, ramp
from tui.heatmap.contrast import READABLE, contrast
from tui.themes import OWN

BOTH = pytest.mark.parametrize("theme", OWN, ids=[theme.name for theme in OWN])
QUIET, AT_HAND = 0.68, 0.18  # in tui/styles/app.tcss: of the foreground, of the accent


def colours(theme: Theme) -> dict[str, Color]:
    made = theme.to_color_system().generate()
    names = ("foreground", "background", "surface", "accent", "primary", "text-warning")
    return {name: Color.parse(made[name]) for name in names}


def on(ground: Color, colour: Color, share: float) -> Color:
    """What a share of a colour looks like on a ground."""
    return ground.blend(colour, share)


def test_the_ratio_is_the_one_that_others_measure() -> None:
    black, white = Color.parse("#000"), Color.parse("#fff")
    assert contrast(black, white) == contrast(white, black) == pytest.approx(21)
    assert contrast(white, white) == 1
    assert contrast(white, Color.parse("#767676")) == pytest.approx(4.54, abs=0.01)
    assert contrast(white, Color.parse("#777777")) == pytest.approx(4.48, abs=0.01)


@BOTH
def test_text_and_quiet_text_can_be_read_on_every_ground(theme: Theme) -> None:
    its = colours(theme)
    text, back, raised = its["foreground"], its["background"], its["surface"]
    for ground in (
        back,
        raised,
        on(back, its["accent"], AT_HAND),
        on(raised, its["accent"], AT_HAND),
    ):
        assert contrast(text, ground) >= 7
        assert contrast(on(ground, text, QUIET), ground) >= READABLE


@BOTH
def test_what_the_user_sets_and_what_warns_can_be_read(theme: Theme) -> None:
    its = colours(theme)
    for ground in (its["background"], its["surface"]):  # the dial's, at rest and with the keys
        for name in ("accent", "text-warning"):
            assert contrast(its[name], ground) >= READABLE


@BOTH
@pytest.mark.parametrize("coloured", [True, False])
def test_letters_can_be_read_on_every_tint_of_the_heat_view(theme: Theme, coloured: bool) -> None:
    variables = App().get_css_variables() | theme.to_color_system().generate()
    for text, style in some(legend(ramp(variables, coloured=coloured))):
        assert style.color
        assert style.bgcolor
        letters, tint = map(Color.from_rich_color, (style.color, style.bgcolor))
        assert contrast(letters, tint) >= READABLE, text


def test_the_shares_are_those_of_the_style_sheet() -> None:
    sheet = (Path(__file__).parents[2] / "tui" / "styles" / "app.tcss").read_text("utf-8")
    assert f"$quiet: $foreground {QUIET:.0%};" in sheet
    assert f"$at_hand: $accent {AT_HAND:.0%};" in sheet
