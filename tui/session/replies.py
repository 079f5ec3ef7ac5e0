"""The replies that the engine writes: the one under way, and those of chats that were left.

The engine's events go in; Changes come out, and what was written goes into the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from amulet_local.chats.chat import GrowingReply
from amulet_local.chats.conversation import Node
from amulet_local.chats.wishes import join_wish
from amulet_local.errors import AmuletError, UsageError
from amulet_local.protocol.messages import Event, Failed, Finished, Prefilling, Stats, Step
from tui.session.changes import Activity, BranchChanged, Change, Ended, GivenBack, Noticed
from tui.session.engine_link import EngineLink, not_begun
from tui.session.streaming_reply import StreamingReply

_STEPS = 8  # that tell a speed


def taken(path: Sequence[Node]) -> int:
    """Tokens that a branch takes of a context, as the last of its replies left it."""
    endings = (node.ending.stats for node in reversed(path) if node.ending)
    return next((stats.context_tokens for stats in endings if stats and stats.context_tokens), 0)


class Replies:
    """current: the reply under way in the open chat, if any."""

    def __init__(self, link: EngineLink) -> None:
        self.current: StreamingReply | None = None
        self._link = link
        self._left: dict[int, StreamingReply] = {}  # stopped, of chats that were left
        self._stats: Stats | None = None  # of the last reply in this chat
        self._context_used = 0
        self._unsaved = False
        self._growing: dict[int, GrowingReply] = {}  # those that take their steps early
        link.hear_early(self._take_early)

    @property
    def expected(self) -> bool:
        """Whether the engine will say more of a reply."""
        return bool(self.current or self._left)

    @property
    def context_used(self) -> int:
        """Tokens that a chat takes of the context, the reply under way included."""
        return self._context_used + (self.current.tokens if self.current else 0)

    @property
    def speed(self) -> float:
        """Tokens a second of the reply under way, or of the last one."""
        if self.current:
            return self.current.speed
        return self._stats.tokens_per_s if self._stats else 0.0

    @property
    def steps_per_s(self) -> float:
        """Steps a second of the last reply, whatever was guessed; 0 where it was too short."""
        stats = self._stats
        long_enough = stats and stats.blocks >= _STEPS and stats.decode_s > 0
        return stats.blocks / stats.decode_s if stats and long_enough else 0.0

    @property
    def pace(self) -> float:
        """The speed of the last reply against a plain chat's: a block costs more, and may hold
        several tokens."""
        stats, cost = self._stats, self._link.cost
        if not stats or not stats.blocks or stats.streams < 2 or not cost:
            return 0.0
        return stats.tokens / stats.blocks / cost

    # -- begin and end ------------------------------------------------------------------------

    def begin(self, reply: StreamingReply) -> list[Change]:
        """Have the engine write a reply."""
        self.current, self._context_used = reply, taken(reply.chat.conversation.path())
        if reply.growing.takes_early:
            self._growing = {reply.request.id: reply.growing, **self._growing_left()}
        try:
            self._link.reply(reply.request)
        except (UsageError, OSError) as error:  # too long a message, or no process to be had
            return [*self.give_up(), Noticed(not_begun(error), True)]
        return [BranchChanged()]

    def _take_early(self, event: Event) -> None:
        """On the engine's thread: what it has said is on its way to the store before it is drawn,
        however long that takes."""
        if isinstance(event, Step) and (growing := self._growing.get(event.id)):
            growing.add(event)

    def _growing_left(self) -> dict[int, GrowingReply]:
        return {id_: self._growing[id_] for id_ in self._left if id_ in self._growing}

    def stop(self) -> None:
        """Stop the reply under way; the engine then says how it ends."""
        if self.current and self._link.activity is not Activity.STOPPING:
            self._link.activity = Activity.STOPPING
            self._link.stop()

    def leave(self) -> None:
        """Another chat is opened: what is under way is stopped, and keeps what was written."""
        if self.current:
            self._left[self.current.request.id] = self.current
            self.current = None
            self._link.stop()
            self._link.activity = Activity.READY
        self._stats = None

    def give_up(self) -> list[Change]:
        """Forget the reply under way; a question that was asked for it goes back to the user."""
        reply, self.current = self.current, None
        assert reply is not None
        changes: list[Change] = [BranchChanged()]
        with suppress(AmuletError):  # then the store shows an empty reply, and nothing is lost
            reply.growing.discard()
            if reply.question:
                reply.chat.take_back(reply.question.id)
        if reply.question:
            asked = reply.question.message
            changes.append(GivenBack(join_wish(asked.text, asked.wish)))
        return changes

    def fail(self) -> list[Change]:
        """The engine has not answered what the reply under way was asked for."""
        self._link.activity = Activity.READY
        return self.give_up()

    def break_off(self) -> list[Change]:
        """The engine has died: what was written is kept; a question without an answer goes back to
        the user."""
        self._end_left()
        reply = self.current
        if reply is None:
            return []
        if not reply.tokens:
            return self.give_up()
        self.current = None
        troubles = self._store(reply, reply.growing.break_off)
        return [*troubles, Ended(reply.growing.node)]

    def interrupt(self, reply: StreamingReply) -> list[Change]:
        """The engine has died, and the reply under way is to go on: end it as it is so far."""
        self._end_left()
        self.current = None
        troubles = self._store(reply, reply.as_it_is)
        return [*troubles, Ended(reply.growing.node)] if reply.tokens else troubles

    def save(self) -> None:
        """Store what the reply under way has more, if it is time."""
        if reply := self.current:
            self._store(reply, reply.growing.save)

    def end(self) -> None:
        """The engine is gone: what it was writing ends as it is."""
        self._end_left()
        if reply := self.current:
            self.current = None
            self._store(reply, reply.as_it_is)

    def _end_left(self) -> None:
        for reply in self._left.values():
            self._store(reply, reply.as_it_is)
        self._left.clear()

    # -- what the engine says -----------------------------------------------------------------

    def is_about(self, request: int | None) -> bool:
        """Whether this is the id of the request for the reply under way."""
        return self.current is not None and self.current.request.id == request

    def take(self, event: Prefilling | Step | Failed | Finished) -> list[Change]:
        """Take in what the engine says of a reply; how the one under way ends, says `finish`."""
        reply, link = self.current, self._link
        if isinstance(event, Prefilling):
            # What is read is for the replies that were left first, and for one that is being
            # stopped it does not count.
            if reply and not self._left and link.activity is not Activity.STOPPING:
                link.activity = Activity.READING
                link.done, link.total = event.done, event.total
                self._context_used = event.total // (2 if reply.request.steered else 1)
        elif reply and isinstance(event, Step) and self.is_about(event.id):
            if reply.tokens < reply.request.max_tokens:  # more is none of a reply
                return self._take_step(reply, event)
        elif event.id in self._left:
            return self._take_of_left(self._left[event.id], event)
        return []

    def finish(self, finished: Finished) -> list[Change]:
        """The reply under way has ended."""
        reply = self.current
        assert reply is not None
        stopped = finished.reason == "cancelled"
        self._link.activity = Activity.STOPPED if stopped else Activity.READY
        if finished.stats.context_tokens:
            self._stats = finished.stats
        if stopped and not finished.text and not finished.thought:
            return self.give_up()
        troubles = self._store(reply, lambda: reply.growing.finish(finished))
        self.current = None
        return [Ended(reply.growing.node), *troubles]

    def _take_step(self, reply: StreamingReply, step: Step) -> list[Change]:
        changes = reply.take(step)
        if self._link.activity is not Activity.STOPPING:
            self._link.activity = Activity.THINKING if reply.thinking else Activity.WRITING
        return [*changes, *self._grow(reply, step)]

    def _grow(self, reply: StreamingReply, step: Step) -> list[Change]:
        if reply.growing.steps >= reply.tokens:  # it has taken it early
            return []
        return self._store(reply, lambda: reply.growing.add(step))

    def _take_of_left(self, reply: StreamingReply, event: Step | Finished | Failed) -> list[Change]:
        """What the engine still says of a reply in a chat that was left is part of it."""
        match event:
            case Step():
                reply.take(event)
                return self._grow(reply, event)
            case Finished() if event.text or event.thought:
                keep: Callable[[], object] = partial(reply.growing.finish, event)
            case _:
                keep = reply.as_it_is
        del self._left[reply.request.id]
        return self._store(reply, keep)

    def _store(self, reply: StreamingReply, act: Callable[[], object]) -> list[Change]:
        """Store something of a reply; where that fails, say so once, and go on."""
        try:
            act()
        except AmuletError as error:
            if not self._unsaved:
                self._unsaved = True
                return [Noticed(f"The reply could not be saved: {error}", True)]
        else:
            self._unsaved = False
        return []
