"""How well replies at a strength are written, in times those of prompting, and which still do.

What both ways to calibrate share: `amulet calibrate`, and the chat while it is at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amulet_local.strengths import PROMPT

MARGIN = 1.5  # times as surprising as prompted ones
LEAST = 0.95


@dataclass(frozen=True)
class Quality:
    """How replies at a strength are written, in times those of prompting."""

    strength: float
    perplexity: float
    distinct_3: float
    on_question: float

    def is_kept(self, margin: float) -> bool:
        """Whether that is good enough."""
        return self.perplexity <= margin and self.distinct_3 >= LEAST and self.on_question >= LEAST


def largest_kept(tried: Sequence[Quality], margin: float) -> Quality:
    """The largest strength that is good enough, of rising ones; prompting where none is."""
    kept = [quality for quality in tried if quality.is_kept(margin)]
    return kept[-1] if kept else Quality(PROMPT, 1.0, 1.0, 1.0)


def has_gone_too_far(tried: Sequence[Quality], margin: float) -> bool:
    """Whether the last two of rising strengths were not good enough, so that none above is."""
    return len(tried) > 1 and not any(quality.is_kept(margin) for quality in tried[-2:])
