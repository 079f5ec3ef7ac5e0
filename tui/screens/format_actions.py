"""Another format of a model: measured while the chat goes on, told with its numbers, and written by
one key where it is worth it.

Functions over the chat's screen; what the key writes is `view.better.faster`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tui.actions import CHAT, shown_key
from tui.screens.chat_view import ChatView
from tui.session.changes import Noticed
from tui.widgets.fetching import Bring, FetchLine

if TYPE_CHECKING:
    from models.format_trial import Trial


def measure(view: ChatView, path: str) -> None:
    """Find out which format of a model is the right one here."""
    work = partial(view.model_store.try_formats, path, view.session.options)
    bring(view, "other formats", work)


def measured(view: ChatView, message: FetchLine.Measured) -> None:
    """Tell what came of it."""
    tell(view, message.trial)


def tell(view: ChatView, trial: Trial) -> None:
    """Tell what was measured, with the key where a copy is worth it."""
    told = trial.sentence
    if trial.best:
        view.better.faster = trial.source, trial.best.type
        told += f" {shown_key(view.app, CHAT, 'fetch')} writes it."
    view.show([Noticed(told)])


def write(view: ChatView, path: str, type_: str) -> None:
    """Write a copy of a model in another type."""
    view.better.faster = None
    work = partial(view.model_store.write, path, type_)
    bring(view, f"{Path(path).name} in {type_.upper()}", work)


def bring(view: ChatView, what: str, work: Bring) -> None:
    """Have a model brought, if none is on its way."""
    if not view.fetching.begin(what, work):
        view.notify(f"{view.fetching.what}: still under way; /pull stop cancels it.")
