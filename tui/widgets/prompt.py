"""Where messages are written: it grows with the text, Enter sends, a paste stays one message."""

from __future__ import annotations

import re

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from tui.actions import PROMPT, shown_key
from tui.text import clean

_ACTIONS = {key: action.name for action in PROMPT for key in action.keys.split(",")}
_LINE_END = re.compile("\r\n?")


class Prompt(TextArea):
    """Posts Sent with what was written, and is empty again."""

    class Sent(Message):
        """The user sends this."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(placeholder="Ask anything", highlight_cursor_line=False)

    def on_mount(self) -> None:
        """Tell the two keys that differ from program to program."""
        send, new_line = (shown_key(self.app, PROMPT, name) for name in ("send", "new_line"))
        self.border_subtitle = f"{send} sends · {new_line} new line"

    async def _on_key(self, event: events.Key) -> None:
        """Send and break lines in turn with the letters typed; bindings would overtake them."""
        if action := _ACTIONS.get(event.key):
            event.prevent_default()
            event.stop()
            await self.run_action(action)

    def action_send(self) -> None:
        """Send, unless there is nothing to send."""
        if text := self.text.strip():
            self.clear()
            self.post_message(self.Sent(text))

    def action_new_line(self) -> None:
        """Begin a line."""
        self.insert("\n")

    def give_back(self, text: str) -> None:
        """Put a message that was not answered before what is being written."""
        self.text = "\n".join(part for part in (text, self.text) if part)
        self.move_cursor(self.document.end)

    def say(self, text: str) -> None:
        """Say something above the message; nothing is drawn anew for what is said already."""
        if text != (self.border_title or ""):
            self.border_title = text

    async def _on_paste(self, event: events.Paste) -> None:
        """Insert what was pasted, made safe; in place of TextArea's own handler."""
        event.prevent_default()
        event.stop()
        self.insert(clean(_LINE_END.sub("\n", event.text)))
