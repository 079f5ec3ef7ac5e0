"""Sampling settings -> llama.cpp's sampler chain, in llama.cpp's own order."""

from __future__ import annotations

from amulet_local.llama import SamplerChain, Vocabulary
from amulet_local.protocol import Sampling

# Sorting a whole vocabulary for top-p costs more than evaluating a small model.
_ENOUGH = 1000


def sampler(settings: Sampling, seed: int, vocabulary: Vocabulary) -> SamplerChain:
    """A chain for one reply; close it after. The penalties look at the reply alone.

    With top_k off and top_p on, the nucleus is taken of the 1,000 likeliest tokens.
    """
    chain = SamplerChain(vocabulary)
    repeat, frequency = settings.repeat_penalty, settings.frequency_penalty
    if repeat != 1 or frequency or settings.presence_penalty:
        chain.penalties(settings.penalty_last_n, repeat, frequency, settings.presence_penalty)
    if settings.dry_multiplier:
        chain.dry(
            settings.dry_multiplier,
            settings.dry_base,
            settings.dry_allowed_length,
            settings.penalty_last_n,
        )
    if settings.temperature == 0:
        chain.greedy()
        return chain
    if settings.top_k or settings.top_p < 1:
        chain.top_k(settings.top_k or _ENOUGH)
    if settings.top_p < 1:
        chain.top_p(settings.top_p)
    if settings.min_p:
        chain.min_p(settings.min_p)
    chain.temperature(settings.temperature)
    chain.draw(seed)
    return chain
