"""When Python looks for objects that only refer to each other: while nobody waits for it.

Widgets, screens and messages are such objects once they are gone, some 20,000 blocks of memory a
screen. At Python's defaults they are looked for every few seconds while a reply streams, which
takes 0.2 s or more with a long chat on the screen; where it is done rarely, some tens of screens
lie about by then, and the room they took does not go back to the system.
"""

from __future__ import annotations

import gc
import sys

import rich.style
from rich.cells import cached_cell_len
from textual._styles_cache import StylesCache
from textual.geometry import Region
from textual.strip import Strip
from textual.style import Style

from amulet_local.system.heap import give_back_freed

LOOK_S = 0.5  # how often Leftovers is asked to look
_MORE = 1.03  # times as many blocks of memory; a collection takes longer, the more there are
_STILL = 1_000  # blocks that come and go between two looks while nothing happens
_REMEMBERED = (
    *(StylesCache.get_inner_outer, Strip.render_ansi, Strip.blank, cached_cell_len),
    *(rich.style.Style._add, Style.__add__),
    *(function for function in vars(Region).values() if hasattr(function, "cache_clear")),
)


def collect_rarely() -> None:
    """Keep full collections out of sight."""
    gc.freeze()  # what is there now stays, and need not be looked at
    gc.set_threshold(700, 10, 100)


def forget_drawn() -> None:
    """Give up what was drawn and laid out.

    Textual remembers two colours for each of the last thousand widgets, by a key that holds all
    lines that the widget has drawn, an escape sequence for each of the last 16,000 styles, which
    have the place of the text in them, and how wide the last texts were, what styles were put
    together and how the last rectangles met, some thousands of each: tens of megabytes, which fill
    for an hour. All of it is found out again in some milliseconds.
    """
    for function in _REMEMBERED:
        function.cache_clear()


class Leftovers:
    """Collects them whenever there may be many and nothing happens."""

    def __init__(self) -> None:
        self._kept = self._seen = sys.getallocatedblocks()

    def look(self) -> None:
        """Collect, if there is much more than after the last time, and no more than just before."""
        before, self._seen = self._seen, sys.getallocatedblocks()
        if abs(self._seen - before) <= _STILL and self._seen > self._kept * _MORE:
            forget_drawn()
            gc.collect()
            give_back_freed()
            self._kept = self._seen = sys.getallocatedblocks()
