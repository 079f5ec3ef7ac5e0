"""Repetition: how many of a reply's word triples are new, and how long it goes in a circle.

    distinct-3   = different word triples / word triples        (Li et al. 2016, arXiv 1510.03055)
    longest loop = most words at one place that are a passage said again at once, once or more

1 and 0 for a reply that never repeats itself.
"""

from __future__ import annotations

from amulet_local.evaluation.scores.length import words

_LONGEST_PASSAGE = 60  # words; a reply that says more than this again is no loop of decoding


def distinct_3(text: str) -> float:
    """The share of triples that are different from each other; 1 where there are none."""
    return distinct(words(text), 3)


def distinct(said: list[str], n: int) -> float:
    """The share of different ones among the n-grams of a list of words; 1 where there are none."""
    grams = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def longest_loop(text: str) -> int:
    """Words that only say again what was said immediately before them, in the longest such run."""
    said = words(text)
    longest = 0
    for period in range(1, min(_LONGEST_PASSAGE, len(said) // 2) + 1):
        run = 0
        for place in range(period, len(said)):
            run = run + 1 if said[place] == said[place - period] else 0
            if run >= period:  # at least one whole passage was said again
                longest = max(longest, run)
    return longest
