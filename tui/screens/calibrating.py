"""What strength the model bears is measured while the chat is at rest: offered once for a model
that was just fetched, begun by a key or a command, and told when it is known.

Functions over the chat's screen; the search itself is `view.better.calibration`.
"""

from __future__ import annotations

from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import is_bearing_known
from tui.actions import CHAT, shown_key
from tui.screens.chat_view import ChatView
from tui.session.better_model import Stage
from tui.session.calibration import Calibration
from tui.session.changes import Noticed


def offer(view: ChatView) -> None:
    """Name the key, where nothing is known of the model yet."""
    model = view.session.model
    if model and not is_bearing_known(as_text(model.path)):
        view.better.stage = Stage.UNMEASURED
        key = shown_key(view.app, CHAT, "fetch")
        view.show(
            [
                Noticed(
                    f"{key} measures how firmly {model.name} can be led: at most two minutes, and "
                    "only while the chat is at rest."
                )
            ]
        )


def toggle(view: ChatView) -> None:
    """Begin the search, or give it up."""
    if view.better.calibration:
        view.better.calibration.stop()
    elif view.session.model:
        view.better.calibration = Calibration(view.session, view.presets)
        view.notify("Measuring while the chat is idle; /calibrate again stops it.")
    else:
        view.notify("No model is loaded.")
    view.show()


def go_on(view: ChatView) -> None:
    """Take the next step, if the engine is at rest; tell what came of it."""
    if calibration := view.better.calibration:
        calibration.go_on()
        if calibration.told:
            view.better.calibration = None
            view.show([Noticed(calibration.told)])
