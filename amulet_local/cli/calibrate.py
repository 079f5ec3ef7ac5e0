"""`amulet calibrate`: the largest strength at which a model still writes well.

In general, for all that says how firmly in a word, or preset by preset. What is found is kept for
the model, and used by `ask` and the chat where no strength was given.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial

import msgspec
from rich.table import Table

from amulet_local.cli.loading import chat_model
from amulet_local.cli.options import Subparsers, add_work_options, value, with_given
from amulet_local.cli.output import console, keeps, print_json, say
from amulet_local.cli.work import WorkBar
from amulet_local.errors import UsageError
from amulet_local.evaluation.calibrating import find_strength
from amulet_local.evaluation.plan import Preference, crossed
from amulet_local.evaluation.questions import bundled_questions
from amulet_local.evaluation.records import Setting
from amulet_local.evaluation.subject import Subject
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import (
    Calibrated,
    forget_strengths,
    keep_bearing,
    keep_strength,
)
from amulet_local.presets.preset import Preset, load_presets
from amulet_local.presets.quality import MARGIN, Quality
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.numbers import Positive
from amulet_local.settings import Settings, load_settings

_IN_GENERAL = "in general"
# A question each: wishes of several kinds, which any model understands.
_WISHES = "concise,bullet-points,formal,explain-like-im-ten,creative,uplifting,pleasant,no-flattery"
_QUESTIONS = 8
_TOKENS = 96


def add_parser(subparsers: Subparsers) -> None:
    """Add `calibrate`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser(
        "calibrate",
        help="find the strength that suits a model, and save it",
        description="Find the largest strength at which the model still writes about as well as "
        "with the preference in the prompt alone. Without -p, the result is for all preferences, "
        "and sets what gently, clearly and firmly mean; with -p, for those presets. It takes a few "
        "minutes; the result is then used whenever no strength is given.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("-m", "--model", metavar="MODEL", help="a model name, or a GGUF file")
    parser.add_argument(
        "-p",
        "--preset",
        metavar="NAMES",
        help="presets to calibrate one by one, separated by commas (default: in general)",
    )
    parser.add_argument(
        "--margin",
        metavar="X",
        type=value(float),
        default=MARGIN,
        help=f"how many times the perplexity of prompted text to allow (default: {MARGIN:g})",
    )
    parser.add_argument(
        "--questions",
        metavar="N",
        type=value(Positive),
        default=_QUESTIONS,
        help=f"how many questions to answer, at most forty (default: {_QUESTIONS})",
    )
    parser.add_argument(
        "--forget", action="store_true", help="delete saved results, for these presets or for all"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_work_options(parser)


def run(args: argparse.Namespace) -> int:
    """Calibrate, or forget."""
    settings = load_settings(say)
    model = as_text(chat_model(args.model or settings.model))
    names = [name.strip() for name in (args.preset or "").split(",") if name.strip()]
    if args.preset is not None and not names:
        raise UsageError("-p is empty; list the presets with: amulet presets")
    if args.forget:
        gone = forget_strengths(model, names)
        said = ", ".join(name or _IN_GENERAL for name in gone)
        say(f"deleted: {said}." if gone else "there were no saved results.")
        return 0
    if not args.margin > 1:
        raise UsageError("--margin must be above 1, the perplexity of prompted text itself.")
    known = load_presets()
    presets = [known.get(name) for name in names]
    wishes = [known.get(name) for name in _WISHES.split(",")]
    questions = bundled_questions()[:: max(1, 40 // args.questions)][: args.questions]
    found: dict[str, list[Quality]] = {}
    with Subject(model, with_given(settings.engine, args)) as subject, WorkBar() as bar:
        for preset in presets:
            best, found[preset.name] = find_strength(
                subject,
                _setting(model, preset, settings),
                crossed(questions, [_preference(preset)]),
                args.margin,
                bar,
            )
            calibrated = Calibrated.of(preset, best)
            keeps(partial(keep_strength, model, preset, calibrated))
        if not presets:
            preferences = itertools.cycle(map(_preference, wishes))
            best, found[_IN_GENERAL] = find_strength(
                subject,
                _setting(model, wishes[0], settings),
                list(zip(questions, preferences, strict=False)),
                args.margin,
                bar,
            )
            keeps(partial(keep_bearing, model, Calibrated.of(wishes[0], best)))
    if args.json:
        print_json({name: [msgspec.to_builtins(each) for each in of] for name, of in found.items()})
    else:
        _print(found, args.margin)
    return 0


def _setting(model: str, preset: Preset, settings: Settings) -> Setting:
    """As the preset is used, but greedy."""
    return Setting(
        model=model,
        system=preset.system or settings.system or DEFAULT_SYSTEM,
        placement=preset.placement,
        sampling=msgspec.structs.replace(preset.sampling, temperature=0.0),
        seed=0,
        max_tokens=_TOKENS,
    )


def _preference(preset: Preset) -> Preference:
    return Preference(preset.name, preset.words(), preset.usual_strength, preset.guard)


def _print(found: dict[str, list[Quality]], margin: float) -> None:
    """What was tried."""
    table = Table(box=None, pad_edge=False, header_style="dim", title="\nrelative to prompting")
    table.add_column("preset", no_wrap=True)
    for heading in ("strength", "perplexity", "distinct-3", "on question", ""):
        table.add_column(heading, justify="right")
    for name, tried in found.items():
        for each in tried:
            table.add_row(
                name,
                f"{each.strength:g}",
                f"{each.perplexity:.2f}",
                f"{each.distinct_3:.2f}",
                f"{each.on_question:.2f}",
                "kept" if each.is_kept(margin) else "too far",
            )
    console().print(table)
