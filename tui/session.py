"""A chat without its screen: what was said, what waits, and what the engine is at.

The user's acts and the engine's events go in; Changes come out, for a screen to show. Messages that
come before the model is ready, or while a reply is written, wait and are sent in turn. A message
that gets no answer is taken back, so that the conversation always alternates. Nothing here blocks,
reads a clock of its own, or knows of widgets.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from amulet_local.client import EngineHandle
from amulet_local.conversation import Message
from amulet_local.errors import UsageError
from amulet_local.prompting import DEFAULT_SYSTEM
from amulet_local.protocol import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    Loading,
    LoadOptions,
    Notice,
    Prefilling,
    Reply,
    Sampling,
    Stats,
    Step,
)
from amulet_local.realignment import BASE
from amulet_local.settings import Settings
from tui.changes import (
    Activity,
    Asked,
    Began,
    Change,
    ChosenModel,
    Ended,
    EndReason,
    Noticed,
    Status,
    Steering,
    TakenBack,
    Unusable,
    Wrote,
)

_LARGEST_SEED = 0xFFFFFFFE
_IDLE = (Activity.READY, Activity.STOPPED)


@dataclass
class _Writing:
    """The reply under way."""

    request: Reply
    steering: Steering
    parts: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    first_token_at: float = 0.0


class Session:
    """One chat on one engine. `steering` may be set at any time; it counts from the next message.

    messages: the conversation so far, alternating. endings: how each reply of it came about.
    """

    def __init__(
        self,
        engine: EngineHandle,
        settings: Settings,
        options: LoadOptions,
        steering: Steering,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.messages: list[Message] = []
        self.endings: list[Ended] = []
        self.steering = steering
        self._engine, self._settings, self._options, self._clock = engine, settings, options, clock
        self._model: ChosenModel | None = None
        self._activity = Activity.NO_MODEL
        self._done = self._total = 0.0
        self._waiting: deque[Asked] = deque()
        self._writing: _Writing | None = None
        self._last_id = 0
        self._tokens_per_s = 0.0
        self._context = self._context_used = 0

    @property
    def status(self) -> Status:
        """Where things stand now."""
        return Status(
            self._activity,
            self.replying or self.steering,
            self._done,
            self._total,
            self._model,
            self._speed(),
            self._context_used + (len(self._writing.token_ids) if self._writing else 0),
            self._context,
        )

    @property
    def replying(self) -> Steering | None:
        """What the reply under way is steered by; None if there is none."""
        return self._writing.steering if self._writing else None

    @property
    def waiting(self) -> bool:
        """Whether a message waits for its turn."""
        return bool(self._waiting)

    # -- what the user does -------------------------------------------------------------------

    def load(self, model: ChosenModel) -> list[Change]:
        """Load a model; messages wait meanwhile."""
        self._model = model
        self._activity, self._done, self._total = Activity.LOADING, 0.0, 1.0
        try:
            self._engine.load(str(model.path), self._options)
        except OSError as error:
            self._activity = Activity.NO_MODEL
            return [Unusable(f"the engine cannot be started ({error}); mend that and try again.")]
        return []

    def ask(self, text: str) -> list[Change]:
        """Send a message, or have it wait. After a death, this starts a new engine."""
        self._last_id += 1
        asked = Asked(self._last_id, text)
        self._waiting.append(asked)
        if self._activity is Activity.DIED and self._model:
            return [asked, *self.load(self._model)]
        return [asked, *self._send_next()]

    def stop(self) -> list[Change]:
        """Stop the reply under way, and take back what waits."""
        if self._writing and self._activity is not Activity.STOPPING:
            self._activity = Activity.STOPPING
            self._engine.stop()
        return self._take_back_waiting()

    def clear(self) -> None:
        """Begin a new chat. What the engine still says about the old one is not listened to."""
        if self._writing:
            self._engine.stop()
            self._writing = None
            self._activity = Activity.READY
        self._waiting.clear()
        self.messages.clear()
        self.endings.clear()
        self._context_used = 0
        self._tokens_per_s = 0.0

    # -- what the engine says -----------------------------------------------------------------

    def take(self, event: Event) -> list[Change]:
        """Take in what happened; returns what changes by it, in order."""
        match event:
            case Loading():
                self._done = event.fraction
            case Loaded():
                self._activity, self._context = Activity.READY, event.context
                return self._send_next()
            case Prefilling() if self._writing and self._activity is not Activity.STOPPING:
                self._activity = Activity.READING
                self._done, self._total = event.done, event.total
                streams = 2 if self._writing.request.preference else 1
                self._context_used = event.total // streams
            case Step() if self._is_about(event.id):
                return self._take_step(event)
            case Finished() if self._is_about(event.id):
                return self._take_end(event)
            case Failed(id=None):
                self._activity = Activity.NO_MODEL
                return [Unusable(event.text)]
            case Failed() if self._is_about(event.id):
                self._activity = Activity.READY
                return [*self._give_up(), *self._take_back_waiting(), Noticed(event.text, True)]
            case Died():
                return self._take_death(event)
            case Notice():
                return [Noticed(event.text)]
        return []

    def _is_about(self, request: int | None) -> bool:
        return self._writing is not None and self._writing.request.id == request

    def _take_step(self, step: Step) -> list[Change]:
        writing = self._writing
        assert writing is not None
        if self._activity is not Activity.STOPPING:
            self._activity = Activity.WRITING
        writing.first_token_at = writing.first_token_at or self._clock()
        writing.token_ids.append(step.token)
        writing.parts.append(step.text)
        return [Wrote(step.id, step.text)] if step.text else []

    def _take_end(self, finished: Finished) -> list[Change]:
        stopped = finished.reason == "cancelled"
        self._activity = Activity.STOPPED if stopped else Activity.READY
        self._tokens_per_s = finished.stats.tokens_per_s
        if finished.stats.context_tokens:
            self._context_used = finished.stats.context_tokens
        if stopped and not finished.text:
            return self._give_up()
        ended = self._end(finished.text, finished.token_ids, finished.reason, finished.stats)
        return [ended, *self._send_next()]

    def _take_death(self, died: Died) -> list[Change]:
        """Keep what was written; what has no answer goes back to the user, to be sent again."""
        self._activity = Activity.DIED
        changes: list[Change] = []
        if self._writing and (text := "".join(self._writing.parts)):
            changes.append(self._end(text, tuple(self._writing.token_ids), "died", None))
        elif self._writing:
            changes += self._give_up()
        told = f"{died.text} The conversation is kept; the next message starts a new engine."
        return [*changes, *self._take_back_waiting(), Noticed(told, True)]

    # -- from waiting to written --------------------------------------------------------------

    def _send_next(self) -> list[Change]:
        """Hand the engine the message that has waited longest, if both are ready."""
        if self._writing or not self._waiting or self._activity not in _IDLE:
            return []
        asked = self._waiting.popleft()
        self.messages.append(Message("user", asked.text))
        request = self._request(asked.id)
        self._writing = _Writing(request, self.steering)
        self._activity, self._done, self._total = Activity.READING, 0.0, 0.0
        try:
            self._engine.reply(request)
        except (UsageError, OSError) as error:  # too long a message, or no process to be had
            self._activity = Activity.READY
            return [*self._give_up(), Noticed(str(error), True)]
        return [Began(asked.id)]

    def _request(self, number: int) -> Reply:
        preset, settings = self.steering.preset, self._settings
        return Reply(
            id=number,
            messages=tuple(self.messages),
            seed=secrets.randbelow(_LARGEST_SEED + 1),
            system=(preset and preset.system) or settings.system or DEFAULT_SYSTEM,
            preference=preset.words() if preset else "",
            method="amulet" if preset else "base",
            strength=self.steering.strength if preset else BASE,
            guard=preset.guard if preset else 0.0,
            placement=preset.placement if preset else "system",
            sampling=preset.sampling if preset else Sampling(),
            max_tokens=settings.max_tokens,
        )

    def _end(
        self,
        text: str,
        token_ids: tuple[int, ...],
        reason: EndReason,
        stats: Stats | None,
    ) -> Ended:
        """Make what was written part of the conversation."""
        writing, self._writing = self._writing, None
        assert writing is not None
        self.messages.append(Message("assistant", text, token_ids))
        request = writing.request
        ended = Ended(request.id, text, reason, writing.steering, request.seed, stats)
        self.endings.append(ended)
        return ended

    def _give_up(self) -> list[Change]:
        """Take the message that is being answered out of the conversation."""
        writing, self._writing = self._writing, None
        assert writing is not None
        return [TakenBack(writing.request.id, self.messages.pop().text)]

    def _take_back_waiting(self) -> list[Change]:
        waiting, self._waiting = self._waiting, deque()
        return [TakenBack(asked.id, asked.text) for asked in waiting]

    def _speed(self) -> float:
        """Tokens a second of the reply under way, or of the last one."""
        if not self._writing:
            return self._tokens_per_s
        tokens = len(self._writing.token_ids) - 1
        passed = self._clock() - self._writing.first_token_at
        return tokens / passed if tokens > 0 and passed > 0 else 0.0
