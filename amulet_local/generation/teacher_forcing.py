"""Teacher forcing: what the streams say at each token of a reply that is there already.

The reply's tokens are evaluated as a prompt is, in blocks, whichever tokens the streams themselves
would choose. What is read off the logits is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from amulet_local.realignment import Row
from amulet_local.runtime.lockstep import Lockstep, Progress


def teacher_forced(
    lockstep: Lockstep,
    prompts: Mapping[int, Sequence[int]],
    tokens: Sequence[int],
    *,
    and_after: bool = False,
    on_progress: Progress | None = None,
) -> Iterator[Sequence[Sequence[Row]]]:
    """The logits before each token, (block, streams, vocabulary), a block at a time.

    prompts: by stream. tokens: of the reply. and_after: also the logits after the last token, which
    is otherwise not evaluated. Each block is valid until the next one is asked for, and the first
    comes from the prompts alone. Raises AbortedError.
    """
    yield [lockstep.prefill(prompts, on_progress)]
    evaluated = tokens if and_after else tokens[:-1]
    for start in range(0, len(evaluated), lockstep.longest_block):
        yield lockstep.advance(evaluated[start : start + lockstep.longest_block])
