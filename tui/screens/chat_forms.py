"""Forms for a chat as a whole: its title, the file it goes to, the file that one comes from."""

from __future__ import annotations

from pathlib import Path

from amulet_local.chats.chat import Chat
from amulet_local.chats.export import export_chat, file_name, import_chat, kind_of
from amulet_local.chats.history import History
from amulet_local.chats.listing import title_of
from amulet_local.errors import UsageError
from amulet_local.system import paths
from tui.screens.line_form import LineForm, Paths, Unsure

_SHORT = 40  # characters of a title in a frame
_EXPORT_HINT = "A name that ends in .json: all branches, to be imported again. Else Markdown."
_IMPORT_HINT = "A chat that was exported as JSON."


def rename_form(title: str) -> LineForm[str]:
    """Asks for a title in place of this one."""

    def act(line: str, sure: bool) -> str:
        if not title_of(line):
            raise UsageError("a title needs something to read")
        return line

    return LineForm(f"Rename “{_short(title)}”", title, "", act)


def export_form(store: History, chat: str, title: str, path: str = "") -> LineForm[Path]:
    """Writes a chat to a file, at once if there is a path; asks before it writes over one. Gives
    the file."""
    name = file_name(title)

    def act(line: str, sure: bool) -> Path:
        store.summary(chat)  # which says it best if the chat is gone
        file = _path(line)
        if paths.is_dir(file):
            file /= name
        _require_ordinary(file)
        try:
            export_chat(Chat(store, chat), file, kind_of(file), overwrite=sure)
        except FileExistsError:
            raise Unsure(f"{file.name} is there already; enter once more writes over it.") from None
        return file

    heading = f"Export “{_short(title)}”"
    return LineForm(heading, path or name, _EXPORT_HINT, act, Paths(), at_once=bool(path))


def import_form(store: History, path: str = "") -> LineForm[Chat]:
    """Adds a chat from a file, at once if there is a path. Gives the chat."""

    def act(line: str, sure: bool) -> Chat:
        file = _path(line)
        _require_ordinary(file)
        return import_chat(store, file)

    return LineForm("Import a chat", path, _IMPORT_HINT, act, Paths(".json"), at_once=bool(path))


def _path(line: str) -> Path:
    return paths.current_folder() / paths.usable(line)


def _require_ordinary(file: Path) -> None:
    """To open a pipe would wait for its other end, for ever. Raises UsageError."""
    if paths.exists(file) and not (paths.is_file(file) or paths.is_dir(file)):
        raise UsageError(f"{file} is a device or a pipe; name a file.")


def _short(title: str) -> str:
    return title if len(title) <= _SHORT else title[: _SHORT - 1].rstrip() + "…"
