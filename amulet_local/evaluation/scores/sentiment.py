"""Sentiment: how positive the words are, the plain meaning of uplifting and of pleasant.

The mean over sentences of VADER's compound score, -1 to 1: a lexicon with rules for negation and
emphasis. (Hutto and Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis
of Social Media Text"; the package vaderSentiment.) Over sentences, since the compound score of a
long text nears 1 by its length alone.
"""

from __future__ import annotations

import re
import statistics
from functools import lru_cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from amulet_local.evaluation.scores.length import words

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text that hold a word."""
    return [part for part in _SENTENCE_ENDS.split(text) if words(part)]


def sentiment(text: str) -> float:
    """-1 to 1; 0 for an empty text."""
    scores = [_analyser().polarity_scores(each)["compound"] for each in sentences(text)]
    return statistics.fmean(scores) if scores else 0.0


@lru_cache(maxsize=1)
def _analyser() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()
