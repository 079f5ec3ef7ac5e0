"""What several token sequences have in common from their starts, as a tree of prefixes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

Held = tuple[T, Sequence[int]]  # something, and the prompt that it is to hold


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences share from their starts."""
    shorter = min(len(a), len(b))
    return next((i for i in range(shorter) if a[i] != b[i]), shorter)


def tree_size(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens in all, where what sequences share is counted once."""
    ordered = sorted(map(list, sequences))
    following = itertools.pairwise(ordered)
    return sum(map(len, ordered)) - sum(common_prefix(*pair) for pair in following)


def shared_prefixes(group: Sequence[Held[T]]) -> Iterator[tuple[Sequence[Held[T]], int]]:
    """Those that share a prefix, two at least, with its length: first what all share, then what
    some of them do beyond that. Order is kept, and no prefix holds the last token of a prompt,
    since its logits are wanted of each."""
    if len(group) < 2:
        return
    prompt = group[0][1]
    shared = min(
        len(prompt) - 1,
        *(min(common_prefix(prompt, other), len(other) - 1) for _, other in group[1:]),
    )
    yield group, shared
    branches: dict[int, list[Held[T]]] = {}
    for member in group:
        if shared < len(member[1]) - 1:
            branches.setdefault(member[1][shared], []).append(member)
    for branch in branches.values():
        yield from shared_prefixes(branch)


def shared_with_earlier(sequences: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
    """By number, the earlier sequence that it shares most with, and how much; none who share
    nothing."""
    found = {}
    for number, sequence in enumerate(sequences):
        shares = [
            (common_prefix(other, sequence), -at) for at, other in enumerate(sequences[:number])
        ]
        most, at = max(shares, default=(0, 0))
        if most:
            found[number] = (-at, most)
    return found
