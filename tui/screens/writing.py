"""What is written in the prompt: read ahead, sent or carried out, completed, kept as a draft and
brought back.

Functions over the chat's screen.
"""

from __future__ import annotations

from amulet_local.chats.wishes import split_wish, user_message
from amulet_local.errors import AmuletError, UsageError
from amulet_local.system import paths
from tui.actions import commands
from tui.markdown.sanitising import sentence
from tui.screens.chat_view import ChatView
from tui.session import ahead, versions
from tui.session.changes import Noticed
from tui.system.attachments import attach
from tui.system.completion import complete


async def send(view: ChatView, text: str) -> None:
    """Carry out a command, or say a text: as another version of what is edited, if anything."""
    if text.startswith("/") and await _run_command(view, text):
        return
    said, wish = (text, "") if _edits_reply(view) else split_wish(text)
    try:
        attached = attach(said, paths.current_folder(), view.session.status.context)
        wish = user_message(attached.text, wish).wish
    except UsageError as error:
        view.prompt.give_back(text)
        view.notify(sentence(str(error)), severity="error")
        return
    if attached.files:
        view.notify(f"Attached {attached.told}.")
    editing, view.editing = view.editing, None
    if editing:
        view.prompt.say("")
        view.show(versions.edit(view.session, editing, attached.text, wish))
    else:
        view.show(view.session.ask(attached.text, wish))
    view.transcript.follow()


def _edits_reply(view: ChatView) -> bool:
    """Whether what is edited is a reply, in which !! is text."""
    conversation = view.session.chat.conversation
    return bool(view.editing) and conversation[view.editing or ""].message.role == "assistant"


async def _run_command(view: ChatView, text: str) -> bool:
    """Carry out what stands behind a slash; False if it is no command but a text."""
    name, _, argument = text[1:].partition(" ")
    if "\n" in text or "/" in name:
        return False  # a path, or a longer text
    action = commands().get(name)
    if action is None:
        view.prompt.give_back(text)
        view.notify(f"There is no command /{name}; type / to list them.", severity="warning")
        return True
    method = action.name.removeprefix("screen.")
    with_argument = getattr(view, f"command_{method}", None)
    if argument.strip() and with_argument:
        with_argument(argument.strip())
    elif hasattr(view, f"action_{method}"):
        await view.run_action(method)
    else:
        await view.app.run_action(method)
    return True


def complete_input(view: ChatView) -> None:
    """List what could be meant by what is being typed."""
    before = view.prompt.before_cursor
    view.completions.show(complete(before, commands(), paths.current_folder()), before)


def read_ahead(view: ChatView) -> None:
    """Have the engine read what stands in the prompt."""
    ahead.read_ahead(view.session, view.prompt.text, view.editing)


def recall(view: ChatView) -> None:
    """What was typed before, in this chat and in others."""
    try:
        view.prompt.inputs = view.session.history.inputs()
        view.draft = view.session.chat.draft
    except AmuletError as error:
        view.show([Noticed(str(error), True)])
    view.prompt.write(view.draft)


def save_draft(view: ChatView) -> None:
    """Keep what is being written, so that neither another chat nor a restart takes it."""
    draft = "" if view.editing else "\n".join([*view.session.waiting, view.prompt.text])
    if draft == view.draft or view.editing:
        return
    try:
        view.session.chat.draft = view.draft = draft
    except AmuletError as error:
        view.draft = draft  # and say so once
        view.show([Noticed(f"Your draft could not be saved: {error}", True)])


def leave_editing(view: ChatView) -> bool:
    """Leave the message that is edited as it is; False if none is."""
    if view.editing is None:
        return False
    view.editing = None
    view.prompt.write(view.session.chat.draft)
    view.prompt.say("")
    return True
