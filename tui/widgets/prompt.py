"""Where messages are written: it grows with the text, Enter sends, a paste stays one message.

Up in the first line walks back through earlier inputs. While completions are shown, the arrows, Tab
and Enter are theirs.
"""

from __future__ import annotations

import re

from textual import events
from textual.message import Message
from textual.timer import Timer

from tui.actions import PROMPT, Action, keys_of, shown_key
from tui.system.completion import Completion
from tui.widgets.completions import Completions
from tui.widgets.fields import Area

PAUSE_S = 0.25
_LINE_END = re.compile("\r\n?")


class Prompt(Area):
    """Posts Sent with what was written, and is empty again; Paused whenever nothing was typed for a
    moment. completions: shown above it. aside: what was being written, while something else is
    written first (see `begin`)."""

    class Sent(Message):
        """The user sends this."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Paused(Message):
        """The text has stayed as it is for a moment."""

    def __init__(self, completions: Completions) -> None:
        super().__init__(placeholder="Ask anything", highlight_cursor_line=False)
        self.cursor_blink = False  # twice a second the whole screen would be put together anew
        self.inputs: list[str] = []  # that were sent before, the newest last
        self._completions = completions
        self._place = 0  # in the inputs, from the end; 0 is what is being written
        self._unsent = ""
        self.aside = ""
        self._actions: dict[str, Action] = {}
        self._pause: Timer | None = None

    def on_mount(self) -> None:
        """Tell the two keys that differ from program to program."""
        own = getattr(self.app, "own_keys", {})
        self._actions = {key: action for action in PROMPT for key in keys_of(action, own)}
        self.invite()

    def invite(self) -> None:
        """Say which keys do what with a message."""
        send, new_line = (shown_key(self.app, PROMPT, name) for name in ("send", "new_line"))
        self.border_subtitle = f"{send} sends · {new_line} adds a line"

    def write(self, text: str) -> None:
        """Have this text in place of what is there, with the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def take_up(self, text: str) -> None:
        """Have this draft in place of all that was being written."""
        self.aside, self._place = "", 0
        self.write(text)

    def begin(self, text: str) -> None:
        """Have this text written first; what was being written comes back by `resume`."""
        self.aside = self.unsent
        self._place = 0
        self.write(text)

    def resume(self) -> None:
        """Go on with what was put aside, if anything was."""
        aside, self.aside = self.aside, ""
        if aside:
            self.give_back(aside)

    @property
    def unsent(self) -> str:
        """What is being written, also while an earlier input is looked at, or it is put aside."""
        looking = self._place and self.text == self.inputs[-self._place]
        return self.aside or (self._unsent if looking else self.text)

    def on_text_area_changed(self) -> None:
        """Wait for a pause anew."""
        if self._pause:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE_S, lambda: self.post_message(self.Paused()))

    async def _on_key(self, event: events.Key) -> None:
        """Send and break lines in turn with the letters typed; bindings would overtake them."""
        if self._completions.display and self._choose(event.key):
            event.prevent_default()
            event.stop()
        elif action := self._actions.get(event.key):
            event.prevent_default()
            event.stop()
            await self.run_action(action.name)

    # -- completions --------------------------------------------------------------------------

    @property
    def before_cursor(self) -> str:
        """The text up to the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def _choose(self, key: str) -> bool:
        """What a key does while completions are shown; False if nothing."""
        if self._completions.before != self.before_cursor:
            return False  # more was typed since
        match key:
            case "up" | "ctrl+k":
                self._completions.action_cursor_up()
            case "down" | "ctrl+j":
                self._completions.action_cursor_down()
            case "tab" | "enter":
                chosen = self._completions.chosen
                if chosen is None or (key == "enter" and self._is_typed(chosen)):
                    return False
                self.accept(chosen, send=key == "enter")
            case _:
                return False
        return True

    def _is_typed(self, completion: Completion) -> bool:
        """Whether a file's name, or the mark of a wish, stands there already."""
        typed = self.before_cursor[-completion.typed :]
        return typed.startswith(("@", "!!")) and typed == completion.insert.rstrip()

    def accept(self, completion: Completion, *, send: bool) -> None:
        """Put a completion in place of what was typed, and send it if it needs nothing more."""
        self._completions.close()
        row, column = self.cursor_location
        self.replace(completion.insert, (row, column - completion.typed), (row, column))
        if send and completion.complete:
            self.action_send()

    # -- keys ---------------------------------------------------------------------------------

    def action_send(self) -> None:
        """Send, unless there is nothing to send."""
        if text := self.text.strip():
            if self.inputs[-1:] != [text]:
                self.inputs.append(text)
            self._place = 0
            self.clear()
            self.post_message(self.Sent(text))

    def action_new_line(self) -> None:
        """Begin a line."""
        self.insert("\n")

    def action_earlier(self) -> None:
        """A line up, or in the first one, the input before."""
        if self.cursor_location[0]:
            self.action_cursor_up()
        elif self._place < len(self.inputs):
            self._unsent = self._unsent if self._place else self.text
            self._place += 1
            self.write(self.inputs[-self._place])

    def action_later(self) -> None:
        """A line down, or in the last one, the input after."""
        if self.cursor_location[0] < self.document.line_count - 1:
            self.action_cursor_down()
        elif self._place:
            self._place -= 1
            self.write(self.inputs[-self._place] if self._place else self._unsent)

    def give_back(self, text: str) -> None:
        """Put a message that was not answered before what is being written."""
        self.write("\n".join(part for part in (text, self.text) if part))

    def say(self, text: str) -> None:
        """Say something above the message; nothing is drawn anew for what is said already."""
        if text != (self.border_title or ""):
            self.border_title = text

    async def _on_paste(self, event: events.Paste) -> None:
        """Insert what was pasted; in place of TextArea's own handler."""
        event.prevent_default()
        event.stop()
        self.insert(_LINE_END.sub("\n", event.text))
