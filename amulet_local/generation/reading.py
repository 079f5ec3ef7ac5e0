"""Prompts that are read a piece at a time, between the steps of replies that are written.

Texts and the streams that are to hold them go in, parts of an evaluation come out. What texts have
in common is evaluated once: a stream waits while one before it is about to read what both begin
with, and then holds it without an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from amulet_local.runtime.prefix_tree import common_prefix
from amulet_local.runtime.stream_pool import Part, StreamPool
from amulet_local.runtime.streams import Stream

Owner = TypeVar("Owner")


@dataclass(eq=False)
class _Reading(Generic[Owner]):
    """A text that a stream is to hold. common: by the readings before it, how many tokens both
    begin with; the last token of a text is never taken from another, since it gives the logits."""

    owner: Owner
    stream: Stream
    text: Sequence[int]
    common: list[tuple[_Reading[Owner], int]] = field(default_factory=list)
    done: bool = False

    @property
    def held(self) -> int:
        return len(self.stream.tokens)

    @property
    def left(self) -> int:
        """Tokens before the last one."""
        return len(self.text) - 1 - self.held


class PromptReader(Generic[Owner]):
    """The prompts that are being read, in the order in which they came, by their owners.

    together: whether all are to end with the same piece.
    """

    def __init__(self, pool: StreamPool, *, together: bool = False) -> None:
        self._pool, self._together = pool, together
        self._readings: list[_Reading[Owner]] = []

    def __bool__(self) -> bool:
        return any(not reading.done for reading in self._readings)

    @property
    def unread(self) -> int:
        """Tokens that are still to be held."""
        return sum(len(each.text) - each.held for each in self._readings if not each.done)

    def add(self, owner: Owner, streams: Sequence[Stream], texts: Sequence[Sequence[int]]) -> None:
        """Have these streams, each of which holds a part of its text or nothing, read the rest."""
        for stream, text in zip(streams, texts, strict=True):
            common = [
                (other, min(common_prefix(other.text, text), len(text) - 1, len(other.text) - 1))
                for other in self._readings
            ]
            self._readings.append(_Reading(owner, stream, text, common))

    def remove(self, owner: Owner) -> None:
        """Read no more of this owner's, and take nothing from its streams."""
        self._readings = [each for each in self._readings if each.owner is not owner]
        for reading in self._readings:
            reading.common = [pair for pair in reading.common if pair[0].owner is not owner]

    def finish(self, owner: Owner) -> None:
        """All of this owner's is read; others may still take the beginning from its streams."""
        for reading in self._readings:
            reading.done |= reading.owner is owner
        if not self:
            self._readings.clear()

    def pieces(self, room: int) -> list[tuple[Owner, Part]]:
        """What to evaluate next, at most `room` tokens, in equal shares; the last tokens of an
        owner's texts together, with logits, since these last until the next evaluation only."""
        ready = [each for each in self._readings if not each.done and not self._waits(each)]
        ahead: dict[int, int] = {}
        parts: list[tuple[Owner, Part]] = []
        reading_on = [each for each in ready if each.left > 0]
        for number, reading in enumerate(reading_on):
            share = -(-room // (len(reading_on) - number))
            size = min(share, self._stop(reading) - reading.held)
            if size > 0:
                piece = reading.text[reading.held : reading.held + size]
                parts.append((reading.owner, Part(reading.stream, piece)))
                ahead[id(reading)] = size
                room -= size
        owned = self._by_owner()
        ends = [own for own in owned if all(r.left == ahead.get(id(r), 0) for r in own)]
        if self._together and (len(ends) < len(owned) or sum(map(len, ends)) > room):
            return parts
        for own in ends:
            if len(own) <= room:
                parts += [(each.owner, Part(each.stream, each.text[-1:], 1)) for each in own]
                room -= len(own)
        return parts

    def _by_owner(self) -> list[list[_Reading[Owner]]]:
        grouped: dict[int, list[_Reading[Owner]]] = {}
        for reading in self._readings:
            if not reading.done:
                grouped.setdefault(id(reading.owner), []).append(reading)
        return list(grouped.values())

    def _waits(self, reading: _Reading[Owner]) -> bool:
        """Whether one before it will soon hold more of what both begin with; what one holds already
        is taken over."""
        waits = False
        for other, common in reading.common:
            if common <= reading.held:
                continue
            if other.held < common:
                waits = True
            elif self._pool.lends(other.stream, common):
                reading.stream.cut(0)
                self._pool.copy(other.stream, reading.stream, common)
        return waits

    def _stop(self, reading: _Reading[Owner]) -> int:
        """Where it stops next, so that another may take over what it holds there: memory that
        cannot be cut can only be copied whole."""
        departures = [
            common
            for later in self._readings
            for other, common in later.common
            if other is reading and not later.done and max(reading.held, later.held) < common
        ]
        return min(departures, default=len(reading.text) - 1)
