"""The loop: streams -> realign -> guard -> sample -> one token, with what realignment did to it.

Logits of all streams go in, tokens come out. Guesses may be verified several at a time; they change
how fast tokens come, never which. Nothing here knows of prompts, text or processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amulet_local.drafting import Drafter
from amulet_local.llama import SamplerChain
from amulet_local.lockstep import Lockstep
from amulet_local.realignment import Measures, Row, Steering, Workspace, measure, steered


@dataclass(frozen=True)
class Decoded:
    """One token as it was chosen; measures only where the steering asks for them."""

    token: int
    measures: Measures | None


def decode(
    lockstep: Lockstep,
    logits: Sequence[Row],
    steering: Steering,
    sampler: SamplerChain,
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
            token = sampler.sample(steered(logits, steering, work))
            measures = None
            if steering.measured:
                measures = measure(logits[0], logits[1], token, steering.guard > 0, work)
            if drafter:
                drafter.observe(token)
            yield Decoded(token, measures)
            if draft[guessed : guessed + 1] != [token]:
                break
        # 2. Forget the wrong guesses, and evaluate the last token with new guesses behind it.
        lockstep.rewind(len(draft) - guessed)
        draft = drafter.propose(lockstep.room - 1) if drafter else []
        rows = lockstep.advance([token, *draft])
