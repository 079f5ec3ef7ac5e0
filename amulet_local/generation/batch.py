"""Several replies written at once, each on streams of its own, in one batch a step.

Replies as they begin go in; Prefilling, Step and Finished events come out of their Writings.
Nothing here knows of requests or prompts' texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from amulet_local.generation.decoding import Combine, Strand, decode_together
from amulet_local.generation.reply import Writing
from amulet_local.realignment import Workspace
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.lockstep import Lockstep, Progress


@dataclass(frozen=True)
class Side:
    """A reply to be written: what hears of its tokens, the prompt of each of its streams, and how
    they combine."""

    writing: Writing
    prompts: Sequence[Sequence[int]]
    combine: Combine


def write_together(
    lockstep: Lockstep, sides: Sequence[Side], room: int, work: Workspace, on_progress: Progress
) -> None:
    """Write until each reply has ended, with `room` tokens at most.

    lockstep: with as many streams as there are prompts. Stopped, every reply ends with what it
    has. Raises DecodeError.
    """
    prompts: dict[int, Sequence[int]] = {}
    strands: dict[int, Strand] = {}
    with ExitStack() as timed:
        for number, side in enumerate(sides):
            own = dict(enumerate(side.prompts, len(prompts)))
            prompts |= own
            strands[number] = Strand(tuple(own), side.combine, side.writing.sampler)
            timed.enter_context(side.writing.costs.prefilling(lockstep, own))
        try:
            logits = dict(enumerate(lockstep.prefill(prompts, on_progress)))
        except AbortedError:
            logits = {}
    try:
        if not logits:
            raise AbortedError
        for number, decoded in decode_together(lockstep, logits, strands, work):
            writing = sides[number].writing
            reason = writing.take(decoded)
            if reason is None and writing.written >= room:
                reason = "length"
            if reason:
                del strands[number]
                writing.finish(reason)
    except AbortedError:
        for number in strands:
            sides[number].writing.finish("cancelled")
