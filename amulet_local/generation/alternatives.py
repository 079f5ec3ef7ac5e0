"""What could have been said instead: the likeliest tokens at every index of a reply.

A reply's tokens go in, candidates come out. Nothing here knows of requests, or of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from amulet_local.generation.sampling import Sampler
from amulet_local.generation.teacher_forcing import teacher_forced
from amulet_local.measures import likeliest
from amulet_local.protocol.messages import Candidate, Candidates
from amulet_local.realignment import Combination, Row, Workspace, combined, prompted
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.lockstep import Lockstep, Progress

SHOWN = 5  # candidates of each distribution


def list_alternatives(
    lockstep: Lockstep,
    prompts: Mapping[int, Sequence[int]],
    tokens: Sequence[int],
    combination_at: Callable[[int], Combination],
    sampler: Sampler,
    vocabulary: Vocabulary,
    work: Workspace,
    on_progress: Progress,
) -> Iterator[tuple[Candidates, ...]]:
    """The candidates at each token of the reply from the first on, a block at a time.

    prompts: by stream, base first. tokens: of the reply. combination_at: how the streams
    combined at an index. sampler: its penalties count, as they did when the reply was written.
    Raises AbortedError.
    """

    def named(row: Row) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(
                token,
                vocabulary.piece(token, special=True).decode("utf-8", "replace"),
                p,
                vocabulary.ends_turn(token),
            )
            for token, p in likeliest(row, SHOWN, work)
        )

    def candidates(logits: Sequence[Row], index: int) -> Candidates:
        rows = sampler.penalised(logits)
        sampler.accept(tokens[index])
        base = named(rows[0])
        if len(rows) == 1:
            return Candidates(base, (), ())
        combination = combination_at(index)
        pref = named(prompted(rows, combination.strengths, work))
        return Candidates(base, pref, named(combined(rows, combination, work)))

    start = 0
    for block in teacher_forced(lockstep, prompts, tokens, on_progress=on_progress):
        yield tuple(candidates(logits, index) for index, logits in enumerate(block, start))
        start += len(block)
