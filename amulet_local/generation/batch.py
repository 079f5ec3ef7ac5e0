"""Several replies written at once, one evaluation a step; each joins and leaves between two steps.

Replies as they begin go in; each tells its own Step and Finished events. In a step, every reply
that is being written takes a token, chosen as in decoding.py, and those whose prompts are not read
yet read a piece of them, in the same evaluation, so that a long prompt holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from amulet_local.errors import AmuletError
from amulet_local.generation.decoding import Combine, choose_from
from amulet_local.generation.reading import PromptReader
from amulet_local.generation.reply import GrowingReply
from amulet_local.generation.speculative import Drafter
from amulet_local.protocol.messages import FinishReason
from amulet_local.realignment import Row, Workspace
from amulet_local.runtime.llama.errors import AbortedError, NoCellsError
from amulet_local.runtime.lockstep import Lockstep, Progress
from amulet_local.runtime.stream_pool import Part, StreamPool
from amulet_local.runtime.streams import Stream

READ_BESIDE = 64  # tokens of prompts in a step while replies are written, which wait for it


@dataclass(frozen=True)
class BatchItem:
    """A reply to be written: what hears of its tokens, the prompt of each of its streams, and how
    they combine. stopped: asked before every step. ended: hears when it has ended, or why it cannot
    be written, and raises that where the others are not to go on. begin_drafter: what guesses ahead
    in it while it is alone, if anything does."""

    reply: GrowingReply
    prompts: Sequence[Sequence[int]]
    combine: Combine
    stopped: Callable[[], bool] = lambda: False
    ended: Callable[[AmuletError | None], None] = lambda error: _raise(error)
    begin_drafter: Callable[[], Drafter | None] = lambda: None

    @property
    def lengths(self) -> list[int]:
        """Tokens that each stream holds before the first that is written."""
        return [len(prompt) + len(self.reply.begun) for prompt in self.prompts]


@dataclass(eq=False)
class _Member:
    """A reply in the batch. streams: those it has, none while it waits. block: the logits after its
    last token and after each guess, for as long as they last. evaluated: tokens of its prompts."""

    item: BatchItem
    streams: list[Stream] = field(default_factory=list)
    texts: list[list[int]] = field(default_factory=list)
    is_read: bool = False
    block: list[list[Row]] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    drafter: Drafter | None = None
    newest: int = 0  # token, not evaluated yet
    evaluated: int = 0


class RunningBatch:
    """Replies that are written together over the streams of a pool.

    most: replies at once; further ones wait for their turn. room: tokens that each may have; None
    for as many as its streams hold. together: whether they begin with the same step, once all
    prompts are read.
    """

    def __init__(
        self,
        pool: StreamPool,
        work: Workspace,
        most: int,
        room: int | None = None,
        *,
        together: bool = False,
    ) -> None:
        self._pool, self._work, self._most, self._room = pool, work, most, room
        self._reader: PromptReader[_Member] = PromptReader(pool, together=together)
        self._waiting: list[_Member] = []
        self._running: list[_Member] = []
        self._is_short_of_cells = False  # until a reply ends

    def __len__(self) -> int:
        """How many are written or wait."""
        return len(self._waiting) + len(self._running)

    @property
    def unread(self) -> int:
        """Tokens of prompts that are still to be read, of all replies that have streams."""
        return self._reader.unread

    def join(self, item: BatchItem) -> None:
        """Have a reply written from the next step on, or as soon as there are streams for it."""
        self._waiting.append(_Member(item))

    def step(self) -> None:
        """A token for each reply that is being written, and a piece of the prompts that are read.

        Raises AbortedError, with the replies as they are, and DecodeError.
        """
        for member in [each for each in self._members if each.item.stopped()]:
            self._leave(member, "cancelled")
        for member in [each for each in self._running if each.block]:
            self._write(member)
        self._admit()  # after that, since logits may be lost as streams are taken
        while parts := self._parts():
            try:
                rows = iter(self._pool.evaluate([part for _, part in parts]))
            except NoCellsError:
                self._make_room()
            else:
                self._hand_out(parts, rows)
                return

    def end(self, reason: FinishReason) -> None:
        """Have all replies end with what they have."""
        for member in self._members:
            self._leave(member, reason)

    def fail(self, error: AmuletError) -> None:
        """No reply can be written on."""
        for member in self._members:
            self._leave(member, None)
            member.item.ended(error)

    @property
    def _members(self) -> list[_Member]:
        return [*self._running, *self._waiting]

    # -- joining and leaving ------------------------------------------------------------------

    def _admit(self) -> None:
        """First come, first served; one that was put back goes on where it was."""
        if self._is_short_of_cells and self._running:
            return
        self._is_short_of_cells = False
        while self._waiting and len(self._running) < self._most:
            member = self._waiting[0]
            tokens = member.item.reply.tokens
            texts = [[*prompt, *tokens] for prompt in member.item.prompts]
            streams = self._pool.take(texts)
            if streams is None:
                return
            self._running.append(self._waiting.pop(0))
            member.streams, member.texts = streams, texts
            self._reader.add(member, streams, texts)

    def _leave(self, member: _Member, reason: FinishReason | None) -> None:
        """Free its streams, and tell why it ends; None for one that failed, or only waits."""
        if member in self._waiting:
            self._waiting.remove(member)
        else:
            self._running.remove(member)
            self._reader.remove(member)
            self._pool.give_back(member.streams)
        member.streams, member.block, member.draft, member.is_read = [], [], [], False
        if reason:
            self._is_short_of_cells = False
            member.item.reply.finish(reason)
            member.item.ended(None)

    def _make_room(self) -> None:
        """The reply that came last waits until another has ended; one alone fills the cache."""
        newest = self._running[-1]
        alone = len(self._running) == 1
        self._leave(newest, "length" if alone else None)
        if not alone:
            self._waiting.insert(0, newest)
            self._is_short_of_cells = True

    # -- writing ------------------------------------------------------------------------------

    def _write(self, member: _Member) -> None:
        """Take a token, and more where guesses were right."""
        reply, taken = member.item.reply, 0
        if not member.drafter:
            member.drafter = member.item.begin_drafter()
        try:
            for decoded in choose_from(
                member.block,
                member.draft,
                member.item.combine,
                reply.sampler,
                self._work,
                member.drafter,
            ):
                taken, member.newest = taken + 1, decoded.token
                reason = reply.take(decoded)
                if reason is None and self._is_full(member, taken):
                    reason = "length"
                if reason:
                    self._leave(member, reason)
                    return
        except AmuletError as error:
            self._leave(member, None)
            member.item.ended(error)
            return
        for stream in member.streams:
            stream.cut(len(stream.tokens) - (len(member.block) - taken))
        member.block, member.draft = [], self._guesses(member)

    def _is_full(self, member: _Member, taken: int) -> bool:
        """Whether no token can come behind the one just taken."""
        if self._room is not None and member.item.reply.written >= self._room:
            return True
        wrong = len(member.block) - taken
        return max(len(stream.tokens) for stream in member.streams) - wrong >= self._pool.length

    def _guesses(self, member: _Member) -> list[int]:
        """What may come next, while nobody else pays for looking."""
        if not member.drafter or len(self._running) > 1 or self._waiting:
            return []
        used = max(len(stream.tokens) for stream in member.streams)
        room = min(self._pool.length - used, self._pool.outputs // len(member.streams))
        return member.drafter.propose(room - 1)

    # -- what is evaluated --------------------------------------------------------------------

    def _parts(self) -> list[tuple[_Member, Part]]:
        """The newest tokens of the replies that are written, and pieces of prompts behind them."""
        parts = [
            (member, Part(stream, [member.newest, *member.draft], 1 + len(member.draft)))
            for member in self._running
            if member.is_read
            for stream in member.streams
        ]
        room = self._pool.capacity - sum(len(part.tokens) for _, part in parts)
        return parts + self._reader.pieces(min(room, READ_BESIDE) if parts else room)

    def _hand_out(self, parts: Sequence[tuple[_Member, Part]], rows: Iterator[Row]) -> None:
        """Give each reply the rows of its streams, by token."""
        for member, part in parts:
            if not member.is_read:
                member.evaluated += len(part.tokens)
            if not member.block:
                member.block = [[] for _ in range(part.outputs)]
            for number in range(part.outputs):
                member.block[number].append(next(rows))
        for member in self._running:
            if member.block and not member.is_read:
                member.is_read = True
                self._reader.finish(member)
                reply = member.item.reply
                reply.costs.read(self._pool, member.texts, member.evaluated, reply.written)


def write_batch(
    lockstep: Lockstep,
    items: Sequence[BatchItem],
    room: int,
    work: Workspace,
    on_progress: Progress,
) -> None:
    """Write until each reply has ended, with `room` tokens at most.

    lockstep: in one context, with as many streams as there are prompts. Stopped, every reply ends
    with what it has. Raises DecodeError.
    """
    batch = RunningBatch(StreamPool(lockstep), work, len(items), room, together=True)
    for item in items:
        batch.join(item)
    total = sum(len(prompt) for item in items for prompt in item.prompts)
    try:
        while batch:
            batch.step()
            if left := batch.unread:
                on_progress(total - left, total)
    except AbortedError:
        batch.end("cancelled")


def _raise(error: AmuletError | None) -> None:
    if error:
        raise error
