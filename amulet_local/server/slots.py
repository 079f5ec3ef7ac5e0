"""Slots for replies at once, and a bounded queue before them: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque

from amulet_local.server.failures import busy


class Slots:
    """So many at once. For one event loop."""

    def __init__(self, count: int, most_waiting: int) -> None:
        self.count, self._most_waiting = count, most_waiting
        self.free = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def take(self, count: int) -> None:
        """Wait for slots. Raises ApiError where enough others wait."""
        if self.free >= count and not self._waiting:
            self.free -= count
            return
        if len(self._waiting) >= self._most_waiting:
            raise busy()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(count)  # it was granted while its client went away
            else:
                self._waiting.remove((count, future))
                self._grant()
            raise

    def give_back(self, count: int) -> None:
        """Let others have them."""
        self.free += count
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            count, future = self._waiting.popleft()
            self.free -= count
            if not future.cancelled():
                future.set_result(None)
            else:
                self.free += count
