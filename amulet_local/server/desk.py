"""The one engine behind many clients: requests go to it, and each hears its own events.

The engine's events are taken on a thread and told on the event loop. A slot is free again once the
engine has told the end of its reply, however slowly the client reads it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence

from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.protocol.messages import Died, Event, Failed, Finished, Reply, Step
from amulet_local.server.failures import ApiError, busy, engine_gone, too_long
from amulet_local.server.slots import Slots

_STUCK_S = 60  # after which an engine that gives no sign of life is ended
_USAGE = 2  # exit code


class Desk:
    """Hands requests to an engine that has its model loaded. For one event loop.

    most_waiting: requests that may wait for a slot.
    """

    def __init__(self, engine: EngineHandle, parallel: int, most_waiting: int) -> None:
        self._engine = engine
        self.slots = Slots(parallel, most_waiting)
        self._open: dict[int, asyncio.Queue[Event]] = {}
        self._ids = 0
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; to be called on the event loop."""
        loop = asyncio.get_running_loop()

        def listen() -> None:
            while True:
                event = self._engine.events.get()
                try:
                    loop.call_soon_threadsafe(self._route, event)
                except RuntimeError:  # the loop is closed
                    return

        threading.Thread(target=listen, daemon=True).start()
        self._watching = asyncio.create_task(self._watch())

    def new_id(self) -> int:
        """A number that no other request has."""
        self._ids += 1
        return self._ids

    async def events(self, requests: Sequence[Reply]) -> AsyncGenerator[Step | Finished]:
        """The events of these requests, as they come, to the end of the last. Leaving early stops
        those under way. Raises ApiError."""
        await self.slots.take(len(requests))
        heard: asyncio.Queue[Event] = asyncio.Queue()
        for request in requests:
            self._open[request.id] = heard
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

    def _route(self, event: Event) -> None:
        if isinstance(event, Died):
            logging.error("the engine ended: %s", event.text)
            for request in list(self._open):
                self._settle(request, event)
        elif isinstance(event, Finished) or (isinstance(event, Failed) and event.id is not None):
            assert event.id is not None
            self._settle(event.id, event)
        elif isinstance(event, Step) and (heard := self._open.get(event.id)):
            heard.put_nowait(event)

    def _settle(self, request: int, event: Event) -> None:
        if heard := self._open.pop(request, None):
            heard.put_nowait(event)
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
    if failed.too_long:
        return too_long(failed.text)
    if failed.exit_code == _USAGE:
        return ApiError(failed.text)
    logging.error("the engine failed: %s", failed.text)
    return engine_gone()
