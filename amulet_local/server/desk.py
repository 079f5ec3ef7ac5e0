"""The one engine behind many clients: requests go to it, and each hears its own events.

The engine's events are taken on a thread and told on the event loop, as seldom as can be: waking
the loop takes time from the engine, which has a use for every core. A slot is free again once the
engine has told the end of its reply, however slowly the client reads it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.protocol.messages import Died, Event, Failed, Finished, Prefilling, Reply, Step
from amulet_local.server.failures import ApiError, busy, engine_gone, not_loaded, too_long
from amulet_local.server.slots import Slots

_STUCK_S = 120  # after which an engine that gives no sign of life (see Pulse) is ended
_USAGE = 2  # exit code
_AT_ONCE = 256  # events


class _Asked(NamedTuple):
    """A request under way. heard: where its events go. streamed: whether they are wanted as they
    come, and not only at the end."""

    heard: asyncio.Queue[Event]
    streamed: bool


class Desk:
    """Hands requests to an engine that has its model loaded. For one event loop.

    most_waiting: requests that may wait for a slot.
    """

    def __init__(self, engine: EngineHandle, parallel: int, most_waiting: int) -> None:
        self._engine = engine
        self.slots = Slots(parallel, most_waiting)
        self._open: dict[int, _Asked] = {}
        self._ids = 0
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; to be called on the event loop."""
        loop = asyncio.get_running_loop()

        def listen() -> None:
            untold: list[Event] = []
            while True:
                new = [self._engine.events.get(), *self._engine.events.taken(_AT_ONCE)]
                untold += new
                if not any(map(self._is_awaited, new)):
                    continue
                try:
                    loop.call_soon_threadsafe(self._route_all, untold)
                except RuntimeError:  # the loop is closed
                    return
                untold = []

        threading.Thread(target=listen, daemon=True).start()
        self._watching = asyncio.create_task(self._watch())

    def new_id(self) -> int:
        """A number that no other request has."""
        self._ids += 1
        return self._ids

    async def events(
        self, requests: Sequence[Reply], *, streamed: bool
    ) -> AsyncGenerator[Step | Finished]:
        """The events of these requests, in order, to the end of the last: as they come, or once a
        reply has ended. Leaving early stops those under way. Raises ApiError."""
        await self.slots.take(len(requests))
        heard: asyncio.Queue[Event] = asyncio.Queue()
        for request in requests:
            self._open[request.id] = _Asked(heard, streamed)
        asked = 0
        try:
            for request in requests:
                asked += 1
                try:
                    self._engine.reply(request)
                except AmuletError:  # it does not take what it is asked
                    asked -= 1
                    raise busy() from None
            left = len(requests)
            while left:
                event = await heard.get()
                if isinstance(event, Died):
                    raise engine_gone()
                if isinstance(event, Failed):
                    raise _error_of(event)
                left -= isinstance(event, Finished)
                if isinstance(event, Step | Finished):
                    yield event
        finally:
            for number, request in enumerate(requests):
                if request.id in self._open and number < asked:
                    self._engine.stop(request.id)  # its slot is free once that is told
                elif self._open.pop(request.id, None):
                    self.slots.give_back(1)

    def _is_awaited(self, event: Event) -> bool:
        """Whether anybody waits for this very event; may be asked on any thread."""
        if not isinstance(event, Step):
            return not isinstance(event, Prefilling)
        asked = self._open.get(event.id)
        return asked is not None and asked.streamed

    def _route_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._route(event)

    def _route(self, event: Event) -> None:
        if isinstance(event, Died):
            logging.error("the engine ended: %s", event.text)
            self._settle_all(event)
        elif isinstance(event, Failed) and event.id is None:  # of loading, after a death
            logging.error("the model cannot be loaded: %s", event.text)
            self._settle_all(event)
            self._engine.restart()  # the next request has another one try
        elif isinstance(event, Finished | Failed):
            assert event.id is not None
            self._settle(event.id, event)
        elif isinstance(event, Step) and (asked := self._open.get(event.id)):
            asked.heard.put_nowait(event)

    def _settle_all(self, event: Died | Failed) -> None:
        for request in list(self._open):
            self._settle(request, event)

    def _settle(self, request: int, event: Event) -> None:
        if asked := self._open.pop(request, None):
            asked.heard.put_nowait(event)
            self.slots.give_back(1)

    async def _watch(self) -> None:
        """End an engine that is stuck, so that its clients hear of it and the next has another."""
        stuck_s = 0
        while True:
            await asyncio.sleep(1)
            stuck_s = stuck_s + 1 if self._open and self._engine.trouble() else 0
            if stuck_s > _STUCK_S:
                self._engine.restart()
                stuck_s = 0


def _error_of(failed: Failed) -> ApiError:
    """What a client hears of a command that could not be carried out; paths are not told."""
    if failed.id is None:
        return not_loaded()
    if failed.too_long:
        return too_long(failed.text)
    if failed.exit_code == _USAGE:
        return ApiError(failed.text)
    logging.error("the engine failed: %s", failed.text)
    return engine_gone()
