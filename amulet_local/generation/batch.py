"""Several replies written at once, each on streams of its own, in one batch a step.

Replies as they begin go in; each tells its own Step and Finished events.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from amulet_local.generation.decoding import Combine, Strand, decode_batch
from amulet_local.generation.reply import GrowingReply
from amulet_local.realignment import Workspace
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.lockstep import Lockstep, Progress


@dataclass(frozen=True)
class BatchItem:
    """A reply to be written: what hears of its tokens, the prompt of each of its streams, and how
    they combine."""

    reply: GrowingReply
    prompts: Sequence[Sequence[int]]
    combine: Combine


def write_batch(
    lockstep: Lockstep,
    items: Sequence[BatchItem],
    room: int,
    work: Workspace,
    on_progress: Progress,
) -> None:
    """Write until each reply has ended, with `room` tokens at most.

    lockstep: with as many streams as there are prompts. Stopped, every reply ends with what it
    has. Raises DecodeError.
    """
    prompts: dict[int, Sequence[int]] = {}
    strands: dict[int, Strand] = {}
    with ExitStack() as timed:
        for number, item in enumerate(items):
            own = dict(enumerate(item.prompts, len(prompts)))
            prompts |= own
            strands[number] = Strand(tuple(own), item.combine, item.reply.sampler)
            timed.enter_context(item.reply.costs.prefilling(lockstep, own))
        try:
            logits = dict(enumerate(lockstep.prefill(prompts, on_progress)))
        except AbortedError:
            logits = {}
    try:
        if not logits:
            raise AbortedError
        for number, decoded in decode_batch(lockstep, logits, strands, work):
            reply = items[number].reply
            reason = reply.take(decoded)
            if reason is None and reply.written >= room:
                reason = "length"
            if reason:
                del strands[number]
                reply.finish(reason)
    except AbortedError:
        for number in strands:
            items[number].reply.finish("cancelled")
