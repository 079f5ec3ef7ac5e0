"""What is done about the engine itself, whatever it was asked: watch it, halt it, restart it."""

from __future__ import annotations

from collections.abc import Callable

from tui.session.engine_link import EngineLink


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

    def halt(self) -> None:
        """Stop what was begun for a guest, which still hears how it ends."""
        self._link.stop()

    def restart(self) -> None:
        """End it, whatever it is at, and have the model loaded again once that is heard; what was
        written is kept."""
        self._link.restart()
