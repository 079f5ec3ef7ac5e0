"""What is done about the engine itself, whatever it was asked: watch it, halt it, restart it."""

from __future__ import annotations

from collections.abc import Callable

from amulet_local.engine.client import EngineHandle
from tui.session.engine_link import IDLE, EngineLink, Guest


class EngineCare:
    """expecting: whether the engine is at something, so that it will soon say more."""

    def __init__(self, link: EngineLink, expecting: Callable[[], bool]) -> None:
        self._link, self._expecting = link, expecting

    @property
    def stuck(self) -> bool:
        """Whether it seemed stuck when it was looked at last, and has not been heard since."""
        return bool(self._link.trouble)

    def watch(self) -> str:
        """Why it seems stuck, where it did not when it was looked at last; about once a second."""
        return self._link.watch() if self._expecting() else ""

    def borrow(self, guest: Guest, begin: Callable[[EngineHandle], None]) -> None:
        """Have the engine do something while the chat is at rest, if it is: for a guest that gives
        way to whatever the chat wants next, without being told."""
        if not self._expecting() and self._link.activity in IDLE:
            self._link.lend(guest, begin, gives_way=True)

    def is_borrowed_by(self, guest: Guest) -> bool:
        """Whether the engine is still at what it was borrowed for."""
        return self._link.guest == guest

    def give_back(self) -> None:
        """What it was borrowed for is done."""
        self._link.guest = None

    def halt(self) -> None:
        """Stop what was begun for a guest, which still hears how it ends."""
        self._link.stop()

    def restart(self) -> None:
        """End it, whatever it is at, and have the model loaded again once that is heard; what was
        written is kept."""
        self._link.restart()
