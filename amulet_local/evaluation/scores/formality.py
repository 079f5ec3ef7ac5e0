"""Contractions per hundred words: few is the plain meaning of formal.

Counted are n't, 're, 've, 'll, 'd, 'm, and 's after a word that makes it "is" or "us" rather than
a genitive. English only.
"""

from __future__ import annotations

import re

from amulet_local.evaluation.scores.length import words

_CONTRACTION = re.compile(
    r"\w+(?:n['’]t|['’](?:re|ve|ll|d|m))|"
    r"(?:it|that|what|who|where|when|how|here|there|he|she|let|this|everything)['’]s"
)


def contractions(text: str) -> float:
    """Per hundred words; 0 for an empty text."""
    said = words(text)
    contracted = sum(1 for word in said if _CONTRACTION.fullmatch(word))
    return 100 * contracted / max(1, len(said))
