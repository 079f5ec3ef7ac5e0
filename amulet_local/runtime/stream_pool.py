"""Streams that come and go over one context: taken for a reply, given back, each at its own place.

Token ids go in, logits come out. What a stream holds is kept when it is given back, so that a later
prompt with the same beginning need not be read again. Nothing here knows of text, replies or
sampling.

Where cells are given once and for all, each stream has an equal part of them to itself, so that a
row goes over its own text alone; all share one pool once a text outgrows its part. There a row goes
over all that is in use, so only a little of what waits stays, and the rest is parked, the one given
back longest ago first (see parking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from amulet_local.errors import UsageError
from amulet_local.realignment import Row
from amulet_local.runtime.cells import grow
from amulet_local.runtime.llama.context import Batch
from amulet_local.runtime.llama.errors import NoCellsError
from amulet_local.runtime.load_defaults import PADDING
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.parking import Parked, Parking
from amulet_local.runtime.prefix_tree import common_prefix
from amulet_local.runtime.streams import Stream

_PER_CELL = 500_000  # weights: cells of a model's weights / this make a step a twentieth longer


@dataclass(frozen=True)
class Part:
    """Tokens to append to a stream, of which the last `outputs` give logits."""

    stream: Stream
    tokens: Sequence[int]
    outputs: int = 0


class StreamPool:
    """The streams of a Lockstep in one context, each advanced by itself. For one thread.

    evaluated, steps: rows and evaluations so far, for who counts.
    """

    def __init__(self, lockstep: Lockstep) -> None:
        self._streams = lockstep.all_streams
        (self._context,) = {stream.context for stream in self._streams}
        self.length, self.can_rewind = lockstep.length, lockstep.can_rewind
        self._most_cells = lockstep.most_cells
        # Cells that each stream may have to itself, 0 where that cannot be.
        parts = lockstep.is_fixed and lockstep.can_part
        self._part = self._most_cells // len(self._streams) // PADDING * PADDING if parts else 0
        self._idle = list(self._streams)  # given back longest ago first
        self._latest: set[int] = set()  # by id, of those given back last
        self._parking = Parking(window=lockstep.model.window > 0)
        self._at_hand = lockstep.model.parameters // _PER_CELL  # tokens that may wait in cells
        self._added: dict[int, int] = {}  # tokens in the batch, by stream
        self._batch = Batch(self._context.rows)
        self.evaluated = self.steps = 0
        if self._part:
            self._move(apart=True)

    @property
    def capacity(self) -> int:
        """The most tokens of one evaluation."""
        return self._batch.capacity

    @property
    def outputs(self) -> int:
        """The most tokens of one evaluation that may give logits."""
        return self._context.outputs

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._streams)

    @property
    def free(self) -> int:
        """How many nobody has taken."""
        return len(self._idle)

    def take(self, prompts: Sequence[Sequence[int]]) -> list[Stream] | None:
        """A stream for each prompt, with as much of its beginning as is held, but never all of it;
        None where too few are free. Logits do not outlast it."""
        if len(prompts) > len(self._idle):
            return None
        if self._context.apart and max(map(len, prompts)) > self._part:
            self._move(apart=False)
        held = [self._longest_held(prompt) for prompt in prompts]
        sources = {id(source) for source, _ in held}
        taken: list[Stream | None] = [None] * len(prompts)
        for k, (source, shared) in enumerate(held):  # nothing is lost where a text just goes on
            if source in self._idle and 0 < shared == len(source.tokens):
                self._idle.remove(source)
                taken[k] = source
        while waiting := self._too_much(sources):
            self._parking.park(waiting)
        for k, (source, shared) in enumerate(held):
            if taken[k] is None:
                taken[k] = target = self._unused(sources)
                if target is source:
                    target.cut(shared)
                else:
                    self._parking.park(target)  # it may have been a source, where no other was left
                    self._lend(source, target, shared)
        return [stream for stream in taken if stream]

    def give_back(self, streams: Sequence[Stream]) -> None:
        """Others may take these now."""
        self._idle.extend(streams)
        self._latest = {id(stream) for stream in streams}

    def tidy(self) -> bool:
        """Move a text that waits out of a pool that all share, but not what was given back last,
        which is likely to go on, or give each stream its part again; False where there is nothing
        to be moved. For when there is nothing else to do."""
        if waiting := self._too_much(self._latest):
            self._parking.park(waiting)
            return True
        longest = max(len(stream.tokens) for stream in self._streams)
        if self._context.apart or not self._part or longest > self._part // 2:
            return False
        with suppress(UsageError):  # no memory for it, and it is as it was
            self._move(apart=True)
        return self._context.apart

    def lends(self, source: Stream | Parked, length: int) -> bool:
        """Whether a stream can take over the first tokens that are held here: all of them, or fewer
        where memory can be cut and no sliding window has dropped any."""
        if length == len(source.tokens):
            return True
        return self.can_rewind and source.is_whole

    def copy(self, source: Stream, target: Stream, length: int) -> None:
        """Let an empty stream hold the first tokens of one that `lends` them; they share cells."""
        if length:
            self._context.copy(source.sequence, target.sequence, length)
            target.tokens[:] = source.tokens[:length]

    def evaluate(self, parts: Sequence[Part]) -> list[Row]:
        """Append to streams, in one evaluation of at most `capacity` tokens.

        Returns the logits asked for, float32 (vocabulary,) each, in order; valid until the next
        evaluation. Raises AbortedError, DecodeError, and NoCellsError where the streams that are
        taken leave no room; nothing is then appended.
        """
        if self._context.apart:
            self._close_gaps()
        self._batch.clear()
        self._added = {id(part.stream): 0 for part in parts}
        order = sorted(range(len(parts)), key=lambda place: parts[place].stream.sequence)
        for part in [parts[place] for place in order]:
            self._added[id(part.stream)] += len(part.tokens)
            stream, start = part.stream, len(part.stream.tokens)
            self._batch.add(part.tokens, start, stream.sequence, outputs=part.outputs)
            stream.tokens.extend(part.tokens)
        try:
            self._decode()
        except NoCellsError:  # as if it had not been tried
            for part in parts:
                del part.stream.tokens[len(part.stream.tokens) - len(part.tokens) :]
            raise
        except BaseException:
            for part in reversed(parts):
                part.stream.cut(len(part.stream.tokens) - len(part.tokens), uncertain=True)
            raise
        finally:
            self._added.clear()
        self.steps += 1
        self.evaluated += self._batch.size
        rows = iter(self._context.logits(sum(part.outputs for part in parts)))
        told = {place: list(islice(rows, parts[place].outputs)) for place in order}
        return [row for place in range(len(parts)) for row in told[place]]

    def _decode(self) -> None:
        while True:
            try:
                self._context.decode(self._batch)
            except NoCellsError:
                if not self._make_room():
                    raise
            else:
                return

    def _make_room(self) -> bool:
        """More cells, or fewer in use; False where neither can be."""
        if self._context.apart or self._context.length < self._most_cells:
            self._move(apart=False)
            return True
        unused = next((stream for stream in self._idle if stream.tokens), None)
        if unused:
            self._parking.park(unused)
        return unused is not None

    def _move(self, *, apart: bool) -> None:
        """Give each stream its part of the cells, or all of them to all, with what they hold."""
        cells = self._part * len(self._streams) if apart else self._most_cells
        grow(self._context, self._streams, self._held(), cells, apart=apart)

    def _held(self) -> list[int]:
        """How many tokens each stream holds, those left out that are being evaluated."""
        return [len(stream.tokens) - self._added.get(id(stream), 0) for stream in self._streams]

    def _too_much(self, kept: set[int]) -> Stream | None:
        """The first stream to be parked where more waits in the pool than may: of those given back
        longest ago, but for some by id."""
        if self._context.apart:
            return None
        waiting = [each for each in self._idle if each.tokens and id(each) not in kept]
        tokens = sum(len(stream.tokens) for stream in waiting)
        return waiting[0] if tokens > self._at_hand else None

    def _longest_held(self, prompt: Sequence[int]) -> tuple[Stream | Parked, int]:
        """What holds most of a prompt's beginning, and how much; free streams first."""
        busy = [stream for stream in self._streams if stream not in self._idle]
        every: list[Stream | Parked] = [*reversed(self._idle), *busy]
        best, most = every[0], 0
        for each in [*every, *reversed(self._parking.texts)]:
            shared = min(common_prefix(each.tokens, prompt), len(prompt) - 1)
            if shared > most and self.lends(each, shared):
                best, most = each, shared
        return best, most

    def _lend(self, source: Stream | Parked, target: Stream, length: int) -> None:
        """Let an empty stream begin with what is held elsewhere, if it is still there."""
        if isinstance(source, Parked):
            if source in self._parking.texts:
                self._parking.fetch(source, target, length)
        elif length <= len(source.tokens):
            self.copy(source, target, length)

    def _unused(self, sources: set[int]) -> Stream:
        """The free stream whose loss is least: an empty one, else the one given back longest ago
        that nothing is to be copied from."""
        empty = next((stream for stream in self._idle if not stream.tokens), None)
        spare = next((stream for stream in self._idle if id(stream) not in sources), None)
        stream = empty or spare or self._idle[0]
        self._idle.remove(stream)
        return stream

    def _close_gaps(self) -> None:
        """Have those in use be neighbours: llama.cpp evaluates rows of others one after the other,
        where each has its own cells. Moving a text takes less than one such step."""
        busy = [stream for stream in self._streams if stream not in self._idle]
        first = min(stream.sequence for stream in busy)
        wanted = range(first, first + len(busy))
        outside = [stream for stream in busy if stream.sequence not in wanted]
        between = [stream for stream in self._idle if stream.sequence in wanted]
        for one, other in zip(outside, between, strict=True):
            states = [self._context.state(stream.sequence) for stream in (one, other)]
            one.sequence, other.sequence = other.sequence, one.sequence
            for stream, state in zip((one, other), states, strict=True):
                self._context.restore(stream.sequence, state)
