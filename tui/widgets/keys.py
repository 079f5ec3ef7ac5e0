"""The line of keys at the bottom: those that do something now; a click presses them.

One widget that draws itself, where Textual's footer makes and removes one for every key whenever
the focus moves.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from tui.actions import order

_KEPT = 2  # at the end: to quit, and all keys


class KeyLine(Widget):
    """Shows the bindings of its screen that have a label: those of what has the focus first, the
    app's own last. Where room is short, closer together, and without those before the last."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key"}

    def __init__(self) -> None:
        super().__init__()
        self._labels: list[Content] = []

    def on_mount(self) -> None:
        """Hear of every change."""
        self.screen.bindings_updated_signal.subscribe(self, self._update)

    def render(self) -> Content:
        """Keys and labels."""
        labels = list(self._labels)
        line = Content("  ").join(labels)
        while line.cell_length > self.size.width and len(labels) > _KEPT:
            line = Content(" ").join(labels)
            if line.cell_length > self.size.width:
                del labels[-_KEPT - 1]
        return line

    def _update(self, screen: Screen[Any]) -> None:
        labels: dict[str, Content] = {}
        bound = sorted(
            screen.active_bindings.values(),
            key=lambda it: (it.node is self.app, it.node is screen, order(it.binding)),
        )
        for active in bound:
            binding = active.binding
            if binding.show and active.enabled and binding.action not in labels:
                key = Content.styled(self.app.get_key_display(binding), ".key")
                press = Style.from_meta({"@click": f"app.simulate_key({binding.key!r})"})
                labels[binding.action] = (key + f" {binding.description}").stylize(press)
        if list(labels.values()) != self._labels:
            self._labels = list(labels.values())
            self.refresh()
