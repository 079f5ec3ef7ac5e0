"""N prompt streams over one model, advanced by the same tokens.

Stream 0 is the base, each other carries a preference. Token ids go in, logits come out, one row a
stream. Two arrangements of the same thing: one context with a sequence for each stream, where a
step reads the weights once for all of them, or one context per stream; cells.py says whose the
cells of the one context are. What a stream has evaluated is kept, so a new prompt costs only what
changed. Nothing here knows of text, templates or sampling.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.realignment import Row
from amulet_local.runtime.cells import grow, make_room, more_cells
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.errors import NoCellsError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import usual_context
from amulet_local.runtime.prefix_tree import common_prefix, shared_prefixes
from amulet_local.runtime.streams import Stream, can_rewind, open_streams

Progress = Callable[[int, int], None]


class Lockstep:
    """The streams of one loaded model. Not for several threads, but for `abort` and `resume`.

    close: frees the caches; the model must still be alive.
    """

    def __init__(
        self, model: Model, options: LoadOptions, streams: int = 2, cells: int = 0
    ) -> None:
        """cells: of a context that does not grow; 0: it does. Raises UsageError, DecodeError."""
        self.length = options.context or usual_context(model.context_trained)
        self.arrangement: Arrangement = (
            "two-contexts" if options.streams == "two-contexts" else "one-context"
        )
        with ExitStack() as owned:
            self._streams = open_streams(owned, model, options, streams, self.length, cells)
            self.model, self._options = model, options
            self._contexts = list(dict.fromkeys(stream.context for stream in self._streams))
            self.activate(())
            self._batch = Batch(min(context.rows for context in self._contexts))
            self.evaluated = self.steps = 0  # rows decoded and blocks advanced, for who counts
            self.is_fixed = bool(cells)  # whether it has all cells from the start
            self.most_cells = cells or self.length * self._contexts[0].sequences
            self._last_prompts: list[list[int]] = []
            self._last_logits: list[Row] = []
            self.can_rewind = can_rewind(self._contexts[0])
            # Whether its streams may have cells to themselves.
            self.can_part = self.can_rewind and not model.window
            self._owned = owned.pop_all()
            self.close = self._owned.close

    def open(self, count: int) -> None:
        """Have so many streams at least; those there are keep what they hold.

        Raises UsageError, NoDeviceMemoryError where there is no memory for more.
        """
        if (more := count - len(self._streams)) <= 0:
            return
        if self.arrangement == "one-context":
            (context,) = self._contexts
            held = [len(stream.tokens) for stream in self._streams]
            cells = self.length * count if context.apart else context.length
            grow(context, self._streams, held, cells, count, apart=context.apart)
            self._streams += [Stream(context, k, []) for k in range(count - more, count)]
        else:
            opened = open_streams(self._owned, self.model, self._options, more, self.length)
            self._streams += opened
            self._contexts += [stream.context for stream in opened]
            if self._contexts[0].aborted:
                self.abort()
        self._batch = Batch(min(context.rows for context in self._contexts))
        self.most_cells = self.length * self._contexts[0].sequences

    def abort(self) -> None:
        """From any thread: make the evaluation under way, and later ones, raise AbortedError."""
        for context in self._contexts:
            context.abort()

    def resume(self) -> None:
        """Allow evaluation again."""
        for context in self._contexts:
            context.resume()

    def activate(self, streams: Iterable[int]) -> None:
        """Have these be the ones that `advance` and `rewind` are about, by number."""
        self.active = tuple(streams)
        self._active = [self._streams[k] for k in self.active]

    @property
    def used(self) -> int:
        """Tokens of the longest active stream."""
        return max((len(stream.tokens) for stream in self._active), default=0)

    @property
    def room(self) -> int:
        """Tokens that every active stream can still take."""
        return self.length - self.used

    @property
    def longest_block(self) -> int:
        """Tokens that can be appended to every active stream in one decode."""
        contexts = [stream.context for stream in self._active]
        return min(context.outputs // contexts.count(context) for context in contexts)

    def prefill(
        self, prompts: Mapping[int, Sequence[int]], on_progress: Progress | None = None
    ) -> list[Row]:
        """Bring the named streams to the ends of their prompts; the other streams rest as they are.

        prompts: stream -> token ids, at least one each, at most `length`. Only what differs from
        the last call is evaluated, and what streams of one context have in common only once.
        on_progress(done, total) counts prompt tokens that are evaluated, over the named streams.
        Returns the logits after each prompt, float32 (streams, vocabulary), valid until the next
        prefill. Raises AbortedError; what was evaluated until then stays for the next call.
        """
        self.activate(prompts)
        wanted = list(prompts.values())
        total = sum(map(len, wanted))

        def report() -> None:
            if on_progress:
                on_progress(sum(len(stream.tokens) for stream in self._active), total)

        if self._rewind_to_last(wanted):
            report()
            return self._last_logits
        rows = self._read(wanted, report)
        self._last_prompts = [list(prompt) for prompt in wanted]
        self._last_logits = [row.copy() for row in rows]
        return self._last_logits

    def read_ahead(
        self, beginnings: Mapping[int, Sequence[int]], rows: int, go_on: Callable[[], None]
    ) -> None:
        """Bring the named streams to where prompts begin that may be wanted next.

        rows: the most to evaluate in one decode, between which go_on is called; whatever that
        raises ends it, and what was read stays. Raises AbortedError likewise.
        """
        self.activate(beginnings)
        pairs = zip(self._active, beginnings.values(), strict=True)
        if all(common_prefix(stream.tokens, text) == len(text) for stream, text in pairs):
            return
        full, self._batch = self._batch, Batch(min(rows, self._batch.capacity))
        try:
            self._read(list(beginnings.values()), go_on)
        finally:
            self._batch = full

    def _read(self, wanted: Sequence[Sequence[int]], report: Callable[[], None]) -> list[Row]:
        """Evaluate what the active streams lack of these prompts; the logits after each."""
        for stream, prompt in zip(self._active, wanted, strict=True):
            stream.cut(min(common_prefix(stream.tokens, prompt), len(prompt) - 1))
        self.make_room(wanted)
        self._share_prefixes(wanted, report)
        rows: list[Row] = []
        for context in self._contexts:
            work = [
                (stream, prompt)
                for stream, prompt in zip(self._active, wanted, strict=True)
                if stream.context is context
            ]
            self._begin()
            for stream, prompt in work:
                self._add(stream, prompt[len(stream.tokens) : -1], report)
            # Logits last until the next decode only, so all streams end in the same one.
            if self._batch.size + len(work) > self._batch.capacity:
                self._decode(context, report)
            for stream, prompt in work:
                self._add(stream, prompt[-1:], report, outputs=1)
            if work:
                self._decode(context, report)
                rows.extend(context.logits(len(work)))
        return rows

    def _rewind_to_last(self, wanted: Sequence[Sequence[int]]) -> bool:
        """Go back to the ends of the last prompts if they are wanted again: a reply written anew
        costs nothing to begin, and the same seed meets the very same numbers."""
        if self._last_prompts != [list(prompt) for prompt in wanted]:
            return False
        for stream, prompt in zip(self._active, wanted, strict=True):
            stream.cut(common_prefix(stream.tokens, prompt))
        return [len(stream.tokens) for stream in self._active] == [len(each) for each in wanted]

    def advance(self, block: Sequence[int]) -> list[list[Row]]:
        """Append the same tokens to every active stream, in one decode where it is no longer than
        `longest_block`.

        Returns the logits after each token of the block: (block, streams, vocabulary), valid until
        the next evaluation. Raises AbortedError; the block is then not appended.
        """
        rows: list[list[Row]] = []
        before = [len(stream.tokens) for stream in self._active]
        most = self.longest_block
        try:
            for start in range(0, len(block), most):
                # Logits last until the next decode only.
                rows = [[row.copy() for row in streams] for streams in rows]
                rows += self._appended(block[start : start + most])
        except BaseException:
            for stream, length in zip(self._active, before, strict=True):
                stream.cut(min(length, len(stream.tokens)))
            raise
        self.steps += 1
        return rows

    def _appended(self, block: Sequence[int]) -> list[list[Row]]:
        """A block that one decode can evaluate, appended; the logits as `advance` returns them."""
        rows: list[list[Row]] = [[] for _ in block]
        for context in self._contexts:
            streams = [stream for stream in self._active if stream.context is context]
            self._begin()
            # Token by token, so that cells lie as if each had been a block of its own: attention
            # adds up in their order, and so rounds alike.
            for token, stream in itertools.product(block, streams):
                self._add(stream, [token], outputs=1)
            if streams:
                self._decode(context)
                for index, row in enumerate(context.logits(len(block) * len(streams))):
                    rows[index // len(streams)].append(row)
        return rows

    def advance_each(self, tokens: Mapping[int, int]) -> dict[int, Row]:
        """Append to each of the named streams a token of its own; the others rest.

        Returns the logits after it by stream, float32 (vocabulary,), valid until the next
        evaluation. Raises AbortedError.
        """
        self.activate(tokens)
        rows: dict[int, Row] = {}
        for context in self._contexts:
            here = [k for k in tokens if self._streams[k].context is context]
            self._begin()
            for k in here:
                self._add(self._streams[k], [tokens[k]], outputs=1)
            if here:
                self._decode(context)
                rows |= zip(here, context.logits(len(here)), strict=True)
        return rows

    def copy(self, source: int, target: int) -> None:
        """Let a stream hold what another of its context holds, in place of what it holds; nothing
        is evaluated, and the cells are shared."""
        origin, copy = self._streams[source], self._streams[target]
        assert origin.context is copy.context
        copy.cut(0)
        origin.context.copy(origin.sequence, copy.sequence, len(origin.tokens))
        copy.tokens = list(origin.tokens)

    def rewind(self, count: int) -> None:
        """Forget the last `count` tokens of every active stream; only where `can_rewind`."""
        for stream in self._active:
            stream.cut(len(stream.tokens) - count)

    @property
    def decode_s(self) -> float:
        """Seconds spent in llama_decode so far."""
        return sum(context.decode_s for context in self._contexts)

    @property
    def cells(self) -> int:
        """KV cells allocated, over all contexts."""
        return sum(context.length for context in self._contexts)

    @property
    def all_streams(self) -> tuple[Stream, ...]:
        """For who advances each by itself, and nothing through here meanwhile."""
        return tuple(self._streams)

    def make_room(self, prompts: Sequence[Sequence[int]]) -> None:
        """Have cells for prompts of the active streams, in their order, before they are there."""
        if self.arrangement == "one-context":  # else each has its own from the start
            (context,) = self._contexts
            make_room(
                context,
                self._streams,
                prompts,
                self.length,
                self.most_cells,
                may_part=self.can_part and not self.is_fixed,
            )

    def _share_prefixes(self, prompts: Sequence[Sequence[int]], report: Callable[[], None]) -> None:
        """Evaluate once what prompts of one context have in common, as a tree, and copy it."""
        by_context: dict[Context, list[tuple[Stream, Sequence[int]]]] = {}
        for stream, prompt in zip(self._active, prompts, strict=True):
            by_context.setdefault(stream.context, []).append((stream, prompt))
        for context, group in by_context.items():
            if context.apart:
                continue
            for together, shared in shared_prefixes(group):
                (first, prompt), *others = together
                for stream, _ in others:
                    if shared <= len(stream.tokens):
                        continue
                    self._begin()
                    self._add(first, prompt[len(first.tokens) : shared], report)
                    self._decode(context, report)
                    if self.can_rewind or len(first.tokens) == shared:  # else only a whole copy
                        stream.cut(0)
                        context.copy(first.sequence, stream.sequence, shared)
                        stream.tokens = list(prompt[:shared])
                        report()

    def _begin(self) -> None:
        self._batch.clear()
        self._before = [len(stream.tokens) for stream in self._streams]

    def _add(
        self,
        stream: Stream,
        tokens: Sequence[int],
        report: Callable[[], None] | None = None,
        outputs: int = 0,
    ) -> None:
        """Put tokens at a stream's end into the batch, which is decoded whenever it is full."""
        start = 0
        while start < len(tokens):
            if self._batch.size == self._batch.capacity:
                self._decode(stream.context, report)
            chunk = tokens[start : start + self._batch.capacity - self._batch.size]
            self._batch.add(chunk, len(stream.tokens), stream.sequence, outputs=outputs)
            stream.tokens.extend(chunk)
            start += len(chunk)

    def _decode(self, context: Context, report: Callable[[], None] | None = None) -> None:
        """Evaluate the batch; if that fails, its tokens were never there."""
        if self._batch.size == 0:
            return
        try:
            try:
                context.decode(self._batch)
            except NoCellsError:  # the streams share less than was hoped for
                more_cells(context, self._streams, self._before, self.length, self.most_cells)
                context.decode(self._batch)
        except BaseException:
            for stream, length in zip(self._streams, self._before, strict=True):
                stream.cut(min(length, len(stream.tokens)), uncertain=True)
            raise
        self.evaluated += self._batch.size
        self._begin()
        if report:
            report()
