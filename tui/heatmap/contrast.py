"""How much letters stand out from their ground: the contrast ratio of WCAG 2.2.

https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio; 4.5 is what it asks of text (success criterion
1.4.3).
"""

from __future__ import annotations

from textual.color import Color

READABLE = 4.5


def contrast(one: Color, other: Color) -> float:
    """From 1, for the same colour twice, to 21, for black and white."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
