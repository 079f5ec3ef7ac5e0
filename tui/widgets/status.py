"""The status line: what the engine is at, and what it works on."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from amulet_local.strengths import label
from tui.markdown.sanitising import clean, speed
from tui.session.changes import Activity, Status

_BETWEEN = "  "
_SHORTEST_NAME = 8
_NEARLY_FULL = 0.85  # of the context; old messages will have to go soon
_SIGNS = {
    Activity.NO_MODEL: "○",
    Activity.LOADING: "◐",
    Activity.READY: "●",
    Activity.READING: "◐",
    Activity.THINKING: "▸",
    Activity.WRITING: "▸",
    Activity.STOPPING: "■",
    Activity.STOPPED: "■",
    Activity.STUCK: "×",
    Activity.DIED: "×",
}


class StatusLine(Widget):
    """One line. Where room is short, the steering goes (the dial has it), then the name shrinks."""

    status: reactive[Status | None] = reactive(None)

    def render(self) -> Content:
        """The engine's activity on the left; steering, speed, context and model on the right."""
        if self.status is None:
            return Content()
        left, facts, width = _doing(self.status), _facts(self.status), self.size.width
        if model := self.status.model:
            room = width - cell_len(_BETWEEN.join([left, *facts, model.quantisation, " "]))
            name = clean(model.name)
            steering = _steering(self.status)
            if room >= cell_len(_BETWEEN.join([name, steering])):
                facts.insert(0, steering)
            facts.append(f"{_shortened(name, room)} {model.quantisation}".lstrip())
            device = self.status.device
            if device and width >= cell_len(_BETWEEN.join([left, "", *facts, device])):
                facts.append(device)
        right = _BETWEEN.join(facts)
        return Content(left + " " * max(2, width - cell_len(left + right)) + right)


def _doing(status: Status) -> str:
    activity, done, total = status.activity, status.done, status.total
    text = f"{_SIGNS[activity]} {activity.value}"
    if activity is Activity.LOADING:
        return f"{text} {done:.0%}"
    if activity is Activity.READING and total:
        return f"{text} {done:,.0f}/{total:,.0f}"
    return text


def _facts(status: Status) -> list[str]:
    """Whether the chat is stored, whether the next reply begins with a thought; speed and context,
    where there are any."""
    facts = ["temporary"] if status.temporary else ["not saved"] if status.unsaved else []
    if status.thinks:
        facts.append("think")
    if status.tokens_per_s:
        pace = f" ×{status.pace:.2f}" if status.pace else ""
        facts.append(f"{speed(status.tokens_per_s)}{pace}")
    if status.context:
        full = "! " if status.context_used >= _NEARLY_FULL * status.context else ""
        facts.append(f"{full}context {status.context_used:,}/{status.context:,}")
    return facts


def _steering(status: Status) -> str:
    followed, strength = status.steering.followed(status.wish), status.steering.strength
    if not status.steering.preference and not status.wish:
        return followed
    return f"{followed} {strength:.2f} {label(strength)}"


def _shortened(name: str, width: int) -> str:
    """A name of this width at most; what is cut is seen to be cut, and too little left out."""
    if width < _SHORTEST_NAME:
        return ""
    return name if cell_len(name) <= width else set_cell_size(name, width - 1).rstrip() + "…"
