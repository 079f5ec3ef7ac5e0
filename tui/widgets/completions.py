"""The completions of what is being typed, listed above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.markdown.sanitising import clean
from tui.system.completion import MOST, Completion

_LABEL = 24


class Completions(OptionList, can_focus=False):
    """Shown while there are any; the prompt has the keys, a click chooses as well."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"hint"}

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.display = False
        self.before = ""
        self._shown: list[Completion] = []

    @property
    def chosen(self) -> Completion | None:
        """The completion at hand."""
        return None if self.highlighted is None else self._shown[self.highlighted]

    def show(self, completions: Sequence[Completion], before: str) -> None:
        """List these, or nothing, as completions of a text."""
        self.before = before
        shown = list(completions[:MOST])
        if shown == self._shown:
            return
        self._shown = shown
        self.clear_options()
        self.add_options(
            Option(
                Content(f"{clean(it.label):<{_LABEL}} ") + Content.styled(clean(it.hint), ".hint")
            )
            for it in shown
        )
        self.highlighted = 0 if shown else None
        self.display = bool(shown)

    def close(self) -> None:
        """List nothing until something else is typed."""
        self.display = False
        self._shown = []
