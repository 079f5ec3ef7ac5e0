"""What can be done with a message: answer it once more, edit, continue, copy, delete, fork, walk.

Functions over the chat's screen. The message is the selected one, or else the last that fits.
"""

from __future__ import annotations

from functools import partial

from amulet_local.chats.conversation import Node
from amulet_local.chats.wishes import join_wish
from tui.heatmap.summary import steered
from tui.heatmap.tokens import Reading
from tui.markdown.parsing import code_blocks, links
from tui.screens.chat_actions import leave
from tui.screens.chat_view import ChatView, CopiedBlock
from tui.screens.compare import CompareScreen, Taken
from tui.screens.heat import Branch, HeatScreen
from tui.screens.link_picker import LinkPicker
from tui.screens.writing import leave_editing
from tui.session import versions
from tui.session.changes import BranchChanged
from tui.session.session import BUSY
from tui.system.clipboard import copy
from tui.widgets.message import Entry

_COPIED_S = 2.0
_NO_THOUGHT = "There was no thinking before this reply; /think on turns it on for the next one."


def entry(view: ChatView, node: Node) -> Entry:
    """A message as it is shown."""
    siblings = view.session.chat.conversation.siblings(node.id)
    number = [version.id for version in siblings].index(node.id) + 1
    origin = node.origin
    preset = view.presets.presets.get(origin.preset) if origin else None
    name = (preset.title or preset.name) if preset else (origin and origin.preset) or ""
    return Entry(node, number, len(siblings), name or "your own words")


def _message(view: ChatView, role: str = "", name: str = "") -> Node | None:
    """The message of this id, else the selected one, else the last; with a role, the last of
    that role up to it."""
    path = view.session.path
    if name:
        return next((node for node in path if node.id == name), None)
    if selected := view.transcript.selected:
        names = [node.id for node in path]
        if selected.id in names:
            path = path[: names.index(selected.id) + 1]
    fitting = [node for node in path if role in ("", node.message.role)]
    return fitting[-1] if fitting else None


def _typed(node: Node) -> str:
    """A message as it was typed, or written."""
    message = node.message
    return join_wish(message.text, message.wish) if message.role == "user" else message.text


def _missing(view: ChatView, what: str) -> None:
    view.notify(f"There is no {what} yet.")


# -- answers --------------------------------------------------------------------------------------


def regenerate(view: ChatView) -> None:
    """Answer once more, beside the answers that there are."""
    if node := _message(view):
        view.show(versions.regenerate(view.session, node.id))
        view.transcript.follow()
    else:
        _missing(view, "question")


def go_on(view: ChatView) -> None:
    """Write on from the end of a reply."""
    if node := _message(view, "assistant"):
        view.show(versions.go_on(view.session, node))
    else:
        _missing(view, "reply")


def walk(view: ChatView, by: int, name: str = "") -> None:
    """Read another version of a message; name: its id."""
    if node := _message(view, name=name):
        view.show(versions.walk(view.session, node.id, by))
        path = [version.id for version in view.session.path]
        for version in view.session.chat.conversation.siblings(node.id):
            if version.id in path and view.transcript.has_focus:
                view.transcript.select(version.id)


# -- looking closer -------------------------------------------------------------------------------


def open_heat(view: ChatView, name: str = "") -> None:
    """The heat view of a reply; name: its id."""
    node = _message(view, "assistant", name)
    if node is None:
        _missing(view, "reply")
    elif node.id == view.session.writing:
        view.notify("This reply is still being written; open it when it is finished.")
    elif not (reading := Reading(node)).tokens:
        view.notify("This reply has no measurements: no model wrote it in this chat.")
    else:
        about = steered(node, entry(view, node).preset)
        screen = HeatScreen(view.session, reading, about)
        view.app.push_screen(screen, partial(_branch, view))


def _branch(view: ChatView, branch: Branch | None) -> None:
    if branch:
        view.show(versions.branch(view.session, branch.begun, branch.strength, view.presets))
        view.transcript.follow()


def compare(view: ChatView) -> None:
    """A question answered in several ways side by side."""
    node = _message(view, "user")
    if node is None:
        _missing(view, "question")
    elif not view.session.steering.preference and not node.message.wish:
        lacking = view.session.steering.lacking
        view.notify(f"{lacking}: the comparison is between answers with and without it.")
    elif view.session.replying:
        view.notify(BUSY)
    else:
        screen = CompareScreen(view.session, view.presets, node, view.session.steering)
        view.app.push_screen(screen, partial(_take, view))


def _take(view: ChatView, taken: Taken | None) -> None:
    if taken:
        view.session.steering = taken.steering
        view.show(versions.adopt(view.session, taken.reply))
        view.transcript.follow()
    else:
        view.show([])  # a vote may have changed the preset


# -- editing --------------------------------------------------------------------------------------


def edit(view: ChatView) -> None:
    """Take a message's text into the prompt, to be sent as another version of it."""
    node = _message(view) if view.transcript.selected else _message(view, "user")
    if node is None:
        _missing(view, "message")
    elif view.session.replying:
        view.show(versions.edit(view.session, node.id, node.message.text))  # which says why not
    else:
        leave_editing(view)
        view.editing = node.id
        view.prompt.begin(_typed(node))
        view.set_focus(view.prompt)
        whose = "your message" if node.message.role == "user" else "the reply"
        view.prompt.say(f"✎ editing {whose} · esc cancels")


# -- thoughts -------------------------------------------------------------------------------------


def toggle_thought(view: ChatView) -> None:
    """Show or hide what was thought before a reply."""
    node = _message(view, "assistant")
    if node and (node.thought.text.strip() or node.id == view.session.writing):
        view.transcript.unfold(node.id)
    else:
        view.notify(_NO_THOUGHT)


def copy_thought(view: ChatView) -> None:
    """Copy what was thought before a reply."""
    node = _message(view, "assistant")
    if node and (thought := node.thought.text.strip()):
        copy(view.app, thought)
        view.notify("Copied.", timeout=_COPIED_S)
    else:
        view.notify(_NO_THOUGHT)


# -- deleting and going elsewhere -----------------------------------------------------------------


def delete(view: ChatView) -> None:
    """Take out a message and all that follows from it."""
    if node := _message(view):
        changes = versions.delete(view.session, node.id)
        view.show(changes)
        if BranchChanged() in changes:
            view.notify("Deleted; undo restores it.")
    else:
        _missing(view, "message")


def undo(view: ChatView) -> None:
    """Return to what was before."""
    view.show(versions.undo(view.session))


def fork(view: ChatView) -> None:
    """Go on from a message in a chat of its own."""
    node = _message(view)
    if node and node.id == view.session.writing:
        view.notify(BUSY)  # the fork would hold an empty reply
    elif node:
        leave(view, lambda: view.session.fork(node.id))
    else:
        _missing(view, "message")


def open_link(view: ChatView) -> None:
    """Choose among the links of a message, and open one."""
    node = _message(view) if view.transcript.selected else _message(view, "assistant")
    if found := links(node.message.text) if node else []:
        view.app.push_screen(LinkPicker(found), partial(_open_link, view))
    else:
        view.notify("There is no link in this message that can be opened.")


async def _open_link(view: ChatView, address: str | None) -> None:
    if address:
        await view.app.run_action(("app", "open_address", (address,)))


# -- copying --------------------------------------------------------------------------------------


def copy_message(view: ChatView) -> None:
    """Copy a message as it was written."""
    if node := _message(view) if view.transcript.selected else _message(view, "assistant"):
        copy(view.app, _typed(node))
        view.notify("Copied.", timeout=_COPIED_S)
    else:
        _missing(view, "reply")


def copy_code(view: ChatView) -> None:
    """Copy a code block; again, the next one."""
    node = _message(view, "assistant")
    blocks = code_blocks(node.message.text) if node else []
    if node is None or not blocks:
        view.notify("There is no code in this message.")
        return
    same = view.copied.message == node.id
    at = (view.copied.index + 1) % len(blocks) if same else 0
    view.copied = CopiedBlock(node.id, at)
    copy(view.app, blocks[at])
    view.notify(f"Copied code block {at + 1} of {len(blocks)}.", timeout=_COPIED_S)
