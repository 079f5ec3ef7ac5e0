"""The chat's screen for those who act on it: what it shows, and how it is told of changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from textual.app import App
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.widget import Widget

from amulet_local.presets.preset import Presets
from tui.session.better_model import BetterModel
from tui.session.changes import Change
from tui.session.model_store import ModelStore
from tui.session.session import Session
from tui.widgets.completions import Completions
from tui.widgets.dial import Dial
from tui.widgets.fetching import FetchLine
from tui.widgets.prompt import Prompt
from tui.widgets.steering import SteeringPanel
from tui.widgets.transcript import Transcript


@dataclass(frozen=True)
class CopiedBlock:
    """Which code block of which message was copied last."""

    message: str = ""
    index: int = -1


class ChatView(Protocol):
    """The screen, without its layout.

    editing: id of the message whose text is in the prompt. copied: see `message_actions.copy_code`.
    draft: what is being written, as it is stored. chat_before: id of the chat that was open before
    this one. calibrated: see `steering_actions.calibrated_at`. better: see first_run.py.
    """

    session: Session
    model_store: ModelStore
    presets: Presets
    transcript: Transcript
    prompt: Prompt
    completions: Completions
    fetching: FetchLine
    panel: SteeringPanel
    editing: str | None
    copied: CopiedBlock
    draft: str
    chat_before: str | None
    calibrated: tuple[object, float | None]
    better: BetterModel

    @property
    def app(self) -> App[Any]:
        """The app that it is a screen of."""
        ...

    @property
    def dial(self) -> Dial:
        """The dial for the strength."""
        ...

    def show(self, changes: Iterable[Change] = ()) -> None:
        """Show what changes, and how things stand after it."""
        ...

    def show_title(self) -> None:
        """Show the title of the open chat."""
        ...

    def find_model(self, name: str, *, chosen: bool = False) -> object:
        """Find a model by its name or path on a thread, and load it. chosen: by the user."""
        ...

    def post_message(self, message: Message) -> bool:
        """Have the screen handle a message; from any thread."""
        ...

    async def run_action(self, action: str) -> None:
        """Carry out an action of this screen."""
        ...

    def notify(
        self, message: str, *, severity: SeverityLevel = ..., timeout: float | None = ...
    ) -> None:
        """Tell something at the edge of the screen. timeout: in seconds."""
        ...

    def set_focus(self, widget: Widget | None) -> None:
        """Have the keys go to this widget."""
        ...
