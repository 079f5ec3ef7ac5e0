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
    """Carry out a command, or say a text: as another version of what is edited, if anything. What
    was put aside for it is there again behind it."""
    if not view.editing:
        view.prompt.resume()
    if text.startswith("/") and await _run_command(view, text):
        return
    if view.editing and (refusal := view.session.refusal()):
        view.prompt.write(text)
        view.show(refusal)
        return
    said, wish = (text, "") if _edits_reply(view) else split_wish(text)
    try:
        attached = attach(said, paths.current_folder(), view.session.status.context)
        wish = user_message(attached.text, wish).wish
    except UsageError as error:
        _write_again(view, text)
        view.notify(sentence(str(error)), severity="error")
        return
    if attached.files:
        view.notify(f"Attached {attached.told}.")
    editing, view.editing = view.editing, None
    if editing:
        view.prompt.say("")
        view.prompt.resume()
        view.show(versions.edit(view.session, editing, attached.text, wish))
    else:
        view.show(view.session.ask(attached.text, wish))
        view.draft = ""  # it was sent with the message
    view.transcript.follow()


def _write_again(view: ChatView, text: str) -> None:
    """Have something written anew that could not be sent."""
    if view.editing:
        view.prompt.write(text)
    else:
        view.prompt.begin(text)


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
        _write_again(view, text)
        view.notify(f"There is no command /{name}; type / to list them.", severity="warning")
        return True
    method = action.name.removeprefix("screen.")
    command = f"command_{method}"
    with_argument = getattr(view, command, None) or getattr(view.app, command, None)
    if argument.strip() and not with_argument:
        _write_again(view, text)  # it may be the beginning of a message, as /quit is, or /delete
        view.notify(f"/{name} takes nothing behind it, so nothing was done.", severity="warning")
    elif argument.strip() and with_argument:
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
    view.prompt.take_up(view.draft)


def save_draft(view: ChatView) -> None:
    """Keep what is being written, so that neither another chat nor a restart takes it."""
    typed = view.prompt.aside if view.editing else view.prompt.unsent
    draft = "\n".join([*view.session.waiting, typed])
    if draft == view.draft:
        return
    try:
        view.session.chat.draft = view.draft = draft
    except AmuletError as error:
        view.draft = draft  # and say so once
        view.show([Noticed(f"Your draft could not be saved: {error}", True)])


def leave_editing(view: ChatView) -> bool:
    """Leave the message that is edited as it is, or the command that was begun, for what was being
    written before; False if there is none."""
    if view.editing is None and not view.prompt.aside:
        return False
    view.editing = None
    view.prompt.clear()
    view.prompt.resume()
    view.prompt.say("")
    return True


def give_back(view: ChatView, text: str) -> None:
    """Have a message to be sent again; what is edited meanwhile is no part of it."""
    if view.editing:
        view.prompt.aside = "\n".join(filter(None, (text, view.prompt.aside)))
    else:
        view.prompt.give_back(text)


def keep_editing(view: ChatView) -> None:
    """Where the message that is edited is gone, what was made of it is a message of its own."""
    if view.editing and view.editing not in view.session.chat.conversation:
        view.editing = None
        view.prompt.say("")
