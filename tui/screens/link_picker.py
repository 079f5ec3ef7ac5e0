"""Choosing a link of a message: where each leads is seen before it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.actions import PICKER, bindings, shown_key
from tui.markdown.sanitising import clean
from tui.markdown.styled import Link
from tui.screens.picker import Picker


class LinkPicker(Picker[str]):
    """Dismissed with an address, or None."""

    PLACEHOLDER = "Type to find a link"
    PARTS = ("title", "details")
    BINDINGS: ClassVar[list[BindingType]] = bindings(PICKER)

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        self._links = links

    def on_mount(self) -> None:
        """Begin at the first."""
        opens, close = (shown_key(self.app, PICKER, name) for name in ("choose", "close"))
        window = self.query_one("#window")
        window.border_title = "Links"
        window.border_subtitle = f"{opens} opens it · {close} cancels"
        self._list("")

    def _list(self, wanted: str) -> None:
        words = wanted.casefold().split()
        options = self.query_one(OptionList)
        options.clear_options()
        for number, link in enumerate(self._links):
            if all(word in f"{link.text} {link.address}".casefold() for word in words):
                options.add_option(Option(Content(clean(link.address)), id=str(number)))
        options.highlighted = 0 if options.option_count else None
        if not options.option_count:
            self.tell({"title": "No matches", "details": "No link contains these words."})

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        self._list(message.value)

    @on(OptionList.OptionHighlighted)
    def _show(self, message: OptionList.OptionHighlighted) -> None:
        link = self._links[int(message.option_id or 0)]
        self.tell({"title": link.text.strip() or link.address, "details": link.address})

    @on(Input.Submitted)
    def action_choose(self) -> None:
        """Open the one at hand."""
        option = self.query_one(OptionList).highlighted_option
        if option:
            self._choose(option)

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        self._choose(message.option)

    def _choose(self, option: Option) -> None:
        self.dismiss(self._links[int(option.id or 0)].address)
