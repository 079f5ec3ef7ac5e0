"""A chat without its screen: what is said, what waits, how it is steered, what the engine is at.

The user's acts and the engine's events go in; Changes come out, for a screen to show. The chat
itself is in the store, which is written to as things happen. Messages that come before the model is
ready, or while a reply is written, wait and are sent in turn. Nothing here blocks for long, reads a
clock of its own, or knows of widgets. It is longer than other modules: a method for each act.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History
from amulet_local.chats.wishes import join_wish
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from amulet_local.presets.preset import Presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
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
from tui.session.engine_care import EngineCare
from tui.session.engine_link import IDLE, EngineLink, Guest
from tui.session.replies import Replies, taken
from tui.session.requests import new_request, origin_of, own, steering_of
from tui.session.steering import (
    SteeringChoice,
    at_usual_strength,
    same_preferences,
    strengths_told,
)
from tui.session.streaming_reply import StreamingReply
from tui.session.unsaved import UnsavedChats

BUSY = "A reply is being written; stop it first."


class Session:
    """One chat at a time on one engine; see `temporary`.

    steering: may be set at any time; it counts from the next message (see `turn` for the dial).
    thinking: whether replies begin with a thought, where the model can think (see `think`).
    chat: what is open; for looking, its changes go through here and versions.py. replies: what the
    engine writes. care, unsaved: of the engine, of saving. options: how models load. removed: ids.
    """

    def __init__(
        self,
        engine: EngineHandle,
        history: History,
        settings: Settings,
        options: LoadOptions,
        steering: SteeringChoice,
        clock: Callable[[], float] = time.monotonic,
        *,
        temporary: bool = False,
    ) -> None:
        self.history = history
        self.chat = Chat(History(None) if temporary else history)
        self.unsaved, self.options = UnsavedChats(history), options
        self.thinking = settings.thinking
        self._link = EngineLink(engine, options)
        self.replies = Replies(self._link)
        self.care = EngineCare(self._link, lambda: self.expecting)
        self._settings, self._clock, self._wants_thoughts = settings, clock, False
        self._waiting, self.removed = deque[tuple[str, str]](), list[str]()
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
        link, loaded, replies = self._link, self._link.loaded, self.replies
        context = loaded.context if loaded else 0
        return Status(
            Activity.STUCK if link.trouble else link.activity,
            self.replying or self.steering,
            link.done,
            link.total,
            link.model,
            replies.speed,
            replies.pace,
            min(replies.context_used if replies.current else taken(self.path), context),
            context,
            loaded.devices if loaded else "",
            self.thinking and not link.thoughtless,
            self.temporary,
            replies.current.request.wish if replies.current else "",
            self.history.unsaved,
        )

    @property
    def temporary(self) -> bool:
        """Whether the open chat is in memory alone, and gone once it is left."""
        return self.chat.history is not self.history

    @property
    def path(self) -> tuple[Node, ...]:
        """The messages that are read, oldest first, a reply under way included."""
        return self.chat.conversation.path()

    @property
    def waiting(self) -> Sequence[str]:
        """Messages that wait for their turn, as they were typed."""
        return tuple(join_wish(*waiting) for waiting in self._waiting)

    @property
    def expecting(self) -> bool:
        """Whether the engine is at something, so that it will soon say more."""
        loading = self._link.activity is Activity.LOADING
        return self.replies.expected or self._link.lent or loading

    @property
    def replying(self) -> SteeringChoice | None:
        """What the reply under way is steered by; None if there is none."""
        reply = self.replies.current
        return reply.steering if reply else None

    @property
    def writing(self) -> str | None:
        """The id of the message that is being written, if any."""
        reply = self.replies.current
        return reply.growing.node.id if reply else None

    # -- the model ----------------------------------------------------------------------------

    @property
    def model(self) -> ChosenModel | None:
        """The model that is loaded or being loaded, if any."""
        return self._link.model

    def load(self, model: ChosenModel) -> list[Change]:
        """Load a model; messages wait meanwhile."""
        if refusal := self.refusal():
            return refusal
        changes = self._link.load(model)
        self.steering = self._steering  # at what is usual on this model
        return changes

    # -- asking -------------------------------------------------------------------------------

    def ask(self, text: str, wish: str = "") -> list[Change]:
        """Send a message, or have it wait. Where the model is not loaded, it is loaded again."""
        self._waiting.append((text, wish))
        if self.model and self._link.unloaded:
            return [BranchChanged(), *self.load(self.model)]
        return [BranchChanged(), *self._send_next()]

    def read_ahead(self, before: Sequence[Node], said: Message, more: Message) -> None:
        """Have the engine read what is being typed, if it is at rest and the user lets it. before:
        what it is an answer to. more: the same with one more word (see protocol.ReadAhead)."""
        if self._settings.read_ahead and not self.expecting:
            path = [*before, Node("", None, said)]
            self._link.read_ahead(self._request(0, path, self.steering), more)

    def stop(self) -> list[Change]:
        """Stop the reply under way, and give back what waits."""
        self.replies.stop()
        return self.give_back_waiting()

    # -- steering -----------------------------------------------------------------------------

    def turn(self, strength: float) -> None:
        """Turn the dial: a reply under way follows from its next token on, if it is steered by
        what the next one will be."""
        self.turn_to(self.steering.at(strength))

    def turn_to(self, steering: SteeringChoice) -> None:
        """Be steered like this; a reply under way follows from its next token on, where only
        strengths are others, or which faders are heard."""
        writing = self.replies.current
        live = writing and same_preferences(writing.steering, self.steering, steering)
        self.steering = steering
        if writing and live:
            writing.steering = self.steering
            self._link.steer(writing.request.id, strengths_told(self.steering))

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
        return BUSY if self.replies.current else self._link.lend(guest, begin)

    def take_back(self) -> None:
        """Stop what was begun for a guest."""
        self._link.take_back()

    def question_of(self, reply: Node) -> Node:
        """What a reply in the open chat answers."""
        assert reply.parent is not None, "a reply answers something"
        return self.chat.conversation[reply.parent]

    def refusal(self) -> list[Change]:
        """Why the branch stays as it is now; empty where it need not."""
        return [Noticed(BUSY)] if self.replies.current else []

    # -- from chat to chat --------------------------------------------------------------------

    def new_chat(self, *, other: bool = False) -> list[Change]:
        """Begin a chat, temporary as the open one or not; the one that is left is stopped, and
        keeps what was written. other: have it be of the other kind."""
        return self._open(Chat(History(None) if self.temporary != other else self.history))

    def open_chat(self, name: str, presets: Presets) -> list[Change]:
        """Open a chat of the store, steered as its newest reply was. Raises AmuletError."""
        changes = self._open(chat := self.unsaved.open(name))
        if origin := next((n.origin for n in reversed(chat.conversation.path()) if n.origin), None):
            self.steering, self.thinking = steering_of(origin, presets), origin.thinking
        return changes

    def fork(self, name: str) -> list[Change]:
        """Go on in a chat of its own from a message. Raises AmuletError."""
        return self._open(self.chat.fork(name))

    def _open(self, chat: Chat) -> list[Change]:
        self.replies.leave()
        self.unsaved.leave(self.chat)
        waiting = self.give_back_waiting()
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
                then = f" Your next message will try {self.model.name} again." if self.model else ""
                return [Unusable(event.text + then)]
            case Failed() if self.replies.is_about(event.id):
                changes = [*self.give_back_waiting(), *self.replies.fail()]
                return [*changes, Noticed(event.text, True)]
            case Finished() if self.replies.is_about(event.id):
                return [*self.replies.finish(event), *self._send_next()]
            case Prefilling() | Step() | Finished() | Failed():
                return self.replies.take(event)
            case Died():
                return self._take_death(event)
            case Notice():
                return [Noticed(event.text)]
        return []

    def _take_death(self, died: Died) -> list[Change]:
        """Keep what was written; what has no answer goes back to the user, to be sent again.

        Where the next engine has a lighter load, the reply goes on at once instead.
        """
        reply = self.replies.current
        if reply and died.lighter:
            changes = self.replies.interrupt(reply)
            question = self.question_of(reply.growing.node)
            begun = reply.growing.node if reply.tokens else reply.begun
            again = self.begin(question, begun, new=reply.question is not None)
            return [Noticed(died.text, True), *changes, *again]
        changes = [*self.give_back_waiting(), *self.replies.break_off()]
        then = "your next message will restart the engine"
        then = "the model is being loaded again" if died.asked else then
        told = Noticed(f"{died.text} The conversation is safe; {then}.", True)
        return [*changes, told, *(self.load(self.model) if died.asked and self.model else [])]

    # -- from waiting to written --------------------------------------------------------------

    def _send_next(self) -> list[Change]:
        """Ask what has waited longest, if the engine is ready for it."""
        if self.replies.current or not self._waiting or self._link.activity not in IDLE:
            return []
        text, wish = self._waiting.popleft()
        try:
            question = self.chat.ask(text, wish)
        except AmuletError as error:
            return [GivenBack(join_wish(text, wish)), BranchChanged(), Noticed(str(error), True)]
        return self.begin(question, new=True)

    def begin(
        self, question: Node, begun: Node | None = None, *, new: bool = False
    ) -> list[Change]:
        """Have the engine answer a question. new: it was asked just now."""
        if self.model and self._link.unloaded:
            self.load(self.model)
        begun = own(begun, self.model) if begun else None
        request = self.request(question, self.steering, begun)
        origin = origin_of(request, self.steering, self.model)
        try:
            growing = self.chat.reply(question.id, origin, begun)
        except AmuletError as error:
            return [BranchChanged(), Noticed(str(error), True)]
        asked = question if new else None
        about = (request, self.steering, self.chat, growing, asked, begun, self._clock)
        return self.replies.begin(StreamingReply(*about))

    def request(self, question: Node, steering: SteeringChoice, begun: Node | None = None) -> Reply:
        """What to ask the engine for a reply to a question, under an id of its own."""
        path = self.chat.conversation.path(question.id)
        return self._request(self.next_id(), path, steering, begun)

    def _request(
        self, number: int, path: Sequence[Node], steering: SteeringChoice, begun: Node | None = None
    ) -> Reply:
        return new_request(
            number,
            "" if self.temporary else self.chat.id,
            path,
            self.model,
            steering,
            self._settings,
            thinking=self.thinking,
            begun=begun,
        )

    def give_back_waiting(self) -> list[Change]:
        """Have what waits be written again. What was said before it is given back behind it, since
        each text is put before what is there."""
        waiting = "\n".join(self.waiting)
        self._waiting.clear()
        return [GivenBack(waiting), BranchChanged()] if waiting else []
