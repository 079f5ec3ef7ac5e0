"""What could have been said instead: the likeliest tokens at every place of a reply.

The reply's tokens are evaluated as a prompt is, in blocks, and every place is looked at. Nothing
here knows of requests, or of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from amulet_local.generation.sampling import Sampler
from amulet_local.protocol.messages import Candidate, Candidates
from amulet_local.realignment import Combination, Row, Workspace, combined, likeliest
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.lockstep import Lockstep, Progress

SHOWN = 5  # candidates of each distribution


def examine(
    lockstep: Lockstep,
    prompts: Mapping[int, Sequence[int]],
    tokens: Sequence[int],
    combination_at: Callable[[int], Combination],
    sampler: Sampler,
    vocabulary: Vocabulary,
    work: Workspace,
    on_progress: Progress,
) -> Iterator[tuple[Candidates, ...]]:
    """Places of the reply from the first on, a block at a time.

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

    def place(logits: Sequence[Row], number: int) -> Candidates:
        logits = sampler.penalised(logits)
        sampler.accept(tokens[number])
        base, *others = map(named, logits)
        if not others:
            return Candidates(base, (), ())
        return Candidates(base, others[0], named(combined(logits, combination_at(number), work)))

    rows: Sequence[Sequence[Row]] = [lockstep.prefill(prompts, on_progress)]
    done = 0
    while rows:
        yield tuple(place(logits, done + index) for index, logits in enumerate(rows))
        done += len(rows)
        # The last token leads to no place of the reply.
        block = tokens[done - 1 : -1][: lockstep.longest_block]
        rows = lockstep.advance(block) if block else []
