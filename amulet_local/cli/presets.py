"""`amulet presets`: list and show presets and mixes, make or change the user's own in an editor,
and put mixes together."""

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

from amulet_local.cli.options import AddPreference, Subparsers, add_preset
from amulet_local.cli.output import console, print_json, say, write
from amulet_local.cli.preferences import chosen_preferences
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.presets.editing import new_preset, own_preset
from amulet_local.presets.firmness import shown
from amulet_local.presets.mixes import Mix, load_mixes, own_mix, read_mix, save_mix
from amulet_local.presets.preset import GROUPS, MOST_BYTES, Preset, load_presets, read_preset
from amulet_local.safe_text import line
from amulet_local.settings import load_settings, mixes_folder, presets_folder
from amulet_local.strengths import label
from amulet_local.system.text_files import read_text


def add_parser(subparsers: Subparsers) -> None:
    """Add `presets` and its commands; each sets `run`, which returns the exit code."""
    presets = subparsers.add_parser("presets", help="list, show, create, edit and mix presets")
    presets.add_argument("--json", action="store_true", help="print one JSON document")
    presets.set_defaults(run=_list)
    commands = presets.add_subparsers(metavar="list | show | new | edit | mix")
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
    mix = commands.add_parser(
        "mix", help="save several preferences, each with its strength, under one name"
    )
    mix.set_defaults(run=_mix)
    add_preset(mix)
    mix.add_argument(
        "--preference",
        metavar="TEXT[:S]",
        action=AddPreference,
        dest="preferences",
        help="a preference in words; may be repeated",
    )
    for command in (show, new, edit, mix):
        command.add_argument("name", metavar="NAME")


def _list(args: argparse.Namespace) -> int:
    loaded = load_presets()
    mixes = load_mixes(loaded)
    problems = [*loaded.problems, *mixes.broken.values(), *_config_problems()]
    if args.json:
        presets = [_described(preset) for preset in loaded.presets.values()]
        described = [_described_mix(mix) for mix in mixes.mixes.values()]
        folder = str(presets_folder())
        print_json({"folder": folder, "presets": presets, "mixes": described, "problems": problems})
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
    if mixes.mixes:
        table.add_section()
        table.add_row(Text("Your mixes", style="bold"))
    for mix in mixes.mixes.values():
        table.add_row(mix.name, "", line(mix.description or _faders(mix)))
    console().print(table)
    for problem in problems:
        say(problem)
    return 0


def _config_problems() -> list[str]:
    """What the chat would say of config.toml when it opens."""
    problems: list[str] = []
    try:
        keys = load_settings(problems.append).keys
    except NotUsableError as error:
        return [str(error)]
    if not keys:
        return problems
    from tui.actions import key_problems  # takes a while to import

    return key_problems(keys)


def _purpose(preset: Preset) -> str:
    purpose = line(preset.description or preset.preference).strip()
    return purpose if preset.built_in else f"{purpose} (yours)"


def _faders(mix: Mix) -> str:
    """What it is made of, as it could be typed."""
    return ", ".join(
        f"{each.name or each.words}{'' if each.strength is None else f':{shown(each.strength)}'}"
        f"{' (muted)' if each.muted else ''}"
        for each in mix.faders
    )


def _show(args: argparse.Namespace) -> int:
    presets = load_presets()
    if args.name not in presets.presets and (mix := load_mixes(presets).get(args.name)):
        return _show_mix(args, mix)
    preset = presets.get(args.name)
    if args.json:
        print_json(_described(preset))
        return 0
    write(f"# {preset.path}\n{read_text(preset.path, MOST_BYTES).rstrip()}\n")
    strength = preset.usual_strength
    write(f"\n# strength {strength:.2f} ({label(strength)}); the model reads:\n")
    write(f"# {preset.words()}\n")
    return 0


def _show_mix(args: argparse.Namespace, mix: Mix) -> int:
    if args.json:
        print_json(_described_mix(mix))
        return 0
    write(f"# {mix.path}\n{read_text(mix.path, MOST_BYTES).rstrip()}\n\n# the model reads:\n")
    for each in mix.faders:
        write(f"# {each.on('').strength:+.2f}  {each.preference}\n")
    return 0


def _described_mix(mix: Mix) -> dict[str, Any]:
    faders = [
        {
            "preset": each.name or None,
            "words": each.preference,
            "strength": each.strength,
            "muted": each.muted,
        }
        for each in mix.faders
    ]
    about = msgspec.to_builtins({"guard": mix.together.guard, "sampling": mix.together.sampling})
    return {
        "name": mix.name,
        "title": mix.title,
        "description": mix.description,
        "path": str(mix.path),
        "faders": faders,
        "placement": mix.together.placement,
        "system": mix.together.system,
        **about,
    }


def _mix(args: argparse.Namespace) -> int:
    chosen = chosen_preferences(args.preferences, "")
    if not chosen.faders:
        raise UsageError(
            "a mix needs preferences; name them like this: amulet presets mix "
            f'{args.name} -p concise:2 --preference "British spelling:1.5"'
        )
    path = save_mix(args.name, chosen.faders, load_presets(), chosen.together)
    write(f'The mix is at {path}; try it: amulet ask "question" -p {args.name}\n')
    return 0


def _described(preset: Preset) -> dict[str, Any]:
    facts = msgspec.structs.asdict(preset)
    return {**facts, "path": str(preset.path), "words": preset.words()}


def _new(args: argparse.Namespace) -> int:
    return _change(new_preset(args.name))


def _edit(args: argparse.Namespace) -> int:
    if mix := own_mix(args.name):
        return _change(mix)
    return _change(own_preset(args.name))


def _change(path: Path) -> int:
    """Open a file in the user's editor, then check it. Raises NotUsableError where it is bad."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if editor and sys.stdin.isatty() and sys.stdout.isatty():
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
        except (OSError, ValueError):
            raise UsageError(
                f"the editor {editor!r} cannot be started; set EDITOR to another one, or edit "
                f"{path} yourself."
            ) from None
        if ended:
            raise UsageError(
                f"the editor {editor!r} ended with an error ({ended}), so that nothing may have "
                f"changed; edit {path} again, or remove it."
            )
        _check(path)
        write(f'It is ready; try it: amulet ask "question" -p {path.stem}\n')
    else:
        write(f"It is at {path}; edit it in any editor.\n")
        _check(path)
    return 0


def _check(path: Path) -> None:
    """Raises NotUsableError where the file is bad."""
    if path.parent == mixes_folder():
        read_mix(path, load_presets())
    else:
        read_preset(path)
