"""From how far a token was moved to how warm it looks: levels, and the colours of a theme for them.

Levels are steps of 1, 2, 5 in nats, so that they mean the same in every reply. Colours go from the
theme's background through its secondary colour to its accent, with equal steps of lightness in
CIE L*a*b*; the letters on them are whichever of foreground and background stands out more, or of
white and black, where neither can be read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import partial

from rich.style import Style
from textual.color import Color, Lab, lab_to_rgb, rgb_to_lab

from tui.heatmap.contrast import READABLE, contrast

BOUNDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # nats from which the levels 1 to 6 begin
LEVELS = len(BOUNDS) + 1
LEAST_SHIFT = 1.0  # nats of a full bar, at least

_USUAL = {  # where the theme leaves a colour to the terminal
    "background": "#16161a",
    "foreground": "#d8d6d0",
    "secondary": "#9d8ec7",
    "accent": "#e0a458",
}
_GROUND = ("background", "foreground")
_FADERS = {  # in the order of the desk's
    "accent": "#e0a458",
    "secondary": "#9d8ec7",
    "success": "#7fb069",
    "warning": "#d9c15b",
    "primary": "#6ca6c1",
    "error": "#cf6679",
}
_TINT = 0.55  # of a fader's colour behind a token
_WHITE, _BLACK = Color(255, 255, 255), Color(0, 0, 0)
_MIDDLE = 0.8  # of the secondary's colour, halfway
_BOLD_FROM, _DIM_BELOW = 5, 2  # levels, where there is no colour


def level(shift: float | None) -> int:
    """0, where nothing moved or was measured, to LEVELS - 1."""
    return bisect_right(BOUNDS, shift) if shift is not None else 0


def ramp(theme: Mapping[str, str], *, coloured: bool) -> tuple[Style, ...]:
    """The style of every level. theme: a theme's variables, of which four colours are taken.

    Where colours are not wanted, weight says it too.
    """
    background, foreground, cold, warm = (
        _colour(theme.get(name, ""), usual) for name, usual in _USUAL.items()
    )
    none, end = rgb_to_lab(background), rgb_to_lab(warm)
    middle = _between(none, rgb_to_lab(cold), _MIDDLE)._replace(L=(none.L + end.L) / 2)
    styles = []
    for number in range(LEVELS):
        share = 2 * number / (LEVELS - 1)
        lab = _between(none, middle, share) if share < 1 else _between(middle, end, share - 1)
        behind = lab_to_rgb(lab) if number else background
        letters = _letters(behind, foreground, background)
        weight = Style() if coloured else Style(bold=number >= _BOLD_FROM, dim=number < _DIM_BELOW)
        styles.append(Style.from_color(letters.rich_color, behind.rich_color) + weight)
    return tuple(styles)


def fader_styles(theme: Mapping[str, str], *, coloured: bool) -> tuple[Style, ...]:
    """A style for each fader of a mix, and a wish's; all alike where colours are not wanted, since
    numbers tell them apart as well."""
    background, foreground = (_colour(theme.get(name, ""), _USUAL[name]) for name in _GROUND)
    if not coloured:
        return (Style(bold=True),) * (len(_FADERS) + 1)
    ground = rgb_to_lab(background)
    colours = [_colour(theme.get(name, ""), usual) for name, usual in _FADERS.items()]
    behind = [lab_to_rgb(_between(ground, rgb_to_lab(each), _TINT)) for each in colours]
    styles = [
        Style.from_color(_letters(each, foreground, background).rich_color, each.rich_color)
        for each in behind
    ]
    return (*styles, Style(bold=True, italic=True))


def legend(levels: Sequence[Style]) -> list[tuple[str, Style]]:
    """What each level means, as pieces of text to put side by side."""
    return [(f" {bound:g} ", style) for bound, style in zip((0.0, *BOUNDS), levels, strict=True)]


def _colour(text: str, usual: str) -> Color:
    """A theme's colour; the usual one, where the terminal decides what it looks like."""
    try:
        colour = Color.parse(text or usual)
    except ValueError:
        colour = Color.parse(usual)
    return Color.parse(usual) if colour.ansi is not None else colour


def _letters(behind: Color, *usual: Color) -> Color:
    """What stands out most: of the usual colours, if it can be read, or of all there are."""
    best = max(usual, key=partial(contrast, behind))
    if contrast(behind, best) >= READABLE:
        return best
    return max(_WHITE, _BLACK, key=partial(contrast, behind))


def _between(one: Lab, other: Lab, share: float) -> Lab:
    return Lab(*(a + (b - a) * share for a, b in zip(one, other, strict=True)))
