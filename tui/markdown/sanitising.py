"""What is said on screens, of text that was made safe (see amulet_local/safe_text.py)."""

from __future__ import annotations

from amulet_local.safe_text import clean as clean


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
