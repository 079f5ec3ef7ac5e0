"""What can be done with chats: begin, open, go back, list, search, name, remove, export, import.

Functions over the chat's screen.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from amulet_local.chats.chat import Chat
from amulet_local.errors import AmuletError
from amulet_local.presets.preset import load_presets
from tui.markdown.sanitising import sentence
from tui.markdown.search_marks import Found
from tui.screens.chat_forms import export_form, import_form
from tui.screens.chat_view import ChatView
from tui.screens.chats import ChatsScreen, Place
from tui.screens.writing import leave_editing, recall, save_draft
from tui.session import stored_chats, versions
from tui.session.changes import Change

# -- from chat to chat ----------------------------------------------------------------------------


def leave(view: ChatView, go: Callable[[], list[Change]]) -> bool:
    """Leave this chat for where `go` leads; False if that fails, which is told."""
    leave_editing(view)
    view.show(view.session.give_back_waiting())
    save_draft(view)
    stored = len(view.session.chat.conversation) and not view.session.temporary
    left = view.session.chat.id if stored else None
    try:
        changes = go()
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
        return False
    view.chat_before = left or view.chat_before
    view.transcript.clear()
    view.prompt.clear()
    recall(view)
    view.show(changes)
    view.set_focus(view.prompt)
    view.transcript.follow()
    return True


def open_chat(view: ChatView, name: str, message: str = "", words: str = "") -> None:
    """Open a chat of the store, at a message if one is named, and there at the words; the one
    that is open already stays as it is."""
    try:
        is_open = stored_chats.is_open(view.session, name)
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
        return
    view.presets = load_presets()
    if not is_open and not leave(view, lambda: view.session.open_chat(name, view.presets)):
        return
    if message:
        view.show(versions.turn_to(view.session, message))
        view.transcript.go_to(message, _found(view, message, words))


def _found(view: ChatView, message: str, words: str) -> Found | None:
    """Where the words stand in a message."""
    if not words:
        return None
    with suppress(AmuletError):  # deleted since
        return Found.of(view.session.history.marked(message, words))
    return None


def new_chat(view: ChatView) -> None:
    """Leave this chat and begin another."""
    leave(view, view.session.new_chat)


def toggle_temporary(view: ChatView) -> None:
    """Leave this chat for one that is never stored, or from there for one that is."""
    leave(view, lambda: view.session.new_chat(other=True))
    if view.session.temporary:
        view.notify("Nothing of this chat is saved; it is gone once you leave it.")


def last_chat(view: ChatView) -> None:
    """To the chat that was open before, or the newest there is."""
    here, history = view.session.chat.id, view.session.history
    try:
        newest = [chat.id for chat in history.chats(2)]
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
        return
    for name in filter(None, (view.chat_before, *newest)):
        if name != here and _is_there(view, name):
            open_chat(view, name)
            return
    view.notify("There is no previous chat yet.")


def _is_there(view: ChatView, name: str) -> bool:
    try:
        view.session.history.summary(name)
    except AmuletError:
        return False
    return True


def tell_saving(view: ChatView) -> None:
    """Tell what is in the way of saving the chats, and when it is over."""
    if news := view.session.unsaved.news():
        view.show(news)


# -- the list of chats ----------------------------------------------------------------------------


def list_chats(view: ChatView) -> None:
    """List all chats."""
    _list(view)


def find(view: ChatView, words: str = "") -> None:
    """Search all chats, at once if there are words."""
    _list(view, words)


def _list(view: ChatView, words: str | None = None) -> None:
    rename, remove = partial(rename_chat, view), partial(remove_chat, view)
    screen = ChatsScreen(view.session, rename, remove, words)
    view.app.push_screen(screen, partial(_go, view))


def _go(view: ChatView, place: Place | None) -> None:
    if place:
        open_chat(view, place.chat, place.message, place.words)


def remove_chat(view: ChatView, name: str) -> bool:
    """Take any chat out of the list, and leave it if it is the open one; False if that fails,
    which is told."""
    if name == view.session.chat.id:
        return leave(view, lambda: stored_chats.remove(view.session, name))
    try:
        stored_chats.remove(view.session, name)
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
        return False
    return True


def rename_chat(view: ChatView, name: str, title: str) -> bool:
    """Give any chat a title; False if that fails, which is told."""
    try:
        stored_chats.rename(view.session, name, title)
    except AmuletError as error:
        view.notify(sentence(str(error)), severity="error")
        return False
    view.show_title()
    return True


# -- this chat ------------------------------------------------------------------------------------


def begin_title(view: ChatView) -> None:
    """Begin to write a title."""
    view.prompt.begin(f"/rename {view.session.chat.title}")
    view.set_focus(view.prompt)


def set_title(view: ChatView, title: str) -> None:
    """Give the chat a title."""
    if len(view.session.chat.conversation):
        rename_chat(view, view.session.chat.id, title)
    else:
        view.notify("A chat gets a title once it has a message.")


def export(view: ChatView, path: str = "") -> None:
    """Write this chat to a file, which is asked for if there is no path."""
    chat = view.session.chat
    if len(chat.conversation):
        form = export_form(chat.history, chat.id, chat.title, path)
        view.app.push_screen(form, partial(_tell_file, view))
    else:
        view.notify("There is nothing to export yet.")


def _tell_file(view: ChatView, file: Path | None) -> None:
    if file:
        view.notify(f"Exported to {file}")


def import_chat(view: ChatView, path: str = "") -> None:
    """Open the chat in a file, which is asked for if there is no path."""
    form = import_form(view.session.history, path)
    view.app.push_screen(form, partial(_open_imported, view))


def _open_imported(view: ChatView, chat: Chat | None) -> None:
    if chat:
        open_chat(view, chat.id)
        view.notify(f"Imported: {chat.title}")
