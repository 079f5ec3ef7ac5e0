"""Text from models, files and clipboards, made safe to show: nothing in it that a terminal obeys.

Control characters (C0, DEL, C1) could move the cursor or change the terminal; overrides of the
writing direction could make a line read as what it is not. Tabs and line feeds stay.
"""

from __future__ import annotations

_LEFT_OUT = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),  # embedding and overriding of direction
    *range(0x2066, 0x206A),  # and isolates
    *range(0xD800, 0xE000),  # halves of characters, which cannot be encoded
]
_TABLE: dict[int, str | None] = dict.fromkeys(_LEFT_OUT)
_TABLE |= {ord("\t"): "\t", ord("\n"): "\n", 0x2028: "\n", 0x2029: "\n"}


def clean(text: str) -> str:
    """The text without anything that is not to be seen."""
    return text.translate(_TABLE)


def sentence(text: str) -> str:
    """An error's text on its own line: with a capital letter and a full stop."""
    text = clean(text).strip()
    name = set("./_") & set(text.split(" ")[0].rstrip(".:,"))  # of a file: it stays as it is
    return (text if name else text[:1].upper() + text[1:]) + (
        "" if text.endswith((".", "!", "?", "…")) else "."
    )


def count(number: int, what: str) -> str:
    """How many, in words."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def speed(tokens_per_s: float) -> str:
    """A speed in words, with no more digits than are worth reading."""
    return f"{tokens_per_s:.{1 if tokens_per_s < 10 else 0}f} tokens/s"
