"""`amulet chats`: list, read, search, export, import and remove what was said.

A chat is named by its id, or by the beginning of it where no other begins alike.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Node
from amulet_local.chats.export import FORMATS, export_chat, import_chat, kind_of, to_markdown
from amulet_local.chats.followed import followed
from amulet_local.chats.history import History, history_file
from amulet_local.chats.listing import by_day, day_in_words
from amulet_local.chats.search import Hit
from amulet_local.cli.options import Subparsers, value, words
from amulet_local.cli.output import console, print_json, say, write
from amulet_local.errors import UsageError
from amulet_local.protocol.numbers import Positive
from amulet_local.safe_text import line
from amulet_local.settings import app_log, engine_log

_COMMANDS = ("list", "show", "search", "export", "import", "remove", "wipe")
_LISTED = 30
_FOUND = 30


def add_parser(subparsers: Subparsers) -> None:
    """Add `chats` and its commands; each sets `run`, which returns the exit code."""
    chats = subparsers.add_parser("chats", help="list, read, search and export chats")
    chats.add_argument("--json", action="store_true", help="print one JSON document")
    chats.set_defaults(run=_list, number=_LISTED)
    commands = chats.add_subparsers(metavar=" | ".join(_COMMANDS))

    listing = commands.add_parser("list", help="list all chats (the default)")
    listing.set_defaults(run=_list)
    _add_number(listing, "-n", default=_LISTED, what="chats, most recently changed first")

    show = commands.add_parser("show", help="show a chat's messages, on the branch read last")
    show.set_defaults(run=_show)

    search = commands.add_parser("search", help="find messages that contain all of these words")
    search.add_argument("text", metavar="TEXT", nargs="+", type=words)
    _add_number(search, "-n", default=_FOUND, what="messages, newest first")
    search.set_defaults(run=_search)

    export = commands.add_parser("export", help="write a chat to a file or to standard output")
    export.add_argument(
        "--format", choices=FORMATS, help="json includes all branches (default: md)"
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="the file to write; - is standard output, as without it",
    )
    export.set_defaults(run=_export)

    importing = commands.add_parser("import", help="add a chat exported as JSON")
    importing.add_argument("file", metavar="FILE", type=Path)
    importing.set_defaults(run=_import)

    remove = commands.add_parser("remove", help="permanently remove a chat")
    remove.set_defaults(run=_remove)

    wipe = commands.add_parser(
        "wipe",
        help="permanently remove all chats, drafts, logs and what guesses learned; settings and "
        "models stay",
    )
    wipe.set_defaults(run=_wipe)

    for command in (show, export, remove):
        command.add_argument(
            "id", metavar="ID", help="the chat's id, or the beginning of it", type=words
        )
    for command in (remove, wipe):
        command.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")
    for command in (listing, show, search, export, importing, remove, wipe):
        # Without a default of its own, it leaves what stood before the command.
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def _add_number(parser: argparse.ArgumentParser, flag: str, *, default: int, what: str) -> None:
    parser.add_argument(
        flag,
        dest="number",
        metavar="N",
        type=value(Positive),
        default=default,
        help=f"show at most N {what} (default: {default})",
    )


# -- the commands ---------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    with _history(unkept=True) as history:
        chats, total = history.chats(args.number), history.count()
    if args.json:
        print_json({"file": str(history_file()), "total": total, "chats": chats})
        return 0
    if not chats:
        write("No chats yet; start one with: amulet\n")
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("id", no_wrap=True)
    table.add_column("title", overflow="fold")
    table.add_column("messages", justify="right")
    table.add_column("time")
    for day, those in by_day(chats):
        table.add_section()
        table.add_row("", Text(day_in_words(day), style="bold"))
        for chat in those:
            time = f"{datetime.fromtimestamp(chat.changed):%H:%M}"
            table.add_row(chat.id, _title(chat.title), f"{chat.messages:,}", time)
    console().print(table)
    if more := total - len(chats):
        write(f"{more:,} more; list them all with: amulet chats list -n {total}\n")
    return 0


def _show(args: argparse.Namespace) -> int:
    with _history(unkept=True) as history:
        chat = Chat(history, history.find(args.id).id)
    if args.json:
        path = chat.conversation.path()
        messages = [_described(chat, node) for node in path]
        print_json({"id": chat.id, "title": chat.title, "messages": messages})
    else:
        write(to_markdown(chat))
    return 0


def _search(args: argparse.Namespace) -> int:
    with _history(unkept=True) as history:
        hits = history.search(" ".join(args.text), args.number)
    if args.json:
        print_json({"hits": hits})
        return 0
    if not hits:
        write("No message contains all of these words.\n")
    for hit in hits:
        console().print(_shown(hit), soft_wrap=True)
    if len(hits) == args.number:
        write(f"These are the newest {args.number:,}; to see more, add: -n {10 * args.number}\n")
    return 0


def _export(args: argparse.Namespace) -> int:
    output: Path | None = None if args.output == Path("-") else args.output
    kind = args.format or (kind_of(output) if output else "md")
    with _history(unkept=True) as history:
        chat = Chat(history, history.find(args.id).id)
    facts = {"id": chat.id, "format": kind}
    if output:
        export_chat(chat, output, kind, overwrite=True)
        if args.json:
            print_json({**facts, "path": str(output)})
        else:
            write(f"Exported to {output}\n")
    elif args.json and kind == "md":
        print_json({**facts, "text": to_markdown(chat)})
    else:
        write(FORMATS[kind](chat))
    return 0


def _import(args: argparse.Namespace) -> int:
    with _history() as history:
        chat = import_chat(history, args.file)
    if args.json:
        print_json({"id": chat.id, "title": chat.title, "messages": len(chat.conversation)})
    else:
        write(f"Imported {_title(chat.title)} as {chat.id}\n")
    return 0


def _remove(args: argparse.Namespace) -> int:
    with _history() as history:
        chat = history.find(args.id)
        question = f"Permanently remove {_title(chat.title)} ({chat.messages} messages)?"
        agreed = args.yes or _agreed(question, chat.id)
        if agreed:
            _tell_traces(erased=history.destroy(chat.id))
            for aside in history.set_aside:
                say(f"the file {aside} may still contain it; delete that too if you want.")
    if args.json:
        print_json({"removed": [chat.id] if agreed else []})
    else:
        write(f"{'Removed' if agreed else 'Kept'} {_title(chat.title)} ({chat.id})\n")
    return 0


def _wipe(args: argparse.Namespace) -> int:
    with _history() as history:
        number = history.count()
        question = f"Permanently remove all {number:,} chats, all drafts and the logs?"
        agreed = args.yes or _agreed(question, "all chats")
        erased = agreed and history.wipe()
    if agreed:
        for log in (engine_log(), app_log()):  # others may keep theirs where AMULET_HOME is
            with suppress(OSError):
                log.unlink(missing_ok=True)
        _tell_traces(erased=erased)
    if args.json:
        print_json({"removed": number if agreed else 0, "clean": erased})
    elif agreed:
        write(f"Removed all {number:,} chats, and everything kept about them.\n")
    else:
        write("Nothing was removed.\n")
    return 0


def _tell_traces(*, erased: bool) -> None:
    if not erased:
        say(
            "traces of what was removed may remain in the chats file until it can be rewritten; "
            "close every other Amulet, make room on the disk, and list your chats: amulet chats"
        )


def _agreed(question: str, what: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"cannot ask without a terminal; add --yes to remove {what}.")
    try:
        return Confirm.ask(Text(question), console=console(stderr=True), default=False)
    except EOFError:
        return False


# -- how it looks ---------------------------------------------------------------------------------


def _history(*, unkept: bool = False) -> History:
    """The store. unkept: only to read what is there, which need not be possible to write to."""
    history = History(history_file(), unkept=unkept)
    if told := history.notice_to_readers if unkept else history.notice:
        say(told)
    return history


def _described(chat: Chat, node: Node) -> dict[str, Any]:
    versions, kept = chat.conversation.siblings(node.id), followed(node)
    return {
        "id": node.id,
        "made": node.made,
        "role": node.message.role,
        "text": node.message.text,
        "wish": node.message.wish,
        "version": versions.index(node) + 1,
        "versions": len(versions),
        "origin": node.origin,
        "ending": node.ending,
        "gain": kept.gain,
        "followed": kept.degree,
        "checks": kept.checks,
    }


def _shown(hit: Hit) -> Text:
    """Where a hit is, and below it the piece with what was found in bold."""
    who = "you" if hit.role == "user" else "reply"
    snippet = Text(hit.snippet.text)
    for start, end in hit.snippet.marks:
        snippet.stylize("bold", start, end)
    title = _title(hit.title)
    return Text.assemble((f"{hit.chat}  {title}", "dim"), f"\n  {who}: ", snippet)


def _title(title: str) -> str:
    return line(title) or "Untitled"
