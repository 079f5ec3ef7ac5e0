"""The front end's handle on the engine process: start it, send commands, receive events.

Works the same for the command line (which blocks on `events.get()`) and the chat screen (which
drains `events` several times a second). It knows nothing of terminals.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from amulet_local.engine.events import Events
from amulet_local.engine.running import Running
from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Command,
    Compare,
    Died,
    Examine,
    Load,
    ReadAhead,
    Reply,
    Steer,
    Stop,
    UsedStrength,
)


class EngineHandle(Protocol):
    """What a front end needs of an engine; a fake one stands here in tests of the screen.

    Every method but `close` returns at once; what happens is told by events, in order.
    """

    events: Events

    def load(self, model: str, options: LoadOptions) -> None:
        """Start the process if needed and load a model; Loading…, then Loaded or Failed."""

    def reply(self, request: Reply) -> None:
        """Write a reply; after a death, a new process is started and the model loaded first."""

    def read_ahead(self, request: Reply, more: Message) -> None:
        """Read what a reply will begin by reading (see protocol.ReadAhead), where an engine runs;
        no event tells of it."""

    def steer(self, request: int, strengths: tuple[float | None, ...]) -> None:
        """Turn the faders of a reply under way, by the id of its request, to one strength each,
        None for a muted one (see protocol.Steer); no event tells of it."""

    def compare(self, replies: tuple[Reply, ...]) -> None:
        """Write replies side by side; else as `reply`."""

    def examine(self, request: Reply, strengths: tuple[UsedStrength, ...]) -> None:
        """Tell what could have been said at each token of a reply (see protocol.Examine)."""

    def stop(self, request: int | None = None) -> None:
        """Stop the load or reply under way; or the reply to one request, by its id."""

    def trouble(self) -> str:
        """Why the engine, of which something is expected, seems stuck, in a sentence; "" where it
        does not. To be asked for about once a second."""

    def restart(self) -> None:
        """End the process at once; Died. What is asked next has another one started."""

    def close(self) -> None:
        """End the process and wait for it, not for two and a half seconds, then kill it.

        First it may keep the chat that is open; then it is told to give that up.
        """


Needs = Callable[[str, LoadOptions], tuple[Memory, ...]]


class EngineProcess:
    """The real engine. For one thread of the front end; close it, also on the way out of errors.

    needs: tells what a model will take (models/memory.needs_of); without it, a model is loaded
    whether it fits or not. parallel: replies written at once (see protocol.Load).
    """

    def __init__(self, needs: Needs = lambda _model, _options: (), *, parallel: int = 1) -> None:
        self._needs, self._parallel = needs, parallel
        self.events = Events()
        self._running: Running | None = None
        self._latest: Running | None = None  # the same, but kept while it is closed
        self._load: Load | None = None
        self._most_layers: dict[str, int] = {}  # on devices, by model

    def load(self, model: str, options: LoadOptions) -> None:
        """See EngineHandle."""
        self._learn()
        if self.trouble():
            self._abandon()
        self._load = self._spared(Load(model, options, self._needs(model, options), self._parallel))
        if not self._send(self._load):
            self._start()

    def reply(self, request: Reply) -> None:
        """See EngineHandle."""
        self._insist(request)

    def read_ahead(self, request: Reply, more: Message) -> None:
        """See EngineHandle."""
        with suppress(UsageError):  # that it is too long is told of what is sent
            self._send(ReadAhead(request, more))

    def steer(self, request: int, strengths: tuple[float | None, ...]) -> None:
        """See EngineHandle."""
        self._send(Steer(request, strengths))

    def compare(self, replies: tuple[Reply, ...]) -> None:
        """See EngineHandle."""
        self._insist(Compare(replies))

    def examine(self, request: Reply, strengths: tuple[UsedStrength, ...]) -> None:
        """See EngineHandle."""
        self._insist(Examine(request, strengths))

    def stop(self, request: int | None = None) -> None:
        """See EngineHandle."""
        self._send(Stop(request))

    def trouble(self) -> str:
        """See EngineHandle."""
        return self._running.pulse.trouble() if self._running else ""

    def restart(self) -> None:
        """See EngineHandle."""
        self._abandon()
        self.events.put(Died("The engine was stopped.", asked=True))

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._running.pid if self._running else None

    def close(self) -> None:
        """See EngineHandle."""
        if running := self._running:
            self._running = None
            running.close()

    def kill(self) -> None:
        """End the process at once; for another thread, when there is no time left to close it."""
        if latest := self._latest:
            latest.kill()

    def _abandon(self) -> None:
        if running := self._running:
            self._running = None
            running.abandon()

    def _start(self) -> None:
        """A new process, with the model that the last one had."""
        self._learn()
        self.close()
        self._running = self._latest = Running(self.events)
        if self._load:
            self._load = self._spared(self._load)
            self._send(self._load)

    def _learn(self) -> None:
        """Remember where devices lacked memory while a model was in use."""
        if self._running and self._load and self._running.layers_to_try is not None:
            self._most_layers[self._load.model] = self._running.layers_to_try

    def _spared(self, load: Load) -> Load:
        """With fewer layers on devices, for a model of which they have lacked the memory."""
        layers = self._most_layers.get(load.model)
        if layers is None:
            return load
        return replace(load, options=replace(load.options, gpu_layers=layers))

    def _insist(self, command: Command) -> None:
        """Send to a new process where there is none."""
        if not self._send(command):
            self._start()
            self._send(command)

    def _send(self, command: Command) -> bool:
        return self._running is not None and self._running.send(command)
