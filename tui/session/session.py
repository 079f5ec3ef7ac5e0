"""A chat without its screen: what is said, what waits, how it is steered, what the engine is at.

The user's acts and the engine's events go in; Changes come out, for a screen to show. The chat
itself is in the store, which is written to as things happen. Messages that come before the model is
ready, or while a reply is written, wait and are sent in turn. Nothing here blocks for long, reads a
clock of its own, or knows of widgets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import msgspec

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History
from amulet_local.chats.provenance import Origin
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError, UsageError, advice, cause
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import usual_strength
from amulet_local.presets.preset import Presets
from amulet_local.prompts.reasoning import CANNOT
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    Loading,
    Notice,
    Pace,
    Prefilling,
    Reply,
    Stats,
    Step,
)
from amulet_local.settings import Settings
from tui.session.changes import (
    Activity,
    BranchChanged,
    Change,
    ChosenModel,
    Ended,
    GivenBack,
    Noticed,
    Status,
    SteeringChoice,
    Unusable,
)
from tui.session.requests import new_request, own, steering_of
from tui.session.streaming_reply import UnderWay

Guest = Callable[[Event], None]  # hears all that the engine says

_IDLE = (Activity.READY, Activity.STOPPED)
BUSY = "A reply is being written; stop it first."
_NOT_READY = {
    Activity.NO_MODEL: "No model is loaded.",
    Activity.LOADING: "The model is still being loaded.",
}


class Session:
    """One chat at a time on one engine.

    steering: may be set at any time; it counts from the next message (see `turn` for the dial).
    thinking: whether replies begin with a thought, where the model can think (see `think`).
    chat: what is open; for looking, its changes go through the methods here.
    """

    def __init__(
        self,
        engine: EngineHandle,
        history: History,
        settings: Settings,
        options: LoadOptions,
        steering: SteeringChoice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.history = history
        self.chat = Chat(history)
        self.thinking = settings.thinking
        self.model: ChosenModel | None = None
        self.steering = steering
        self.options = options  # how models are loaded
        self._engine, self._settings, self._clock = engine, settings, clock
        self._activity = Activity.NO_MODEL
        self._done = self._total = 0.0
        self._waiting: deque[str] = deque()
        self._writing: UnderWay | None = None
        self._left: dict[int, UnderWay] = {}  # stopped, of chats that were left
        self._last_id = 0
        self._stats: Stats | None = None
        self._context_used = 0
        self._loaded: Loaded | None = None
        self._cost = 0.0
        self._unsaved = self._wants_thoughts = False
        self._guest: Guest | None = None
        self._removed: list[str] = []  # chats, the last one last

    @property
    def steering(self) -> SteeringChoice:
        """How the next reply is steered."""
        return self._steering

    @steering.setter
    def steering(self, steering: SteeringChoice) -> None:
        self._steering = self.suited(steering)

    def suited(self, steering: SteeringChoice) -> SteeringChoice:
        """The same at the strength that is usual on the model at hand, where nobody chose one."""
        if steering.given or not steering.preset:
            return steering
        used = msgspec.structs.replace(
            steering.preset, guard=steering.guard, placement=steering.placement
        )
        model = str(self.model.path) if self.model else ""
        return replace(steering, strength=usual_strength(model, used))

    # -- how things stand ---------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """Where things stand now."""
        writing = self._writing
        return Status(
            self._activity,
            writing.steering if writing else self.steering,
            self._done,
            self._total,
            self.model,
            self._speed(),
            self._pace(),
            self._context_used + (writing.tokens if writing else 0),
            self._loaded.context if self._loaded else 0,
            self._loaded.devices if self._loaded else "",
            self.thinking and (not self._loaded or self._loaded.thinks),
        )

    @property
    def path(self) -> tuple[Node, ...]:
        """The messages that are read, oldest first, a reply under way included."""
        return self.chat.conversation.path()

    @property
    def waiting(self) -> Sequence[str]:
        """Messages that wait for their turn."""
        return tuple(self._waiting)

    @property
    def expecting(self) -> bool:
        """Whether the engine is at something, so that it will soon say more."""
        at_work = self._writing or self._left or self._guest
        return bool(at_work) or self._activity is Activity.LOADING

    @property
    def replying(self) -> SteeringChoice | None:
        """What the reply under way is steered by; None if there is none."""
        return self._writing.steering if self._writing else None

    @property
    def writing(self) -> str | None:
        """The id of the message that is being written, if any."""
        return self._writing.growing.node.id if self._writing else None

    # -- the model ----------------------------------------------------------------------------

    def load(self, model: ChosenModel) -> list[Change]:
        """Load a model; messages wait meanwhile."""
        if self._writing:
            return [Noticed(BUSY)]
        self.model, self._loaded, self._cost = model, None, 0.0
        self.steering = self._steering  # at what is usual on this model
        self._activity, self._done, self._total = Activity.LOADING, 0.0, 1.0
        try:
            self._engine.load(as_text(model.path), self.options)
        except AmuletError as error:  # the file is not what it was when it was found
            self._activity = Activity.NO_MODEL
            return [Unusable(str(error))]
        except OSError as error:
            self._activity = Activity.NO_MODEL
            return [Unusable(_not_started(error))]
        return []

    # -- asking -------------------------------------------------------------------------------

    def ask(self, text: str) -> list[Change]:
        """Send a message, or have it wait. After a death, this starts a new engine."""
        self._waiting.append(text)
        if self._activity is Activity.DIED and self.model:
            return [BranchChanged(), *self.load(self.model)]
        return [BranchChanged(), *self._send_next()]

    def regenerate(self, name: str) -> list[Change]:
        """Answer a question once more, or the one that a reply answers; the other replies stay."""
        if refusal := self._not_now():
            return refusal
        node = self.chat.conversation[name]
        question = node if node.message.role == "user" else self.chat.conversation[_parent(node)]
        return self._begin(question)

    def edit(self, name: str, text: str) -> list[Change]:
        """Put a message in other words, beside itself; a question is then answered."""
        if refusal := self._not_now():
            return refusal
        try:
            node = self.chat.edit(name, text)
        except AmuletError as error:
            return [Noticed(str(error), True)]
        return self._begin(node) if node.message.role == "user" else [BranchChanged()]

    def go_on(self, begun: Node) -> list[Change]:
        """Write on from what a reply is or might have been, beside the replies there are.

        begun: with the parent of the reply that it was made from; its id does not count.
        """
        if refusal := self._not_now():
            return refusal
        return self._begin(self.chat.conversation[_parent(begun)], begun)

    def branch(self, begun: Node, strength: float, presets: Presets) -> list[Change]:
        """Write on as `go_on` does, steered as the reply was that this began as, at a strength of
        its own; with an end of its own, it is there as it is."""
        if refusal := self._not_now():
            return refusal
        if begun.ending:
            return self.adopt(begun)
        if begun.origin:
            self.steering = steering_of(begun.origin, presets).at(strength)
        return self.go_on(begun)

    def adopt(self, reply: Node) -> list[Change]:
        """Have a complete reply stand beside those there are."""
        return self._change(lambda: self.chat.adopt(reply))

    def stop(self) -> list[Change]:
        """Stop the reply under way, and give back what waits."""
        if self._writing and self._activity is not Activity.STOPPING:
            self._activity = Activity.STOPPING
            self._engine.stop()
        return self._give_back_waiting()

    # -- steering -----------------------------------------------------------------------------

    def turn(self, strength: float) -> None:
        """Turn the dial: a reply under way follows from its next token on, if it is steered by
        what the next one will be."""
        writing = self._writing
        live = writing and replace(writing.steering, strength=strength) == replace(
            self.steering, strength=strength
        )
        self.steering = self.steering.at(strength)
        if writing and live:
            writing.steering = self.steering
            self._engine.steer(writing.request.id, strength)

    def think(self, thinking: bool) -> str:
        """Have replies begin with a thought from the next message on, or no more. Returns why the
        model cannot, in a sentence, or nothing."""
        if thinking and self._loaded and not self._loaded.thinks:
            return self._thoughtless
        self.thinking = thinking
        self._wants_thoughts = thinking and not self._loaded
        return ""

    @property
    def _thoughtless(self) -> str:
        name = self.model.name if self.model else "This model"
        return f"{name} {CANNOT}"

    # -- the engine for others ----------------------------------------------------------------

    def next_id(self) -> int:
        """An id for a request to the engine."""
        self._last_id += 1
        return self._last_id

    def lend(self, guest: Guest, begin: Callable[[EngineHandle], None]) -> str:
        """Have the engine do something beside the chat; a guest hears what it says, until another
        one does or `take_back`. Returns why it cannot be, in a sentence; empty where it is begun.
        """
        if self._writing:
            return BUSY
        if self._activity is Activity.DIED and self.model:
            self.load(self.model)
        elif self._activity not in _IDLE:
            return _NOT_READY[self._activity]
        self._guest = guest
        try:
            begin(self._engine)
        except (UsageError, OSError) as error:
            self._guest = None
            return _not_started(error) if isinstance(error, OSError) else str(error)
        return ""

    def halt(self) -> None:
        """Stop what was begun for a guest, which still hears how it ends."""
        self._engine.stop()

    def take_back(self) -> None:
        """Stop what was begun for a guest."""
        self._guest = None
        self._engine.stop()

    # -- going back ---------------------------------------------------------------------------

    def walk(self, name: str, by: int) -> list[Change]:
        """Read another version of a message."""
        return self._change(lambda: self.chat.walk(name, by))

    def delete(self, name: str) -> list[Change]:
        """Take out a message and all that follows from it."""
        return self._change(lambda: self.chat.delete(name))

    def undo(self) -> list[Change]:
        """Return to what was before the last edit, regeneration, walk or deletion."""
        undone: list[bool] = []
        changes = self._change(lambda: undone.append(self.chat.undo()))
        return [Noticed("There is nothing to undo.")] if undone == [False] else changes

    def _change(self, act: Callable[[], object]) -> list[Change]:
        if refusal := self._not_now():
            return refusal
        try:
            act()
        except AmuletError as error:
            return [Noticed(str(error), True)]
        return [BranchChanged()]

    def _not_now(self) -> list[Change]:
        return [Noticed(BUSY)] if self._writing else []

    # -- from chat to chat --------------------------------------------------------------------

    def new_chat(self) -> list[Change]:
        """Begin a chat; the one that is left is stopped, and keeps what was written."""
        return self._open(Chat(self.history))

    def open_chat(self, name: str, presets: Presets) -> list[Change]:
        """Open a chat of the store, steered as its newest reply was. Raises AmuletError."""
        chat = Chat(self.history, name)
        changes = self._open(chat)
        if origin := next((n.origin for n in reversed(chat.conversation.path()) if n.origin), None):
            self.steering, self.thinking = steering_of(origin, presets), origin.thinking
        return changes

    def is_open(self, name: str) -> bool:
        """Whether this chat is the open one, and in the store as it is here. Raises AmuletError
        where it was removed."""
        stored, here = self.history.summary(name), self.chat
        if stored.id != here.id:
            return False
        as_here = (stored.title, stored.messages) == (here.title, len(here.conversation))
        return as_here or self._writing is not None

    def turn_to(self, name: str) -> list[Change]:
        """Read a branch that holds this message."""
        if name not in self.chat.conversation:
            return [Noticed("That message is not there any more.")]
        if name in (node.id for node in self.path):
            return []
        return self._change(lambda: self.chat.turn_to(name))

    def rename_chat(self, name: str, title: str) -> None:
        """Give a chat of the store a title. Raises AmuletError."""
        if name == self.chat.id:
            self.chat.rename(title)
        else:
            self.history.rename(name, title)

    def remove_chat(self, name: str) -> list[Change]:
        """Take a chat out of the lists; the open one is left for a new one. Raises AmuletError."""
        self.history.remove(name)
        self._removed.append(name)
        return self.new_chat() if name == self.chat.id else []

    def bring_back(self) -> str | None:
        """Undo the last removal of a chat; its id, None if there was none. Raises AmuletError."""
        if not self._removed:
            return None
        self.history.bring_back(self._removed[-1])
        return self._removed.pop()

    def fork(self, name: str) -> list[Change]:
        """Go on in a chat of its own from a message. Raises AmuletError."""
        return self._open(self.chat.fork(name))

    def _open(self, chat: Chat) -> list[Change]:
        if self._writing:
            self._left[self._writing.request.id] = self._writing
            self._writing = None
            self._engine.stop()
            self._activity = Activity.READY
        waiting = self._give_back_waiting()
        self.chat, self._stats, self._context_used = chat, None, 0
        return [*waiting, BranchChanged()]

    # -- what the engine says -----------------------------------------------------------------

    def take(self, event: Event) -> list[Change]:
        """Take in what happened; returns what changes by it, in order."""
        if self._guest:
            self._guest(event)
        match event:
            case Loading():
                self._done = event.fraction
            case Loaded():
                self._activity, self._loaded = Activity.READY, event
                wanted, self._wants_thoughts = self._wants_thoughts, False
                told = [Noticed(self._thoughtless)] if wanted and not event.thinks else []
                return [*told, *self._send_next()]
            case Prefilling() if self._writing and self._is_reading:
                self._activity = Activity.READING
                self._done, self._total = event.done, event.total
                self._context_used = event.total // (
                    2 if self._writing.request.alignment.preference else 1
                )
            case Step() if self._is_about(event.id):
                return self._take_step(event)
            case Finished() if self._is_about(event.id):
                return self._take_end(event)
            case Step() | Finished() | Failed() if event.id in self._left:
                return self._take_of_left(self._left[event.id], event)
            case Pace():
                self._cost = event.cost
            case Failed(id=None):
                self._activity = Activity.NO_MODEL
                return [Unusable(event.text)]
            case Failed() if self._is_about(event.id):
                self._activity = Activity.READY
                return [*self._give_up(), *self._give_back_waiting(), Noticed(event.text, True)]
            case Died():
                return self._take_death(event)
            case Notice():
                return [Noticed(event.text)]
        return []

    def save(self) -> None:
        """Store what the reply under way has more, if it is time."""
        if writing := self._writing:
            self._store(writing, writing.growing.save)

    def end(self) -> None:
        """The engine is gone: what it was writing ends as it is."""
        writings = [*self._left.values(), *([self._writing] if self._writing else [])]
        self._left.clear()
        self._writing = None
        for writing in writings:
            self._store(writing, _as_it_is(writing))

    def _is_about(self, request: int | None) -> bool:
        return self._writing is not None and self._writing.request.id == request

    @property
    def _is_reading(self) -> bool:
        """Whether what the engine reads is for the reply under way: it is at those that were left
        first, and being stopped."""
        return not self._left and self._activity is not Activity.STOPPING

    def _take_step(self, step: Step) -> list[Change]:
        writing = self._writing
        assert writing is not None
        changes = writing.take(step)
        if self._activity is not Activity.STOPPING:
            self._activity = Activity.THINKING if writing.thinking else Activity.WRITING
        return [*changes, *self._store(writing, lambda: writing.growing.add(step))]

    def _take_end(self, finished: Finished) -> list[Change]:
        stopped = finished.reason == "cancelled"
        self._activity = Activity.STOPPED if stopped else Activity.READY
        if finished.stats.context_tokens:
            self._stats, self._context_used = finished.stats, finished.stats.context_tokens
        writing = self._writing
        assert writing is not None
        if stopped and not finished.text and not finished.thought:
            return self._give_up()
        troubles = self._store(writing, lambda: writing.growing.finish(finished))
        self._writing = None
        return [Ended(writing.growing.node), *troubles, *self._send_next()]

    def _take_of_left(self, left: UnderWay, event: Step | Finished | Failed) -> list[Change]:
        """What the engine still says of a reply in a chat that was left is part of it."""
        match event:
            case Step():
                left.take(event)
                return self._store(left, lambda: left.growing.add(event))
            case Finished() if event.text or event.thought:
                keep: Callable[[], object] = partial(left.growing.finish, event)
            case _:
                keep = _as_it_is(left)
        del self._left[left.request.id]
        return self._store(left, keep)

    def _take_death(self, died: Died) -> list[Change]:
        """Keep what was written; what has no answer goes back to the user, to be sent again.

        Where the next engine has a lighter load, the reply goes on at once instead.
        """
        self._activity, self._loaded = Activity.DIED, None
        changes: list[Change] = []
        for left in self._left.values():
            self._store(left, _as_it_is(left))
        self._left.clear()
        writing = self._writing
        if writing and died.lighter:
            return [*changes, Noticed(died.text, True), *self._go_on_lighter(writing)]
        if writing and writing.tokens:
            self._writing = None
            changes += self._store(writing, writing.growing.break_off)
            changes.append(Ended(writing.growing.node))
        elif writing:
            changes += self._give_up()
        told = f"{died.text} The conversation is kept; the next message starts a new engine."
        return [*changes, *self._give_back_waiting(), Noticed(told, True)]

    def _go_on_lighter(self, writing: UnderWay) -> list[Change]:
        """With a new engine, from what a reply is so far."""
        self._writing, begun = None, writing.begun
        question = self.chat.conversation[_parent(writing.growing.node)]
        changes: list[Change] = []
        if writing.tokens:
            changes += self._store(writing, writing.growing.break_off)
            begun = writing.growing.node
            changes.append(Ended(begun))
        else:
            changes += self._store(writing, writing.growing.discard)
        return [*changes, *self._begin(question, begun, new=writing.question is not None)]

    def _store(self, writing: UnderWay, act: Callable[[], object]) -> list[Change]:
        """Store something of a reply; where that fails, say so once, and go on."""
        try:
            act()
        except AmuletError as error:
            if not self._unsaved:
                self._unsaved = True
                return [Noticed(f"The reply is not saved: {error}", True)]
        else:
            self._unsaved = False
        return []

    # -- from waiting to written --------------------------------------------------------------

    def _send_next(self) -> list[Change]:
        """Ask what has waited longest, if the engine is ready for it."""
        if self._writing or not self._waiting or self._activity not in _IDLE:
            return []
        text = self._waiting.popleft()
        try:
            question = self.chat.ask(text)
        except AmuletError as error:
            return [GivenBack(text), BranchChanged(), Noticed(str(error), True)]
        return self._begin(question, new=True)

    def _begin(
        self, question: Node, begun: Node | None = None, *, new: bool = False
    ) -> list[Change]:
        """Have the engine answer a question. new: it was asked just now."""
        if self._activity is Activity.DIED and self.model:
            self.load(self.model)
        begun = own(begun, self.model) if begun else None
        request = self.request(question, self.steering, begun)
        origin = self.origin(request, self.steering)
        try:
            growing = self.chat.reply(question.id, origin, begun)
        except AmuletError as error:
            return [BranchChanged(), Noticed(str(error), True)]
        self._writing = UnderWay(
            request, self.steering, growing, question if new else None, begun, self._clock
        )
        self._activity, self._done, self._total = Activity.READING, 0.0, 0.0
        try:
            self._engine.reply(request)
        except (UsageError, OSError) as error:  # too long a message, or no process to be had
            self._activity = Activity.READY
            told = _not_started(error) if isinstance(error, OSError) else str(error)
            return [*self._give_up(), Noticed(told, True)]
        return [BranchChanged()]

    def request(self, question: Node, steering: SteeringChoice, begun: Node | None = None) -> Reply:
        """What to ask the engine for a reply to a question, under an id of its own."""
        return new_request(
            self.next_id(),
            self.chat.id,
            self.chat.conversation.path(question.id),
            self.model,
            steering,
            self._settings,
            thinking=self.thinking,
            begun=begun,
        )

    def origin(self, request: Reply, steering: SteeringChoice) -> Origin:
        """What is kept of a request with the reply to it."""
        model = self.model
        return Origin.of(
            request,
            model=model.name if model else "",
            file=as_text(model.path) if model else "",
            preset=steering.preset.name if steering.preset else "",
        )

    def _give_up(self) -> list[Change]:
        """Forget the reply under way; a question that was asked for it goes back to the user."""
        writing, self._writing = self._writing, None
        assert writing is not None
        changes: list[Change] = [BranchChanged()]
        with suppress(AmuletError):  # then the store shows an empty reply, and nothing is lost
            writing.growing.discard()
            if writing.question:
                self.chat.take_back(writing.question.id)
        if writing.question:
            changes.append(GivenBack(writing.question.message.text))
        return changes

    def _give_back_waiting(self) -> list[Change]:
        waiting, self._waiting = self._waiting, deque()
        changes: list[Change] = [GivenBack(text) for text in waiting]
        return [*changes, BranchChanged()] if changes else []

    def _speed(self) -> float:
        """Tokens a second of the reply under way, or of the last one."""
        if self._writing:
            return self._writing.speed
        return self._stats.tokens_per_s if self._stats else 0.0

    def _pace(self) -> float:
        """The speed of the last reply against a plain chat's: a block costs more, and may hold
        several tokens."""
        stats = self._stats
        if not stats or not stats.blocks or stats.streams < 2 or not self._cost:
            return 0.0
        return stats.tokens / stats.blocks / self._cost


def _as_it_is(writing: UnderWay) -> Callable[[], object]:
    """What ends a reply of which no more will come."""
    return writing.growing.break_off if writing.tokens else writing.growing.discard


def _not_started(error: OSError) -> str:
    remedy = advice(error, "mend that and try again")
    return f"the engine cannot be started ({cause(error)}); {remedy}."


def _parent(reply: Node) -> str:
    assert reply.parent is not None, "a reply answers something"
    return reply.parent
