"""Length: the words of a reply, the plain meaning of concise and of verbose.

A word is a run of letters or digits, with apostrophes and hyphens inside it.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def length(text: str) -> float:
    """How many words."""
    return float(len(words(text)))
