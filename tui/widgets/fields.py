"""Where text is written: Textual's fields, in which all text is safe, whoever put it there.

What is in a field is drawn, edited and sent as it is; so it is made safe on its way in, and not
only when it is drawn: the cursor would stand beside what is shown.
"""

from __future__ import annotations

from typing import Any

from textual import events
from textual.document._edit import Edit
from textual.widget import Widget
from textual.widgets import Input, TextArea
from textual.widgets.text_area import EditResult

from amulet_local.safe_text import clean


async def edit_in_turn(field: Widget, event: events.Key) -> None:
    """Do what a key does in a field (erase, move...) before the letters typed behind it.

    By itself, Textual looks for what a key is bound to once all widgets around the field have
    passed it on, while letters go in at once.
    """
    for binding in field._bindings.key_to_bindings.get(event.key, ()):
        if await field.app.run_action(binding.action, field):
            event.prevent_default()
            event.stop()
            return


class Line(Input):
    """One line."""

    async def _on_key(self, event: events.Key) -> None:
        await edit_in_turn(self, event)

    def validate_value(self, value: str) -> str:
        """Called with all that becomes its value."""
        return clean(value).replace("\n", " ").replace("\t", " ")


class Area(TextArea):
    """Many lines."""

    def __init__(self, text: str = "", *, placeholder: str = "", **options: Any) -> None:
        super().__init__(clean(text), placeholder=placeholder, **options)

    async def _on_key(self, event: events.Key) -> None:
        await edit_in_turn(self, event)

    def load_text(self, text: str) -> None:
        """Have this text in place of what is there."""
        super().load_text(clean(text))

    def edit(self, edit: Edit) -> EditResult:
        """Do what is typed, pasted or completed."""
        edit.text = clean(edit.text)
        return super().edit(edit)
