"""The engine as a chat sees it: which model is loaded, what the engine is at, who else uses it.

Requests go in, and so do the engine's events, which keep the state here true.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError, UsageError, advice, cause
from amulet_local.path_text import as_text
from amulet_local.prompts.reasoning import CANNOT
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Event, Failed, Loaded, Loading, Pace, Reply
from tui.session.changes import Activity, Change, ChosenModel, Unusable

Guest = Callable[[Event], None]  # hears all that the engine says

IDLE = (Activity.READY, Activity.STOPPED)
_NOT_READY = {
    Activity.NO_MODEL: "No model is loaded.",
    Activity.LOADING: "The model is still loading.",
}


class EngineLink:
    """model: the one that is loaded or being loaded. loaded: what the engine says of it, None until
    then. trouble: why the engine seems stuck; "" where it does not. done, total: of what is being
    loaded (total 1) or read (in tokens). cost: of a block against a plain chat's token; 0 while it
    is not known. guest: who hears the engine, beside the chat.
    """

    def __init__(self, engine: EngineHandle, options: LoadOptions) -> None:
        self.model: ChosenModel | None = None
        self.loaded: Loaded | None = None
        self.activity = Activity.NO_MODEL
        self.done = self.total = 0.0
        self.cost = 0.0
        self.trouble = ""
        self._engine, self._options = engine, options
        self.guest: Guest | None = None
        self._gives_way = False
        self._last_id = 0
        self._read_ahead: tuple[Reply, Message] | None = None

    def hear_early(self, hear: Callable[[Event], object]) -> None:
        """Have this hear of events as they come, on the thread that reads them, long before they
        are taken from the queue on a busy machine."""
        self._engine.events.early = hear

    def next_id(self) -> int:
        """An id for a request."""
        self._last_id += 1
        return self._last_id

    def load(self, model: ChosenModel) -> list[Change]:
        """Load a model."""
        self._have_way_given()
        self.model, self.loaded, self.cost, self._read_ahead = model, None, 0.0, None
        self.activity, self.done, self.total = Activity.LOADING, 0.0, 1.0
        try:
            self._engine.load(as_text(model.path), self._options)
        except (AmuletError, OSError) as error:  # the file is not what it was when it was found
            self.activity = Activity.NO_MODEL
            return [Unusable(not_begun(error))]
        return []

    def reply(self, request: Reply) -> None:
        """Ask for a reply. Raises UsageError for too long a message, OSError where no process can
        be had."""
        self._have_way_given()
        self._read_ahead = None
        self.activity, self.done, self.total = Activity.READING, 0.0, 0.0
        try:
            self._engine.reply(request)
        except (UsageError, OSError):
            self.activity = Activity.READY
            raise

    def read_ahead(self, request: Reply, more: Message) -> None:
        """Have what is being typed read, if the engine is at rest and has not read it already."""
        asked = (structs.replace(request, seed=0), more)
        if self.loaded and self.activity in IDLE and not self.lent and asked != self._read_ahead:
            self._read_ahead = asked
            self._engine.read_ahead(request, more)

    def steer(self, request: int, strengths: tuple[float | None, ...]) -> None:
        """Steer a reply at other strengths from its next token on. request: its id."""
        self._engine.steer(request, strengths)

    def stop(self) -> None:
        """Stop what the engine is at."""
        self._engine.stop()

    def restart(self) -> None:
        """End the engine, whatever it is at; see EngineHandle.restart."""
        self._engine.restart()

    def watch(self) -> str:
        """Look after the engine, of which something is expected: why it seems stuck, if only
        since now."""
        before, self.trouble = self.trouble, self._engine.trouble()
        return "" if before else self.trouble

    def hear(self, event: Event) -> None:
        """Take in what an event says of the engine."""
        self.trouble = ""
        if self.guest:
            self.guest(event)
        match event:
            case Loading():
                self.done = event.fraction
            case Loaded():
                self.activity, self.loaded = Activity.READY, event
            case Pace():
                self.cost = event.cost
            case Failed(id=None):
                self.activity = Activity.NO_MODEL
            case Died():
                self.activity, self.loaded = Activity.DIED, None

    @property
    def unloaded(self) -> bool:
        """Whether the model is to be loaded first, whatever is wanted: the engine has died, or
        could not load it, for which there may have been a passing cause."""
        return self.activity in (Activity.DIED, Activity.NO_MODEL)

    @property
    def thoughtless(self) -> str:
        """Why the model cannot think, in a sentence; empty where it can, or is not loaded."""
        if not self.loaded or self.loaded.thinks:
            return ""
        return f"{self.model.name if self.model else 'This model'} {CANNOT}"

    # -- the engine for others ----------------------------------------------------------------

    @property
    def lent(self) -> bool:
        """Whether a guest hears the engine."""
        return self.guest is not None

    def lend(
        self, guest: Guest, begin: Callable[[EngineHandle], None], *, gives_way: bool = False
    ) -> str:
        """Have the engine do something beside the chat, which must be at no reply; see
        Session.lend. gives_way: whether it ends as soon as the engine is wanted for anything."""
        self._have_way_given()
        if self.model and self.unloaded:
            self.load(self.model)
        elif self.activity not in IDLE:
            return _NOT_READY[self.activity]
        self.guest, self._gives_way = guest, gives_way
        try:
            begin(self._engine)
        except (UsageError, OSError) as error:
            self.guest = None
            return not_begun(error)
        return ""

    def _have_way_given(self) -> None:
        if self.guest and self._gives_way:
            self.take_back()

    def take_back(self) -> None:
        """Stop what was begun for a guest, which hears no more."""
        self.guest = None
        self._engine.stop()


def not_begun(error: Exception) -> str:
    """Why the engine does not do what it was asked, in a sentence."""
    if not isinstance(error, OSError):
        return str(error)
    remedy = advice(error, "fix that and try again")
    return f"the engine could not be started ({cause(error)}); {remedy}."
