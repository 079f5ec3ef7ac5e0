"""Base perplexity: how surprised the model without the preference is by a token of the reply.

    perplexity = exp( - log p(reply | question) / tokens )

1 is no surprise at all; a fluent reply of a small model lies near 2 to 3 when it was written
greedily. Low is not good by itself (a loop is not surprising), very high is broken text.
(Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks".)
"""

from __future__ import annotations

import math

from amulet_local.evaluation.records import Likelihoods


def perplexity(likelihoods: Likelihoods) -> float:
    """Per token; 1 for an empty reply."""
    return math.exp(min(700.0, -likelihoods.without / max(1, likelihoods.tokens)))
