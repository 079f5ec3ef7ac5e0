"""What could be meant by what is being typed: commands behind a slash, files behind an @, a wish.

The text before the cursor goes in; completions come out, each with what it puts in place of what
was typed. Looks into folders, never into files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from rich.filesize import decimal

from amulet_local.chats.wishes import next_fence
from amulet_local.system import paths
from tui.actions import Action

MOST = 8
_MOST_READ = 2000  # entries of a folder
_COMMAND = re.compile(r"/([a-z-]*)\Z")
_FILE = re.compile(r"(?:^|(?<=\s))@((?:\\ |\S)*)\Z")


_WISH = re.compile(r"(?:^|(?<=\s))!!\Z")
_ABOUT_WISHES = "a wish for this reply alone"


@dataclass(frozen=True)
class Completion:
    """label: how it is listed, with a hint beside. insert: what replaces the last `typed`
    characters before the cursor. complete: whether nothing more needs to be typed."""

    label: str
    hint: str
    insert: str
    typed: int
    complete: bool


def complete(before: str, commands: Mapping[str, Action], folder: Path) -> list[Completion]:
    """The completions of a text up to the cursor, the likeliest first."""
    if match := _COMMAND.match(before):
        return _commands(match[1], commands)
    if match := _FILE.search(before):
        return _files(match[1], folder)
    if _WISH.search(before) and not reduce(next_fence, before.split("\n"), ""):
        return [Completion("!! words", _ABOUT_WISHES, "!! ", 2, False)]
    return []


def _commands(typed: str, commands: Mapping[str, Action]) -> list[Completion]:
    fitting = [name for name in commands if name.startswith(typed)]
    fitting += [name for name in commands if typed in name and name not in fitting]
    fitting.sort(key=lambda name: name != typed)
    found = []
    for name in fitting:
        action = commands[name]
        argument = f" {action.argument}" if action.argument else ""
        insert = f"/{name}" + (" " if argument else "")
        found.append(
            Completion(f"/{name}{argument}", action.help, insert, len(typed) + 1, not argument)
        )
    return found


def propose_path(typed: str, folder: Path, suffix: str = "") -> str:
    """The first file or folder that a path may go on to, written on from what was typed; empty if
    there is none. suffix: that files must have."""
    start = typed.rpartition("/")[2]
    for entry in _entries(typed, folder):
        is_folder = paths.leads_to_folder(entry)
        if entry.name.startswith(start) and (is_folder or entry.name.endswith(suffix)):
            end = "/" if is_folder else ""
            return typed + entry.name[len(start) :] + end
    return ""


def _files(typed: str, folder: Path) -> list[Completion]:
    """Files and folders whose name begins with what was typed."""
    typed_path = typed.replace("\\ ", " ")
    parent, slash, _ = typed_path.rpartition("/")
    found: list[Completion] = []
    for entry in _entries(typed_path, folder):
        is_folder = paths.leads_to_folder(entry)
        try:
            hint = "folder" if is_folder else decimal(entry.stat().st_size)
        except OSError:
            continue
        end = "/" if is_folder else " "
        insert = "@" + (parent + slash + entry.name).replace(" ", "\\ ") + end
        found.append(Completion(entry.name + end.strip(), hint, insert, len(typed) + 1, False))
        if len(found) == MOST:
            break
    return found


def _entries(typed: str, folder: Path) -> Iterator[os.DirEntry[str]]:
    """What a path may go on to, folders first; hidden ones only if asked for, and never those whose
    names are no text, since nobody could type them."""
    parent, _, start = typed.rpartition("/")
    try:
        place = folder / paths.expand(parent or ("/" if typed.startswith("/") else ""))
        with os.scandir(place) as entries:
            names = sorted(
                (entry for entry, _ in zip(entries, range(_MOST_READ), strict=False)),
                key=lambda entry: (not paths.leads_to_folder(entry), entry.name.casefold()),
            )
    except (OSError, ValueError):  # no such folder, or no name of one
        return
    for entry in names:
        hidden = entry.name.startswith(".") and not start.startswith(".")
        typeable = entry.name.isprintable()
        if entry.name.casefold().startswith(start.casefold()) and typeable and not hidden:
            yield entry
