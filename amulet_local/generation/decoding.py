"""The loop: streams -> realign -> guard -> sample -> one token, with what realignment did to it.

Logits of all streams go in, tokens come out. Guesses may be verified several at a time; they change
how fast tokens come, never which. Nothing here knows of prompts, text or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import Drafter
from amulet_local.realignment import Combination, Measures, Row, Workspace, combined, measure
from amulet_local.runtime.lockstep import Lockstep

Combine = Callable[[], Combination]  # asked for every token, so that a dial may be turned meanwhile


@dataclass(frozen=True)
class Decoded:
    """One token as it was chosen. strengths: used at it, one per preference stream. measures: only
    where the combination asks for them."""

    token: int
    strengths: tuple[float, ...]
    measures: Measures | None


def choose(
    logits: Sequence[Row], combination: Combination, sampler: Sampler, work: Workspace
) -> Decoded:
    """Penalise, realign, guard, sample: a token from logits, float32 (streams, vocabulary)."""
    rows = sampler.penalised(logits)
    token = sampler.sample(combined(rows, combination, work))
    measures = None
    if combination.measured:
        measures = measure(rows[0], rows[1], token, combination.guard > 0, work)
    return Decoded(token, combination.strengths, measures)


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
    rows: Sequence[Sequence[Row]] = [logits]
    draft: list[int] = []
    while True:
        # 1. Choose a token from each verified row, for as long as the guesses were right.
        for guessed, logits in enumerate(rows):
            decoded = choose(logits, combine(), sampler, work)
            if drafter:
                drafter.observe(decoded.token)
            yield decoded
            if draft[guessed : guessed + 1] != [decoded.token]:
                break
        # 2. Forget the wrong guesses, and evaluate the last token with new guesses behind it.
        lockstep.rewind(len(draft) - guessed)
        draft = drafter.propose(min(lockstep.room, lockstep.longest_block) - 1) if drafter else []
        rows = lockstep.advance([decoded.token, *draft])


@dataclass(frozen=True)
class Strand:
    """One of several replies that are decoded side by side: the numbers of its streams, how they
    combine, its sampler."""

    streams: tuple[int, ...]
    combine: Combine
    sampler: Sampler


def decode_together(
    lockstep: Lockstep, logits: Mapping[int, Row], strands: dict[int, Strand], work: Workspace
) -> Iterator[tuple[int, Decoded]]:
    """Tokens of all strands in turn, one batch a step, with the number of the strand.

    logits: of each stream, float32 (vocabulary,), after the prompts. Whoever reads takes out of
    `strands` what has ended; with the last of them this ends. Raises AbortedError, DecodeError.
    """
    while strands:
        chosen: dict[int, int] = {}
        for number, strand in list(strands.items()):
            rows = [logits[stream] for stream in strand.streams]
            decoded = choose(rows, strand.combine(), strand.sampler, work)
            yield number, decoded
            if number in strands:
                chosen |= dict.fromkeys(strand.streams, decoded.token)
        logits = lockstep.advance_each(chosen)
