"""What a token costs outside llama_decode, part by part, at a model's vocabulary."""

from __future__ import annotations

import io

import numpy as np

from amulet_local.bench.timing import median_ms
from amulet_local.generation.decoding import choose
from amulet_local.generation.detokenizer import GrowingText
from amulet_local.generation.sampling import Sampler
from amulet_local.measures import measure
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.framing import read_event, write_frame
from amulet_local.protocol.messages import Step
from amulet_local.realignment import (
    Combination,
    Workspace,
    guard_reference,
    plausibility_floor,
    realign,
    recurrence,
)
from amulet_local.runtime.llama.model import Model
from amulet_local.strengths import AMULET, Update

_COMBINATION = Combination((AMULET,), guard=0.1)


def outside_ms(model: Model, repeat: int = 200) -> dict[str, float]:
    """Milliseconds by part, over random logits: medians.

    The parts realign, guard, sampler (top-k 40, top-p, min-p, temperature), detokenise and pipe
    (encode, write, read, decode one step); then whole tokens as the loop makes them, and the
    paper's 60 iterations for comparison.
    """
    vocabulary = model.vocabulary
    random = np.random.default_rng(1)
    logits = (random.standard_normal((2, vocabulary.size)) * 4).astype(np.float32)
    work = Workspace(vocabulary.size)
    sampler = Sampler(Sampling(), 1, vocabulary)
    text = GrowingText(vocabulary.piece)
    step = Step(1, 1, " word", AMULET, 0.1, True, 2.0, -1.0, -2.0, -3.0)

    def guard() -> None:
        plausibility_floor(guard_reference(logits, _COMBINATION.strengths, work), 0.1, work)

    def pipe() -> None:
        frame = io.BytesIO()
        write_frame(frame, step)
        frame.seek(0)
        read_event(frame)

    def token(combination: Combination) -> None:
        text.add(choose(list(logits), combination, sampler, work).token)
        pipe()

    measured = Combination(_COMBINATION.strengths, _COMBINATION.guard, measured=True)
    wide = logits.astype(np.float64)
    try:
        return {
            "realign": median_ms(lambda: realign(logits, _COMBINATION.strengths, work), repeat),
            "guard": median_ms(guard, repeat),
            "sampler": median_ms(lambda: sampler.sample(work.realigned), repeat),
            "measures": median_ms(lambda: measure(logits[0], logits[1], 7, True, work), repeat),
            "detokenise": median_ms(lambda: text.add(7), repeat),
            "pipe": median_ms(pipe, repeat),
            "whole token": median_ms(lambda: token(_COMBINATION), repeat),
            "whole token, measured": median_ms(lambda: token(measured), repeat),
            "whole token, no guard": median_ms(lambda: token(Combination((AMULET,), 0.0)), repeat),
            "60 iterations": median_ms(lambda: recurrence(wide[0], wide[1], Update()), 3),
        }
    finally:
        sampler.close()
