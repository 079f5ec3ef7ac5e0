"""The loop: streams -> realign -> guard -> sample -> one token, with what realignment did to it.

    realigned = base + sum_k s_k (pref_k - base)

is the paper's update after all its iterations, in closed form (see realignment.py): base and pref_k
are the logits of two or more streams, s_k is the strength of a preference. Logits of all streams go
in, tokens come out. Guesses may be verified several at a time; they change how fast tokens come,
never which. Nothing here knows of prompts, text or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import Drafter
from amulet_local.measures import Measures, listed, measure, shares
from amulet_local.realignment import Combination, Row, Workspace, combined, prompted
from amulet_local.runtime.lockstep import Lockstep

Combine = Callable[[], Combination]  # asked for every token, so that a dial may be turned meanwhile


@dataclass(frozen=True)
class Decoded:
    """One token as it was chosen. strengths: used at it, one per fader. measures: only where the
    combination asks for them; and of a mix, shares: what each fader added (see realignment).
    likeliest: the token, then those that were likeliest, with their probabilities, if asked for."""

    token: int
    strengths: tuple[float, ...]
    measures: Measures | None
    shares: tuple[float, ...] = ()
    likeliest: tuple[tuple[int, float], ...] = ()


def choose(
    logits: Sequence[Row], combination: Combination, sampler: Sampler, work: Workspace
) -> Decoded:
    """Penalise, withhold, realign, guard, sample: a token from float32 (streams, vocabulary)."""
    rows = sampler.penalised(logits)
    if combination.withholds:
        rows = sampler.without(rows, combination.withheld)
    # base + sum_k s_k (pref_k - base), without what the guard rules out.
    realigned = combined(rows, combination, work)
    if sampler.grammar and not sampler.grammar.keep(realigned):
        # The guard has left nothing that the grammar allows: it is to judge among what it does.
        realigned = combined(sampler.grammar.allowed(rows), combination, work)
    token = sampler.sample(realigned)
    strengths = combination.strengths
    likeliest: tuple[tuple[int, float], ...] = ()
    if combination.listed is not None:
        likeliest = listed(realigned, token, combination.listed, work)
    if not combination.measured:
        return Decoded(token, combination.spread(strengths), None, likeliest=likeliest)
    pref = prompted(rows, strengths, work)
    measures = measure(rows[0], pref, token, combination.guard > 0, work)
    added = shares(rows, strengths, token) if combination.of > 1 else ()
    spread = combination.spread
    return Decoded(token, spread(strengths), measures, spread(added), likeliest)


def choose_from(
    block: Sequence[Sequence[Row]],
    draft: Sequence[int],
    combine: Combine,
    sampler: Sampler,
    work: Workspace,
    drafter: Drafter | None,
) -> Iterator[Decoded]:
    """Tokens from the rows after the last token and after each guess, float32 (block, streams,
    vocabulary), for as long as the guesses were right."""
    for number, rows in enumerate(block):
        decoded = choose(rows, combine(), sampler, work)
        if drafter:
            drafter.observe(decoded.token)
        yield decoded
        if [decoded.token] != draft[number : number + 1]:
            return


def decode(
    lockstep: Lockstep,
    logits: Sequence[Row],
    combine: Combine,
    sampler: Sampler,
    work: Workspace,
    drafter: Drafter | None = None,
) -> Iterator[Decoded]:
    """Tokens without end: whoever reads them decides when to stop, before the streams are full.

    logits: float32 (streams, vocabulary) after the prompts. While a token is being read, the
    streams may not hold it yet, or hold guesses behind it. Raises AbortedError and DecodeError.
    """
    block: Sequence[Sequence[Row]] = [logits]  # after the last token, and after each guess
    draft: list[int] = []
    while True:
        # 1. Choose a token from each row of logits, realigned, while the guesses were right.
        taken: list[int] = []
        for decoded in choose_from(block, draft, combine, sampler, work, drafter):
            taken.append(decoded.token)
            yield decoded
        # 2. Forget the wrong guesses, and evaluate the last token with new guesses behind it.
        lockstep.rewind(len(block) - len(taken))
        draft = drafter.propose(min(lockstep.room, lockstep.longest_block) - 1) if drafter else []
        block = lockstep.advance([taken[-1], *draft])
