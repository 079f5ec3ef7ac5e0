"""What can be done about models: choose one, load it by name, fetch or write another.

Functions over the chat's screen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.message import Message

from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from models.cards import without_password
from tui.actions import CHAT, shown_key
from tui.screens import format_actions
from tui.screens.chat_view import ChatView
from tui.screens.format_actions import bring
from tui.screens.model_picker import ModelChoice, ModelPicker
from tui.session.changes import ChosenModel, Noticed
from tui.session.session import BUSY
from tui.unexpected import as_sentences

if TYPE_CHECKING:
    from models.format_trial import Trial


class ModelFound(Message):
    """There is a model to load; chosen: by the user. news: of a format that is worth a copy."""

    def __init__(self, model: ChosenModel, *, chosen: bool, news: Trial | None = None) -> None:
        super().__init__()
        self.model, self.chosen, self.news = model, chosen, news


class ModelMissing(Message):
    """There is none; why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


def pick_model(view: ChatView) -> None:
    """Choose among the models on this disk."""
    session = view.session
    current = as_text(session.model.path) if session.model else ""
    picker = ModelPicker(view.model_store, session.options, current, session.steering)
    view.app.push_screen(picker, partial(_pick_model, view))


def _pick_model(view: ChatView, choice: ModelChoice | None) -> None:
    if choice and choice.measure:
        format_actions.measure(view, choice.name)
    elif choice and choice.write:
        format_actions.write(view, choice.name, choice.write)
    elif choice and choice.fetch:
        pull(view, choice.name)
    elif choice:
        load_by_name(view, choice.name)


def found(view: ChatView, name: str, *, chosen: bool) -> ModelFound | ModelMissing:
    """The model of a name or path, or why there is none; blocks."""
    store = view.model_store
    try:
        with as_sentences():
            model = store.find(name)
            news = store.news_of_formats(as_text(model.path), view.session.options)
    except AmuletError as error:
        return ModelMissing(str(error))
    return ModelFound(model, chosen=chosen, news=news)


def load_by_name(view: ChatView, name: str) -> None:
    """Load a model by its name or path."""
    if view.session.replying:
        view.notify(BUSY)
    else:
        view.find_model(name, chosen=True)


def restart(view: ChatView) -> None:
    """Restart an engine that does not respond."""
    view.session.care.restart()


def look_after(view: ChatView) -> None:
    """Tell where the engine seems stuck, and show where it did before and goes on."""
    care = view.session.care
    stuck = care.stuck
    if told := care.watch():
        told += f" Press {shown_key(view.app, CHAT, 'restart')} to restart it, or wait."
        view.show([Noticed(told, True)])
    elif care.stuck != stuck:
        view.show()


def pull(view: ChatView, what: str) -> None:
    """Fetch a model by its name, from the hub or a URL; or stop doing so."""
    if what == "stop" and not view.fetching.display:
        view.notify("Nothing is being fetched.")
    elif what == "stop":
        view.fetching.cancel()
    else:
        bring(view, without_password(what), partial(view.model_store.pull, what))
