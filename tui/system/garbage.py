"""When Python looks for objects that only refer to each other: while nobody waits for it.

Widgets, screens and messages are such objects once they are gone, some 20,000 blocks of memory a
screen. At Python's defaults they are looked for every few seconds while a reply streams, which
takes 0.2 s or more with a long chat on the screen; where it is done rarely, some tens of screens
lie about by then, and the room they took does not go back to the system.
"""

from __future__ import annotations

import gc
import sys

from textual._styles_cache import StylesCache
from textual.strip import Strip

LOOK_S = 0.5  # how often Leftovers is asked to look
_MORE = 1.03  # times as many blocks of memory; a collection takes longer, the more there are
_STILL = 1_000  # blocks that come and go between two looks while nothing happens


def collect_rarely() -> None:
    """Keep full collections out of sight."""
    gc.freeze()  # what is there now stays, and need not be looked at
    gc.set_threshold(700, 10, 100)


def forget_drawn() -> None:
    """Give up what was drawn by widgets that are gone.

    Textual remembers two colours for each of the last thousand widgets, by a key that holds all
    lines that the widget has drawn, and an escape sequence for each of the last 16,000 styles,
    which have the place of the text in them: tens of megabytes.
    """
    StylesCache.get_inner_outer.cache_clear()
    Strip.render_ansi.cache_clear()


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
            self._kept = self._seen = sys.getallocatedblocks()
