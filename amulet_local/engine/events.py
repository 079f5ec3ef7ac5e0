"""What the engine has said and nobody has taken yet, within bounds.

Whoever takes it may be slow, as a screen is; an engine that says more than that waits, since nobody
reads its pipe meanwhile, and the front end's memory does not grow.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from amulet_local.protocol.messages import Event

_MOST = 4096  # events
_MOST_BYTES = 32 * 1024 * 1024  # of frames; one is at most half of that


class Events:
    """Events in order, for one thread that takes them and any that put.

    early: hears of each as it is added, on the thread that adds it, and must not be long about it.
    """

    def __init__(self) -> None:
        self.early: Callable[[Event], object] = lambda _event: None
        self._held: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, event: Event) -> None:
        """Add what the front end itself has to say; never waits."""
        with self._changed:
            self._add(event, 0)

    def offer(self, event: Event, size: int, patience_s: float) -> bool:
        """Add an event whose frame has so many bytes; False where there was no room in time."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, patience_s):
                return False
            self._add(event, size)
            return True

    def get(self, timeout: float | None = None) -> Event:
        """The next one. Raises queue.Empty where none comes within so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held, timeout):
                raise queue.Empty
            event, size = self._held.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return event

    def get_nowait(self) -> Event:
        """The next one. Raises queue.Empty where there is none now."""
        return self.get(0)

    def taken(self, most: int) -> Iterator[Event]:
        """Those that are there now, and come meanwhile, up to so many."""
        with suppress(queue.Empty):
            for _ in range(most):
                yield self.get_nowait()

    def empty(self) -> bool:
        """Whether there is none now."""
        return not self._held

    def _has_room(self) -> bool:
        return len(self._held) < _MOST and self._bytes < _MOST_BYTES

    def _add(self, event: Event, size: int) -> None:
        self.early(event)
        self._held.append((event, size))
        self._bytes += size
        self._changed.notify_all()
