"""What can be done with a message: answer it once more, edit, continue, copy, delete, fork, walk.

A part of the chat's screen. The message is the selected one, or else the last that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.screen import Screen

from amulet_local.chats.conversation import Node
from amulet_local.presets.preset import Presets
from tui.heatmap.summary import steered
from tui.heatmap.tokens import Reading
from tui.markdown.parsing import code_blocks, links
from tui.screens.compare import CompareScreen, Taken
from tui.screens.link_picker import LinkPicker
from tui.screens.look import Branch, LookScreen
from tui.session import versions
from tui.session.changes import Change
from tui.session.session import BUSY, Session
from tui.system.clipboard import copy
from tui.widgets.message import Entry
from tui.widgets.prompt import Prompt
from tui.widgets.transcript import Transcript

_COPIED_S = 2.0
_NO_THOUGHT = (
    "Nothing was thought before this reply; /think on has the next one begin with a thought."
)


@dataclass
class _Copied:
    """Which code block of which message was copied last."""

    name: str = ""
    block: int = -1


class OnMessages(Screen[None]):
    """Needs `session`, `presets`, `transcript` and `prompt`, and `show` for what changes."""

    session: Session
    presets: Presets
    transcript: Transcript
    prompt: Prompt
    editing: str | None = None  # the message whose text is in the prompt

    def __init__(self) -> None:
        super().__init__()
        self._copied = _Copied()

    def show(self, changes: Iterable[Change]) -> None:
        """Show what changes."""
        raise NotImplementedError

    def entry(self, node: Node) -> Entry:
        """A message as it is shown."""
        raise NotImplementedError

    def leave(self, go: Callable[[], list[Change]]) -> bool:
        """Leave this chat for another."""
        raise NotImplementedError

    def _message(self, role: str = "", name: str = "") -> Node | None:
        """The message of this id, else the selected one, else the last; with a role, the last of
        that role up to it."""
        path = self.session.path
        if name:
            return next((node for node in path if node.id == name), None)
        if selected := self.transcript.selected:
            names = [node.id for node in path]
            if selected.id in names:
                path = path[: names.index(selected.id) + 1]
        fitting = [node for node in path if role in ("", node.message.role)]
        return fitting[-1] if fitting else None

    def _missing(self, what: str) -> None:
        self.notify(f"There is no {what} yet.")

    # -- answers ------------------------------------------------------------------------------

    def action_regenerate(self) -> None:
        """Answer once more, beside the answers that there are."""
        if node := self._message():
            self.show(versions.regenerate(self.session, node.id))
            self.transcript.follow()
        else:
            self._missing("question")

    def action_apply(self) -> None:
        """The same, to have it steered as is set now."""
        self.action_regenerate()

    def action_go_on(self) -> None:
        """Write on from the end of a reply."""
        if node := self._message("assistant"):
            self.show(versions.go_on(self.session, node))
        else:
            self._missing("reply")

    def action_walk(self, by: int, name: str = "") -> None:
        """Read another version of a message; name: its id."""
        if node := self._message(name=name):
            self.show(versions.walk(self.session, node.id, by))
            path = [version.id for version in self.session.path]
            for version in self.session.chat.conversation.siblings(node.id):
                if version.id in path and self.transcript.has_focus:
                    self.transcript.select(version.id)

    # -- looking closer -----------------------------------------------------------------------

    def action_look(self, name: str = "") -> None:
        """The heat view of a reply; name: its id."""
        node = self._message("assistant", name)
        if node is None:
            self._missing("reply")
        elif node.id == self.session.writing:
            self.notify("This reply is still being written; look at it when it is complete.")
        elif not (reading := Reading(node)).tokens:
            self.notify("Nothing was measured in this reply: no model wrote it for this chat.")
        else:
            about = steered(node, self.entry(node).preset)
            screen = LookScreen(self.session, reading, about)
            self.app.push_screen(screen, self._branch)

    def _branch(self, branch: Branch | None) -> None:
        if branch:
            self.show(versions.branch(self.session, branch.begun, branch.strength, self.presets))
            self.transcript.follow()

    def action_compare(self) -> None:
        """A question answered in several ways side by side."""
        node = self._message("user")
        if node is None:
            self._missing("question")
        elif not self.session.steering.preference:
            self.notify("Choose a preset first: answers with and without it are compared.")
        elif self.session.replying:
            self.notify(BUSY)
        else:
            screen = CompareScreen(self.session, self.presets, node, self.session.steering)
            self.app.push_screen(screen, self._take)

    def _take(self, taken: Taken | None) -> None:
        if taken:
            self.session.steering = taken.steering
            self.show(versions.adopt(self.session, taken.reply))
            self.transcript.follow()
        else:
            self.show([])  # a vote may have changed the preset

    # -- editing ------------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Take a message's text into the prompt, to be sent as another version of it."""
        node = self._message() if self.transcript.selected else self._message("user")
        if node is None:
            self._missing("message")
        elif self.session.replying:
            self.show(versions.edit(self.session, node.id, node.message.text))  # which says why not
        else:
            self.editing = node.id
            self.prompt.write(node.message.text)
            self.set_focus(self.prompt)
            whose = "your message" if node.message.role == "user" else "the reply"
            self.prompt.say(f"✎ editing {whose} · esc leaves it as it is")

    def leave_editing(self) -> bool:
        """Leave the message as it is; False if none is being edited."""
        if self.editing is None:
            return False
        self.editing = None
        self.prompt.write(self.session.chat.draft)
        self.prompt.say("")
        return True

    # -- thoughts -----------------------------------------------------------------------------

    def action_thought(self) -> None:
        """Show or hide what was thought before a reply."""
        node = self._message("assistant")
        if node and (node.thought.text.strip() or node.id == self.session.writing):
            self.transcript.unfold(node.id)
        else:
            self.notify(_NO_THOUGHT)

    def action_copy_thought(self) -> None:
        """Copy what was thought before a reply."""
        node = self._message("assistant")
        if node and (thought := node.thought.text.strip()):
            copy(self.app, thought)
            self.notify("Copied.", timeout=_COPIED_S)
        else:
            self.notify(_NO_THOUGHT)

    # -- deleting and going elsewhere ---------------------------------------------------------

    def action_delete(self) -> None:
        """Take out a message and all that follows from it."""
        if node := self._message():
            self.show(versions.delete(self.session, node.id))
            self.notify("Deleted; undo brings it back.")
        else:
            self._missing("message")

    def action_undo(self) -> None:
        """Return to what was before."""
        self.show(versions.undo(self.session))

    def action_fork(self) -> None:
        """Go on from a message in a chat of its own."""
        if node := self._message():
            self.leave(lambda: self.session.fork(node.id))
        else:
            self._missing("message")

    def action_open_link(self) -> None:
        """Choose among the links of a message, and open one."""
        node = self._message() if self.transcript.selected else self._message("assistant")
        if found := links(node.message.text) if node else []:
            self.app.push_screen(LinkPicker(found), self._open_link)
        else:
            self.notify("There is no link in this message that may be opened.")

    async def _open_link(self, address: str | None) -> None:
        if address:
            await self.app.run_action(("app", "open_address", (address,)))

    # -- copying ------------------------------------------------------------------------------

    def action_copy_message(self) -> None:
        """Copy a message as it was written."""
        if node := self._message() if self.transcript.selected else self._message("assistant"):
            copy(self.app, node.message.text)
            self.notify("Copied.", timeout=_COPIED_S)
        else:
            self._missing("reply")

    def action_copy_code(self) -> None:
        """Copy a code block; again, the next one."""
        node = self._message("assistant")
        blocks = code_blocks(node.message.text) if node else []
        if node is None or not blocks:
            self.notify("There is no code in this message.")
            return
        same = self._copied.name == node.id
        self._copied = _Copied(node.id, (self._copied.block + 1) % len(blocks) if same else 0)
        copy(self.app, blocks[self._copied.block])
        self.notify(
            f"Copied code block {self._copied.block + 1} of {len(blocks)}.", timeout=_COPIED_S
        )
