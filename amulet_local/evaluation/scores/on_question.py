"""On the question: how much likelier its own question makes a reply than other questions do.

    score = ( log p(reply | question) - mean over others of log p(reply | other) ) / tokens  (nats)

under the model that wrote the reply, without any preference. The text of the reply is the same in
both terms, so how fluent it is cancels, and what is left is what it has to do with the question: 0
for a reply that would go with any.
"""

from __future__ import annotations

import statistics

from amulet_local.evaluation.records import Likelihoods


def on_question(likelihoods: Likelihoods) -> float:
    """In nats per token; 0 for an empty reply."""
    others = statistics.fmean(likelihoods.others)
    return (likelihoods.without - others) / max(1, likelihoods.tokens)
