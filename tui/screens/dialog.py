"""Screens over the chat, which answer once."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A screen that is left with an answer. What is meant for it and comes when it has been left (a
    second key or click, what a thread found out) does nothing: Textual would leave another one."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Leave it, with an answer."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
