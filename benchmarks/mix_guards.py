"""Which row judges plausibility where several preferences are followed: four candidates.

    python -m benchmarks.mix_guards CANDIDATE eval --instructions PAIRS.jsonl --out DIR ...

Everything behind CANDIDATE is a command of `amulet`, run with that guard. whole: the mix with every
preference that is led towards at strength 1. pool: the weighted mean of their log-probabilities.
product: their sum, so that each need only be as plausible as the others make up for. any: as
plausible as whoever of them finds it most so. docs/mixing.md has what came of it;
benchmarks.mix_pairs makes the questions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from amulet_local import realignment
from amulet_local.cli import main
from amulet_local.realignment import Row, Rows, Workspace, log_softmax

# base, the preferences that are led towards, and their strengths, to the row that judges.
Candidate = Callable[[Row, list[Row], list[float]], Row]


def _whole(base: Row, rows: list[Row], _weights: list[float]) -> Row:
    with np.errstate(invalid="ignore"):  # what is held back is -inf in all of them
        whole = base + np.sum([row - base for row in rows], axis=0)
    return np.where(np.isfinite(base), whole, -np.inf).astype(np.float32)


def _pool(_base: Row, rows: list[Row], weights: list[float]) -> Row:
    return np.average(rows, axis=0, weights=weights)


CANDIDATES: dict[str, Candidate] = {
    "whole": _whole,
    "pool": _pool,
    "product": lambda _base, rows, _weights: np.sum(rows, axis=0),
    "any": lambda _base, rows, _weights: np.max([row - row.max() for row in rows], axis=0),
}


def reference_of(candidate: Candidate) -> Callable[[Rows, Sequence[float], Workspace], Row]:
    """A guard's reference as `realignment.guard_reference` gives it."""

    def reference(logits: Rows, strengths: Sequence[float], work: Workspace) -> Row:
        del work  # these take what they need
        led = [k for k, strength in enumerate(strengths) if strength > 0]
        if len(led) < 2:
            return logits[1 + led[0]] if led else logits[0]
        streams = [0, *(1 + k for k in led)]
        base, *rows = (np.asarray(log_softmax(logits[k]), np.float32) for k in streams)
        return candidate(base, rows, [strengths[k] for k in led])

    return reference


if __name__ == "__main__":
    setattr(realignment, "guard_reference", reference_of(CANDIDATES[sys.argv[1]]))  # noqa: B010
    sys.exit(main(sys.argv[2:]))
