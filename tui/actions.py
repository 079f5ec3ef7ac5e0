"""What a user can do, and with which keys: the one place that keys, footer and help are made from.

An Action is carried out by a method `action_<name>` of the app, screen or widget whose bindings are
made from its tuple. Keys have Textual's names; the first one is shown. Some cannot be had in a
terminal: ctrl+i is Tab, ctrl+m is Enter, ctrl+h is Backspace; and many terminals keep F1 for
themselves, so nothing is on a function key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """name: of the method, with arguments in brackets. keys: separated by commas.

    help: what it does, for the help screen. label: for the footer, empty to leave it out there.
    """

    name: str
    keys: str
    help: str
    label: str = ""


APP = (
    Action("quit", "ctrl+q", "Quit", "Quit"),
    Action(
        "interrupt",
        "ctrl+c",
        "Copy what is selected; else stop the reply; else, pressed twice, quit",
    ),
)
CHAT = (
    Action("fetch", "ctrl+d", "Fetch the default model, where that is offered", "Model"),
    Action("pick_preset", "ctrl+p", "Choose a preset", "Preset"),
    Action("steer", "ctrl+t", "To the strength dial, and back to the message", "Dial"),
    Action("stop", "escape", "Stop; what is written stays, messages that wait come back", "Stop"),
    Action("settle", "escape", "With nothing to stop: to the message, and to the newest text"),
    Action("new_chat", "ctrl+n", "New chat", "New"),
    Action("help", "ctrl+g,f1", "This help", "Help"),
    Action("page(-1)", "pageup", "Scroll up; the text holds still until the end is in sight"),
    Action("page(1)", "pagedown", "Scroll down"),
    Action("newest", "ctrl+end", "To the newest text"),
)
PROMPT = (
    Action("send", "enter", "Send"),
    Action("new_line", "ctrl+j,shift+enter", "New line"),
)
DIAL = (
    Action("step(1)", "right", "A tenth more"),
    Action("step(-1)", "left", "A tenth less"),
    Action("step(10)", "shift+right,plus", "One more"),
    Action("step(-10)", "shift+left,minus", "One less"),
    Action("mark(1)", "up", "To the next mark"),
    Action("mark(-1)", "down", "To the mark before"),
    Action("go('base')", "b", "Base: the preference is ignored"),
    Action("go('prompt')", "p", "Prompt: the preference is only asked for"),
    Action("go('LA')", "l", "LA: linear alignment, firm"),
    Action("go('Amulet')", "a", "Amulet: as strong as in the paper"),
    Action("lowest", "home", "Farthest away from the preference"),
    Action("highest", "end", "Strongest"),
    Action("leave", "enter", "Back to the message"),
)
PICKER = (
    Action("move(-1)", "up", "The preset before"),
    Action("move(1)", "down", "The next preset"),
    Action("move(-8)", "pageup", "Some presets back"),
    Action("move(8)", "pagedown", "Some presets on"),
    Action("choose", "enter", "Choose"),
    Action("close", "escape", "Leave it as it is"),
)
HELP = (Action("close", "escape,q,ctrl+g,f1,enter", "Close"),)

# In the order of the help screen.
PLACES: dict[str, Sequence[Action]] = {
    "Anywhere": (*CHAT, *APP),
    "In the message": PROMPT,
    "On the strength dial": DIAL,
    "Among the presets": PICKER,
}


def bindings(actions: Sequence[Action], *, first: bool = False) -> list[BindingType]:
    """Textual's bindings for these actions; ids allow users to rebind them.

    first: the keys count before what the focused widget would do with them, and at once: what is
    typed right behind them already meets what they did.
    """
    return [
        Binding(
            action.keys,
            action.name,
            action.label or action.help,
            show=bool(action.label),
            priority=first,
            id=f"{action.name}:{action.keys}",
        )
        for action in actions
    ]


def shown_key(app: App[Any], actions: Sequence[Action], name: str) -> str:
    """The first key of an action, as footer and help write it."""
    key = next(action.keys.split(",")[0] for action in actions if action.name == name)
    return app.get_key_display(Binding(key, name))
