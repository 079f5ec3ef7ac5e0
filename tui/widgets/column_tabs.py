"""The names of columns in a line, where not all are seen at once; a click goes to one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from tui.markdown.sanitising import clean


class ColumnTabs(Static):
    """Where room is short, only the selected one's name is written in full."""

    _shown: tuple[Sequence[str], int] | None = None

    def show(self, names: Sequence[str], place: int) -> None:
        """place: of the selected one, counted from 0. What is shown already is not drawn again."""
        cleaned: list[str] = list(map(clean, names))
        if sum(map(cell_len, cleaned)) + 3 * len(cleaned) > self.screen.size.width:
            cleaned = [name if at == place else f"{at + 1}" for at, name in enumerate(cleaned)]
        if self._shown == (cleaned, place):
            return
        self._shown = (cleaned, place)
        tabs = [
            Content.styled(
                f" {name} ",
                Style.from_meta({"@click": f"screen.go({at})"}) + Style(reverse=at == place),
            )
            for at, name in enumerate(cleaned)
        ]
        self.update(Content(" ").join(tabs))
