"""`amulet presets`: list and show presets, and make or change the user's own in an editor."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from amulet_local.cli.options import Subparsers
from amulet_local.cli.output import console, print_json, say, write
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.presets.editing import new_preset, own_preset
from amulet_local.presets.firmness import shown
from amulet_local.presets.preset import GROUPS, MOST_BYTES, Preset, load_presets, read_preset
from amulet_local.realignment import label
from amulet_local.safe_text import line
from amulet_local.settings import load_settings, presets_folder
from amulet_local.system.text_files import read_text


def add_parser(subparsers: Subparsers) -> None:
    """Add `presets` and its four commands; each sets `run`, which returns the exit code."""
    presets = subparsers.add_parser("presets", help="list, show, create and edit presets")
    presets.add_argument("--json", action="store_true", help="print one JSON document")
    presets.set_defaults(run=_list)
    commands = presets.add_subparsers(metavar="list | show | new | edit")
    listing = commands.add_parser("list", help="list all presets (the default)")
    listing.set_defaults(run=_list)
    show = commands.add_parser(
        "show", help="show a preset's file, and what the model reads from it"
    )
    show.set_defaults(run=_show)
    for command in (listing, show):
        # Without a default of its own, it leaves what stood before the command.
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    new = commands.add_parser("new", help="create a preset of your own, in your editor")
    new.set_defaults(run=_new)
    edit = commands.add_parser(
        "edit", help="edit a preset; a built-in one is copied to your folder first"
    )
    edit.set_defaults(run=_edit)
    for command in (show, new, edit):
        command.add_argument("name", metavar="NAME")


def _list(args: argparse.Namespace) -> int:
    loaded = load_presets()
    problems = [*loaded.problems, *_config_problems()]
    if args.json:
        presets = [_described(preset) for preset in loaded.presets.values()]
        folder = str(presets_folder())
        print_json({"folder": folder, "presets": presets, "problems": problems})
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True)
    table.add_column("strength", justify="right")
    table.add_column("what it is for")
    group = None
    for preset in loaded.presets.values():
        if preset.group != group:
            group = preset.group
            table.add_section()
            table.add_row(Text(GROUPS.get(group, group), style="bold"))
        table.add_row(preset.name, shown(preset.strength), _purpose(preset))
    console().print(table)
    for problem in problems:
        say(problem)
    return 0


def _config_problems() -> list[str]:
    """What the chat would say of config.toml when it opens."""
    try:
        keys = load_settings().keys
    except NotUsableError as error:
        return [str(error)]
    if not keys:
        return []
    from tui.actions import key_problems  # takes a while to import

    return key_problems(keys)


def _purpose(preset: Preset) -> str:
    purpose = line(preset.description or preset.preference).strip()
    return purpose if preset.built_in else f"{purpose} (yours)"


def _show(args: argparse.Namespace) -> int:
    preset = load_presets().get(args.name)
    if args.json:
        print_json(_described(preset))
        return 0
    write(f"# {preset.path}\n{read_text(preset.path, MOST_BYTES).rstrip()}\n")
    strength = preset.usual_strength
    write(f"\n# strength {strength:.2f} ({label(strength)}); the model reads:\n")
    write(f"# {preset.words()}\n")
    return 0


def _described(preset: Preset) -> dict[str, Any]:
    facts = msgspec.structs.asdict(preset)
    return {**facts, "path": str(preset.path), "words": preset.words()}


def _new(args: argparse.Namespace) -> int:
    return _change(new_preset(args.name))


def _edit(args: argparse.Namespace) -> int:
    return _change(own_preset(args.name))


def _change(path: Path) -> int:
    """Open a file in the user's editor, then check it. Raises NotUsableError where it is bad."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if editor and sys.stdin.isatty() and sys.stdout.isatty():
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError):
            raise UsageError(
                f"the editor {editor!r} cannot be started; set EDITOR to another one, or edit "
                f"{path} yourself."
            ) from None
        preset = read_preset(path)
        write(f'The preset is ready; try it: amulet ask "question" -p {preset.name}\n')
    else:
        write(f"The preset is at {path}; edit it in any editor.\n")
        read_preset(path)
    return 0
