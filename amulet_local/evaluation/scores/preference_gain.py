"""Preference gain: how much likelier the preference makes a reply, per token.

    gain = ( log p(reply | question, preference) - log p(reply | question) ) / tokens       (nats)

under a judge, the reply's end counted as a token where it ended by itself. Positive: the judge
would say this rather with the preference than without. It is the pointwise mutual information of
reply and preference given the question, and the utility of the Amulet paper's eq. 1 taken over a
whole reply. A judge that wrote the reply itself measures how far the method went, more than whether
a reader would agree: the report says which judge it was.
"""

from __future__ import annotations

from amulet_local.evaluation.records import Likelihoods


def preference_gain(likelihoods: Likelihoods) -> float:
    """In nats per token; 0 for an empty reply."""
    difference = likelihoods.with_preference - likelihoods.without
    return difference / max(1, likelihoods.tokens)
