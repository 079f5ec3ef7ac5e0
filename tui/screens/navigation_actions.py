"""Where the keys go, and which part of a chat is in sight.

Functions over the chat's screen.
"""

from __future__ import annotations

from tui.screens.chat_view import ChatView
from tui.screens.writing import leave_editing


def settle(view: ChatView) -> None:
    """Where one writes, with the newest text in sight."""
    if view.completions.display:
        view.completions.close()
        return
    if view.prompt.has_focus:
        leave_editing(view)
    view.set_focus(view.prompt)
    view.transcript.follow()


def look_back(view: ChatView) -> None:
    """To the messages, or back to writing."""
    view.set_focus(view.prompt if view.transcript.has_focus else view.transcript)


def page(view: ChatView, direction: int) -> None:
    """Scroll through the chat."""
    view.transcript.page(direction)


def newest(view: ChatView) -> None:
    """Follow the newest text."""
    view.transcript.follow()
