"""From the starter to a good chat: what suits this machine better is looked up once the starter has
answered, named, fetched while the chat goes on, and moved to. All but the first is up to the user,
by the key of the action `fetch`.

Functions over the chat's screen; how far it is stands in `view.better`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rich.filesize import decimal
from textual.message import Message

from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from models.catalogue import default
from tui.actions import CHAT, shown_key
from tui.screens import calibrating, format_actions, model_actions
from tui.screens.chat_view import ChatView
from tui.session.better_model import Stage, remember
from tui.session.changes import Activity, Change, Noticed
from tui.unexpected import as_sentences
from tui.widgets.fetching import FetchLine

if TYPE_CHECKING:
    from models.suggestion import Suggestion

_KEYED = (Stage.OFFERED, Stage.HERE, Stage.UNMEASURED)


class Suggested(Message):
    """What suits this machine better than the starter; None where the user has other models."""

    def __init__(self, suggestion: Suggestion | None) -> None:
        super().__init__()
        self.suggestion = suggestion


def go_on(view: ChatView) -> None:
    """Take the steps that are nobody's choice, if it is time for them."""
    calibrating.go_on(view)
    better, session = view.better, view.session
    if better.stage is Stage.WAITING and _starter_has_answered(view):
        better.stage = Stage.LOOKING
        view.app.run_worker(partial(_look, view), thread=True, group="better")
    elif better.chosen and session.status.activity is Activity.READY and session.model:
        if as_text(session.model.path) == better.chosen:
            remember(better.chosen)
        better.chosen = ""
        if better.stage is Stage.MOVING:
            better.stage = Stage.OVER
            view.show([Noticed(f"This chat now uses {session.model.name}; so will new ones.")])
            calibrating.offer(view)


calibrate = calibrating.toggle


def load(view: ChatView, message: model_actions.ModelFound) -> list[Change]:
    """Load a model that was found, unless a reply was begun since it was asked for."""
    if refusal := view.session.refusal():
        if view.better.stage is Stage.MOVING:
            view.better.stage = Stage.HERE
        return refusal
    view.better.chosen = as_text(message.model.path) if message.chosen else ""
    return view.session.load(message.model)


def keyed(view: ChatView) -> bool:
    """Whether the key would do something now; within a line it deletes, as everywhere."""
    prompt = view.prompt
    at_end = prompt.cursor_location == prompt.document.end
    return (view.better.stage in _KEYED or view.better.faster is not None) and at_end


def accept(view: ChatView) -> None:
    """Take the next step: fetch what is offered, move the chat to what is here, measure it; or
    write a faster format."""
    better = view.better
    if better.stage is Stage.OFFERED:
        model_actions.pull(view, better.name)
        if view.fetching.display and view.fetching.what == better.name:
            better.stage = Stage.FETCHING
    elif better.stage is Stage.HERE:
        model_actions.load_by_name(view, better.here)
        if not view.session.replying:
            better.stage = Stage.MOVING
    elif better.stage is Stage.UNMEASURED:
        better.stage = Stage.OVER
        calibrating.toggle(view)
    elif better.faster:
        format_actions.write(view, *better.faster)
    view.show()


def name_it(view: ChatView, message: Suggested) -> None:
    """Say what was found, with the key; or what is in the way, to those who are new here."""
    better, suggestion = view.better, message.suggestion
    if not suggestion:
        better.stage = Stage.OVER
        return
    if not suggestion.entry:
        better.stage = Stage.WAITING  # by the next reply, the machine may be less busy
        if view.session.history.count() <= 1 and not better.told:
            better.told = True
            view.show([Noticed(f"{suggestion.obstacle} /model lists all that can be fetched.")])
        return
    better.stage, better.name = Stage.OFFERED, suggestion.entry.name
    speed = f", about {suggestion.per_s:.0f} tokens a second" if suggestion.per_s else ""
    view.show(
        [
            Noticed(
                f"A better model for this machine: {better.name} "
                f"({decimal(suggestion.entry.download)}{speed}). {_key(view)} fetches it while "
                "you chat."
            )
        ]
    )


def arrived(view: ChatView, message: FetchLine.Arrived) -> None:
    """A model is here: load it where there is none, else say by which key it comes."""
    model = view.session.model
    if not model:
        view.find_model(message.path, chosen=True)
    elif as_text(model.path) == message.path:
        view.notify(f"{message.name} is ready, and already loaded.")
    else:
        view.better.stage, view.better.here = Stage.HERE, message.path
        view.show([Noticed(f"Ready: {message.name}. {_key(view)} moves this chat to it.")])


def ended(view: ChatView, message: FetchLine.Ended) -> None:
    """A fetch came to nothing; of what is offered, the key tries again."""
    if view.better.stage is Stage.FETCHING:
        view.better.stage = Stage.OFFERED
        view.show([Noticed(f"{message.reason} {_key(view)} tries again.")])
    else:
        view.notify(message.reason, severity="warning")


def _starter_has_answered(view: ChatView) -> bool:
    session = view.session
    model, speed = session.model, session.replies.steps_per_s
    return bool(model and model.path.name == default().file and speed and not session.replying)


def _look(view: ChatView) -> None:
    session, store = view.session, view.model_store
    current = as_text(session.model.path) if session.model else ""
    suggestion = None
    try:
        with as_sentences():
            if not any(it.here and it.path != current for it in store.models(session.options)):
                suggestion = store.suggest(session.options, session.replies.steps_per_s)
    except AmuletError:
        pass  # an offer that cannot be made is not missed
    view.post_message(Suggested(suggestion))


def _key(view: ChatView) -> str:
    return shown_key(view.app, CHAT, "fetch")
