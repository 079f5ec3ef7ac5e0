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
from dataclasses import replace

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History
from amulet_local.chats.provenance import Origin
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from amulet_local.presets.preset import Presets
from amulet_local.protocol.messages import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    LoadOptions,
    Notice,
    Prefilling,
    Reply,
    Step,
)
from amulet_local.settings import Settings
from tui.session.changes import (
    Activity,
    BranchChanged,
    Change,
    ChosenModel,
    GivenBack,
    Noticed,
    Status,
    Unusable,
)
from tui.session.engine_link import IDLE, EngineLink, Guest
from tui.session.replies import Replies
from tui.session.requests import new_request, own, steering_of
from tui.session.steering import SteeringChoice, at_usual_strength
from tui.session.streaming_reply import StreamingReply

BUSY = "A reply is being written; stop it first."


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
        self._link = EngineLink(engine, options)
        self._replies = Replies(self._link)
        self._settings, self._clock = settings, clock
        self._waiting: deque[str] = deque()
        self._wants_thoughts = False
        self._removed: list[str] = []  # chats, the last one last
        self.steering = steering

    @property
    def steering(self) -> SteeringChoice:
        """How the next reply is steered."""
        return self._steering

    @steering.setter
    def steering(self, steering: SteeringChoice) -> None:
        self._steering = self.suited(steering)

    def suited(self, steering: SteeringChoice) -> SteeringChoice:
        """The same at the strength that is usual on the model at hand, where nobody chose one."""
        return at_usual_strength(steering, as_text(self.model.path) if self.model else "")

    # -- how things stand ---------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """Where things stand now."""
        link, loaded = self._link, self._link.loaded
        return Status(
            link.activity,
            self.replying or self.steering,
            link.done,
            link.total,
            link.model,
            self._replies.speed,
            self._replies.pace,
            self._replies.context_used,
            loaded.context if loaded else 0,
            loaded.devices if loaded else "",
            self.thinking and not link.thoughtless,
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
        loading = self._link.activity is Activity.LOADING
        return self._replies.expected or self._link.lent or loading

    @property
    def replying(self) -> SteeringChoice | None:
        """What the reply under way is steered by; None if there is none."""
        reply = self._replies.current
        return reply.steering if reply else None

    @property
    def writing(self) -> str | None:
        """The id of the message that is being written, if any."""
        reply = self._replies.current
        return reply.growing.node.id if reply else None

    # -- the model ----------------------------------------------------------------------------

    @property
    def model(self) -> ChosenModel | None:
        """The model that is loaded or being loaded, if any."""
        return self._link.model

    @property
    def options(self) -> LoadOptions:
        """How models are loaded."""
        return self._link.options

    def load(self, model: ChosenModel) -> list[Change]:
        """Load a model; messages wait meanwhile."""
        if refusal := self._not_now():
            return refusal
        changes = self._link.load(model)
        self.steering = self._steering  # at what is usual on this model
        return changes

    # -- asking -------------------------------------------------------------------------------

    def ask(self, text: str) -> list[Change]:
        """Send a message, or have it wait. After a death, this starts a new engine."""
        self._waiting.append(text)
        if self._link.activity is Activity.DIED and self.model:
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
        self._replies.stop()
        return self._give_back_waiting()

    # -- steering -----------------------------------------------------------------------------

    def turn(self, strength: float) -> None:
        """Turn the dial: a reply under way follows from its next token on, if it is steered by
        what the next one will be."""
        writing = self._replies.current
        live = writing and replace(writing.steering, strength=strength) == replace(
            self.steering, strength=strength
        )
        self.steering = self.steering.at(strength)
        if writing and live:
            writing.steering = self.steering
            self._link.steer(writing.request.id, strength)

    def think(self, thinking: bool) -> str:
        """Have replies begin with a thought from the next message on, or no more. Returns why the
        model cannot, in a sentence, or nothing."""
        if thinking and (refusal := self._link.thoughtless):
            return refusal
        self.thinking = thinking
        self._wants_thoughts = thinking and not self._link.loaded
        return ""

    # -- the engine for others ----------------------------------------------------------------

    def next_id(self) -> int:
        """An id for a request to the engine."""
        return self._link.next_id()

    def lend(self, guest: Guest, begin: Callable[[EngineHandle], None]) -> str:
        """Have the engine do something beside the chat; a guest hears what it says, until another
        one does or `take_back`. Returns why it cannot be, in a sentence; empty where it is begun.
        """
        return BUSY if self._replies.current else self._link.lend(guest, begin)

    def halt(self) -> None:
        """Stop what was begun for a guest, which still hears how it ends."""
        self._link.stop()

    def take_back(self) -> None:
        """Stop what was begun for a guest."""
        self._link.take_back()

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
        return [Noticed(BUSY)] if self._replies.current else []

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
        return as_here or self._replies.current is not None

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
        self._replies.leave()
        waiting = self._give_back_waiting()
        self.chat = chat
        return [*waiting, BranchChanged()]

    # -- what the engine says -----------------------------------------------------------------

    def take(self, event: Event) -> list[Change]:
        """Take in what happened; returns what changes by it, in order."""
        self._link.hear(event)
        match event:
            case Loaded():
                wanted, self._wants_thoughts = self._wants_thoughts, False
                refusal = self._link.thoughtless
                told = [Noticed(refusal)] if wanted and refusal else []
                return [*told, *self._send_next()]
            case Failed(id=None):
                return [Unusable(event.text)]
            case Failed() if self._replies.is_about(event.id):
                changes = self._replies.fail()
                return [*changes, *self._give_back_waiting(), Noticed(event.text, True)]
            case Finished() if self._replies.is_about(event.id):
                return [*self._replies.finish(event), *self._send_next()]
            case Prefilling() | Step() | Finished() | Failed():
                return self._replies.take(event)
            case Died():
                return self._take_death(event)
            case Notice():
                return [Noticed(event.text)]
        return []

    def save(self) -> None:
        """Store what the reply under way has more, if it is time."""
        self._replies.save()

    def end(self) -> None:
        """The engine is gone: what it was writing ends as it is."""
        self._replies.end()

    def _take_death(self, died: Died) -> list[Change]:
        """Keep what was written; what has no answer goes back to the user, to be sent again.

        Where the next engine has a lighter load, the reply goes on at once instead.
        """
        reply = self._replies.current
        if reply and died.lighter:
            changes = self._replies.interrupt(reply)
            question = self.chat.conversation[_parent(reply.growing.node)]
            begun = reply.growing.node if reply.tokens else reply.begun
            again = self._begin(question, begun, new=reply.question is not None)
            return [Noticed(died.text, True), *changes, *again]
        changes = self._replies.break_off()
        told = f"{died.text} The conversation is kept; the next message starts a new engine."
        return [*changes, *self._give_back_waiting(), Noticed(told, True)]

    # -- from waiting to written --------------------------------------------------------------

    def _send_next(self) -> list[Change]:
        """Ask what has waited longest, if the engine is ready for it."""
        ready = self._link.activity in IDLE and not self._replies.current
        if not ready or not self._waiting:
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
        if self._link.activity is Activity.DIED and self.model:
            self.load(self.model)
        begun = own(begun, self.model) if begun else None
        request = self.request(question, self.steering, begun)
        origin = self.origin(request, self.steering)
        try:
            growing = self.chat.reply(question.id, origin, begun)
        except AmuletError as error:
            return [BranchChanged(), Noticed(str(error), True)]
        asked = question if new else None
        reply = StreamingReply(
            request, self.steering, self.chat, growing, asked, begun, self._clock
        )
        return self._replies.begin(reply)

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

    def _give_back_waiting(self) -> list[Change]:
        waiting, self._waiting = self._waiting, deque()
        changes: list[Change] = [GivenBack(text) for text in waiting]
        return [*changes, BranchChanged()] if changes else []


def _parent(reply: Node) -> str:
    assert reply.parent is not None, "a reply answers something"
    return reply.parent
