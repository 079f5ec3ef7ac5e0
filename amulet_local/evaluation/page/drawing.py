"""What the pictures of the report share: figures as static SVG, in the colours of the page.

Plots are drawn with stand-ins for colours, which become the page's CSS variables, so that they turn
dark with it.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, simplefilter

import matplotlib as mpl
from matplotlib.figure import Figure

# Stand-ins: any colours that nothing else has.
INK, SOFT, LINE, FIELD, BACK = "#010a01", "#010a02", "#010a03", "#010a04", "#010a05"
SERIES = tuple(f"#010b{n:02x}" for n in range(8))
OURS, THEIRS, PAPER_POINT = "#010c01", "#010c02", "#010c03"
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    FIELD: "--field",
    BACK: "--card",
    OURS: "--ours",
    THEIRS: "--theirs",
    PAPER_POINT: "--paper",
    **{colour: f"--series-{n}" for n, colour in enumerate(SERIES)},
}
_WIDTH = 10.4  # inches of 72 points: the page's column
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # what a preference or a question says is no formula
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def drawn(name: str, tall: float) -> Iterator[tuple[Figure, list[str]]]:
    """A figure as wide as the page; its SVG comes out in the list at the end."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    result: list[str] = []
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), catch_warnings():
        simplefilter("ignore")  # that a font lacks a letter: it is the browser's that counts
        figure = Figure(figsize=(_WIDTH, tall))
        yield figure, result
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    result.append(_for_page(buffer.getvalue(), name))


def _for_page(svg: str, name: str) -> str:
    """The element alone, as wide as it may be, its colours the page's and its ids its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg


def short(preference: str) -> str:
    """A name that fits above a panel."""
    return preference if len(preference) <= 24 else f"{preference[:23].rstrip()}…"


def in_order(names: Iterable[str]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(names))
