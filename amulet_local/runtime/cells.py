"""Whose the cells of a context are, and how many: it grows with what its streams hold.

In one pool, what streams have in common is stored once; but a row goes over every cell in use,
those of other streams too, for nothing. So long prompts that share little get a pool each: two of
8,000 tokens then cost a step 16,000 cells, not 32,000 (docs/performance.md, Long chats).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from amulet_local.errors import UsageError
from amulet_local.runtime.llama.context import Context
from amulet_local.runtime.load_defaults import own_cells
from amulet_local.runtime.prefix_tree import shared_with_earlier, tree_size
from amulet_local.runtime.streams import Stream

_WORTH_MOVING = 2048  # cells that a step is spared; below, one pool is as fast


def make_room(
    context: Context,
    streams: Sequence[Stream],
    prompts: Sequence[Sequence[int]],
    length: int,
    most: int,
    *,
    may_part: bool,
) -> None:
    """Have cells for prompts of some of its streams before they are evaluated, while there is
    little to carry over.

    length: tokens that a stream may hold. most: cells. may_part: whether streams may get a pool
    each. Raises what Context.grow raises.
    """
    together = tree_size(prompts)
    if may_part and len(prompts) != 1:  # of one stream, it stays as it is
        # By these prompts alone, so that the same ones meet the same kernels.
        own = sum(map(len, prompts))
        spared = len(prompts) * together - own
        apart = spared > max(_WORTH_MOVING, own // 2)
        if apart != context.apart:
            _move(context, streams, prompts, length, most, apart=apart)
    if context.apart:
        if max(map(len, prompts)) > context.length // context.sequences:
            more_cells(context, streams, _held(streams), length, most)
    elif together > context.length < most:
        more_cells(context, streams, _held(streams), length, most, together)


def _move(
    context: Context,
    streams: Sequence[Stream],
    prompts: Sequence[Sequence[int]],
    length: int,
    most: int,
    *,
    apart: bool,
) -> None:
    """Give each stream a pool of its own, or all of them one, where there is memory for it. A
    stream of which something was lost on the way holds nothing."""
    longest = max(len(text) for text in (*prompts, *(stream.tokens for stream in streams)))
    if apart:
        needed = context.sequences * min(length, longest + own_cells(length))
    else:
        needed = tree_size([stream.tokens for stream in streams])
    with suppress(UsageError):  # no memory for it, and it is as it was
        cells = min(most, max(context.length, needed))
        grow(context, streams, _held(streams), cells, apart=apart)
    for stream in streams:
        if context.held(stream.sequence) != len(stream.tokens):
            stream.cut(0, uncertain=True)


def more_cells(
    context: Context,
    streams: Sequence[Stream],
    held: Sequence[int],
    length: int,
    most: int,
    needed: int = 0,
) -> None:
    """More cells than are needed now, by what a stream can hold; no more than all can. held: see
    `grow`."""
    cells = most if context.apart else min(most, max(needed, context.length) + length)
    grow(context, streams, held, cells, apart=context.apart)


def grow(
    context: Context,
    streams: Sequence[Stream],
    held: Sequence[int],
    length: int,
    count: int = 0,
    *,
    apart: bool = False,
) -> None:
    """More cells for a context, and sequences, with all that these streams hold of it. held: how
    many of its tokens each holds. apart: see Context. Raises what Context.grow raises."""
    here = [
        (stream, stream.tokens[:tokens])
        for stream, tokens in zip(streams, held, strict=True)
        if stream.context is context
    ]
    here.sort(key=lambda pair: pair[0].sequence)  # which is its place among those of the context
    # Memory that was cut at its beginning, as a sliding window's is, is not shared again.
    whole = all(context.first_position(stream.sequence) <= 0 for stream, _ in here)
    shared = shared_with_earlier([tokens for _, tokens in here]) if whole and not apart else {}
    context.grow(length, count, shared, apart=apart)


def _held(streams: Sequence[Stream]) -> list[int]:
    return [len(stream.tokens) for stream in streams]
