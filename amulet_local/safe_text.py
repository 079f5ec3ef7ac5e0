"""Text that nobody here wrote, made safe: the one way to terminals, clipboards and names of files.

What models, imported chats, presets, file names and errors say may hold what a terminal obeys, what
makes a line read as another, or what nobody sees. `clean` is text without all that; `line` is the
same on one line, set apart where it is read from right to left, to stand among words of ours.
SafeText is what they return, and nothing else here makes one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NewType

from amulet_local.path_text import encodable

SafeText = NewType("SafeText", str)

# Characters that Unicode calls default-ignorable, since nothing of them is to be seen: marks and
# overrides of direction, tags, fillers. Joiners and the choice of a glyph (ZWNJ, ZWJ, VS1 to VS16)
# are part of how words and emoji are written, and stay.
_UNSEEN = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180E, 0x180E),
    (0x200B, 0x200B),
    (0x200E, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2067),
    (0x206A, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_OBEYED = ((0x00, 0x1F), (0x7F, 0x9F))  # C0, DEL, C1
_TABLE: dict[int, str | None] = {
    code: None for first, last in (*_OBEYED, *_UNSEEN) for code in range(first, last + 1)
}
_TABLE |= {ord("\t"): "\t", ord("\n"): "\n", 0x2028: "\n", 0x2029: "\n"}
_LINE = str.maketrans("\n\t", "  ")

_MOST_MARKS = 30  # on one letter; Unicode's stream-safe text has no more (its annex 15)
_FIRST_MARK = 0x300
_LAST_MARK = 0x1FFFF  # the planes behind it have letters only, and what is left out anyway
# Where fewer in a row are neither Latin letters nor arrows, lines or blocks, nothing floods, and
# the marks need not be looked up, which takes a while.
_MAY_FLOOD = re.compile(f"[^\0-\u02ff\u2100-\u2bff]{{{_MOST_MARKS + 1}}}")
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_ISOLATE, _END = "\u2068", "\u2069"
_ISOLATES = re.compile(f"{_ISOLATE}[^{_ISOLATE}{_END}\\n]+{_END}|[{_ISOLATE}{_END}]")

_NO_NAME = re.compile(r"[^\w]+")
_LONGEST_NAME = 100  # bytes; systems take 255, and something may be put behind it


def clean(text: str) -> SafeText:
    """The text without anything that a terminal obeys or nobody sees. Line feeds and tabs stay;
    halves of characters, which cannot be encoded, become escapes such as \\xe9. Isolates stay in
    pairs, as `line` makes them: such a pair moves nothing around it."""
    if text.isascii() and text.isprintable():
        return SafeText(text)
    text = encodable(text).translate(_TABLE)
    if not text.isascii():
        if _MAY_FLOOD.search(text):
            text = _floods().sub(lambda flood: flood[0][:_MOST_MARKS], text)
        text = _ISOLATES.sub(lambda found: found[0] if len(found[0]) > 1 else "", text)
    return SafeText(text)


def line(text: str) -> SafeText:
    """The same on one line. Text read from right to left is isolated, so that it cannot move the
    words around it."""
    safe = clean(text).translate(_LINE)
    if not safe.isascii():
        safe = safe.replace(_ISOLATE, "").replace(_END, "")
    return SafeText(f"{_ISOLATE}{safe}{_END}" if right_to_left(safe) else safe)


def right_to_left(text: str) -> bool:
    """Whether something in a text is read from right to left."""
    return not text.isascii() and _RIGHT_TO_LEFT.search(text) is not None


def file_stem(title: str) -> SafeText:
    """A name for a file, without its ending, of a title's letters and digits; "" of none."""
    name = _NO_NAME.sub("-", clean(title)).strip("-").encode()[:_LONGEST_NAME]
    return SafeText(name.decode("utf-8", "ignore").rstrip("-"))


@lru_cache(maxsize=1)
def _floods() -> re.Pattern[str]:
    """More marks in a row than a letter can have; found at the first text that may have them."""
    marks = [
        chr(code)
        for code in range(_FIRST_MARK, _LAST_MARK)
        if unicodedata.category(chr(code)) in ("Mn", "Me")
    ]
    zero_width = "".join([*marks, "\u200c\u200d"])
    return re.compile(f"[{zero_width}]{{{_MOST_MARKS + 1},}}")
