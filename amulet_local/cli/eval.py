"""`amulet eval`: write replies by several methods, score them, and show whether they align.

The options become a Plan; what the folder lacks of it is written and judged, and the report is
made of all that the folder holds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amulet_local.cli.loading import chat_model
from amulet_local.cli.options import (
    PAPER_TOKENS,
    Subparsers,
    add_fields,
    add_paper,
    add_work_options,
    apply_paper,
    value,
    with_given,
    words,
)
from amulet_local.cli.output import console, print_json, say, write
from amulet_local.cli.work import WorkBar
from amulet_local.errors import INTERRUPTED, NotUsableError, UsageError
from amulet_local.evaluation.plan import GREEDY, Plan, Preference
from amulet_local.evaluation.questions import Question, bundled_questions, read_questions
from amulet_local.evaluation.records import Folder, Setting, Skipped
from amulet_local.evaluation.variants import PAPER, Variant, parse_variants
from amulet_local.path_text import as_text
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.messages import Reply
from amulet_local.protocol.numbers import Natural, Positive
from amulet_local.realignment import AMULET
from amulet_local.settings import Settings, load_settings

if TYPE_CHECKING:
    from amulet_local.evaluation.results import Report
    from amulet_local.evaluation.statistics import Comparison

_PRESETS = "creative,verbose,concise,uplifting"  # the paper's main four
_METHODS = f"base,pref,beam,la,amulet,{PAPER.name}"
_OUT = Path("amulet-eval")
_ALIGNMENT = {
    "placement": "where the preference goes in the prompt (default: system)",
}
_REPLYING = {
    "max_tokens": f"maximum length of a reply (default: {PAPER_TOKENS})",
    "seed": "the sampler's seed (default: 0)",
}
_SAMPLING = {
    "temperature": "0, the default, always picks the likeliest token",
    "dry_multiplier": "above 0: penalise repeated passages (0.8 is usual)",
    "penalty_last_n": "how many tokens back the penalty looks (default: 64)",
}


def add_parser(subparsers: Subparsers) -> None:
    """Add `eval`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser(
        "eval",
        help="measure whether replies follow a preference and stay coherent",
        description="Write replies to questions with several methods, score them, and make a "
        "report. Every reply is saved; if stopped, the same command resumes.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("-m", "--model", metavar="MODEL", help="a model name, or a GGUF file")
    parser.add_argument(
        "--questions",
        metavar="FILE",
        type=Path,
        help='a JSON list of {"index", "question"}, one such object per line, or plain lines '
        "(default: the forty included with Amulet)",
    )
    parser.add_argument(
        "--skip", metavar="N", type=value(Natural), default=0, help="skip the first N of them"
    )
    parser.add_argument(
        "--limit", metavar="N", type=value(Positive), help="then use only N of them"
    )
    parser.add_argument(
        "--presets",
        metavar="NAMES",
        help=f"presets to use, separated by commas (default: {_PRESETS})",
    )
    parser.add_argument(
        "--preference",
        metavar="TEXT",
        type=words,
        action="append",
        default=[],
        help="a preference in words, instead of or in addition to presets; repeatable",
    )
    parser.add_argument(
        "--methods",
        metavar="METHODS",
        default=_METHODS,
        help="a list of base, pref, beam, la, amulet, each with optional settings: "
        f"amulet@s=2/3/4,guard=0.1 makes three (default: {_METHODS})",
    )
    parser.add_argument(
        "--judge",
        metavar="MODEL",
        help="the model that judges (default: the one that writes); with --report, the judge whose "
        "judgements to show",
    )
    parser.add_argument(
        "--no-verdicts",
        action="store_true",
        help="do not have the judge choose between replies, which takes as long as everything else",
    )
    add_paper(parser)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help=f"the folder to write to (default: {_OUT})"
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="only rebuild a folder's report; --questions, --skip and --limit choose its questions",
    )
    parser.add_argument("--json", action="store_true", help="print report.json")
    reply = parser.add_argument_group("reply")
    add_fields(reply, Alignment, _ALIGNMENT)
    add_fields(reply, Reply, _REPLYING)
    add_fields(reply, Sampling, _SAMPLING)
    add_work_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0, or INTERRUPTED where the user stopped it."""
    _require_packages()
    if args.report is not None:
        named = Path(args.judge or "").name.removesuffix(".gguf")
        some = args.questions or args.skip or args.limit
        asked = [each.question for each in _questions(args)] if some else None
        return _report(Folder(args.report), args, named, asked=asked)
    from amulet_local.evaluation.evaluate import evaluate

    settings = load_settings()
    plan = _plan(args, settings)
    judge = _judge(args, plan.setting.model)
    folder = Folder(args.out or _OUT)
    stopped = False
    with WorkBar() as bar:
        try:
            options = with_given(settings.engine, args)
            evaluate(plan, folder, judge, options, bar, verdicts=not args.no_verdicts)
        except KeyboardInterrupt:
            stopped = True
    return _report(folder, args, Path(judge).stem, skips=bar.skips, stopped=stopped)


def _require_packages() -> None:
    """Scores and plots need packages that the chat does not."""
    try:
        import matplotlib  # noqa: F401
        import pyphen  # noqa: F401
        import vaderSentiment  # noqa: F401
    except ModuleNotFoundError as error:
        raise NotUsableError(
            f"amulet eval needs the package {error.name}; install its dependencies with: "
            'pip install "amulet-local[eval]"'
        ) from None


# -- from what was typed to a plan ----------------------------------------------------------------


def _plan(args: argparse.Namespace, settings: Settings) -> Plan:
    apply_paper(args)
    setting = Setting(
        model=as_text(chat_model(args.model or settings.model)),
        system=settings.system or DEFAULT_SYSTEM,
        placement=args.placement or "system",
        sampling=with_given(GREEDY, args),
        seed=args.seed or 0,
        max_tokens=args.max_tokens or PAPER_TOKENS,
    )
    return Plan(setting, _questions(args), _preferences(args), _variants(args.methods))


def _questions(args: argparse.Namespace) -> list[Question]:
    """Those of the file, or our own, that --skip and --limit leave."""
    questions = read_questions(args.questions) if args.questions else bundled_questions()
    left = questions[args.skip :][: args.limit]
    if not left:
        raise UsageError(
            f"--skip {args.skip} leaves none of the {len(questions)} questions; skip fewer."
        )
    return left


def _preferences(args: argparse.Namespace) -> list[Preference]:
    """Those named, then those in words, which are filed under their words."""
    listed = args.presets if args.presets is not None or args.preference else _PRESETS
    names = [name.strip() for name in (listed or "").split(",") if name.strip()]
    presets = load_presets()
    found = {}
    for name in names:
        preset = presets.get(name)
        found[name] = Preference(name, preset.words(), preset.strength, preset.guard)
    for text in args.preference:
        if not text.strip():
            raise UsageError("--preference is empty; say in words what replies should be like.")
        found[text.strip()] = Preference(text.strip(), text.strip())
    if not found:
        raise UsageError("--presets is empty; list the presets with: amulet presets")
    if args.paper:
        return [Preference(each.name, each.words, AMULET, 0.0) for each in found.values()]
    return list(found.values())


def _variants(methods: str) -> list[Variant]:
    """pref is always among them, since the others are compared to it."""
    variants = parse_variants(methods)
    if "pref" not in {variant.name for variant in variants}:
        variants.insert(0, Variant("pref", "pref"))
    return variants


def _judge(args: argparse.Namespace, model: str) -> str:
    """The path of the judge. Judgements are filed under names, so two models need two."""
    judge = as_text(chat_model(args.judge)) if args.judge else model
    if judge != model and Path(judge).stem == Path(model).stem:
        raise UsageError(
            f"the judge and the model are both called {Path(model).stem}; rename one of the files."
        )
    return judge


# -- from the folder to what is shown -------------------------------------------------------------


def _report(
    folder: Folder,
    args: argparse.Namespace,
    judge: str,
    *,
    asked: Sequence[str] | None = None,
    skips: Sequence[Skipped] = (),
    stopped: bool = False,
) -> int:
    """Write report.json and report.html, and say what they come to. asked: the questions to report
    on; None for all."""
    from amulet_local.evaluation.page import make_page
    from amulet_local.evaluation.report import make_report

    report = make_report(folder, judge, skips, asked)
    data = msgspec.json.format(msgspec.json.encode(report))
    (folder.path / "report.json").write_bytes(data)
    page = folder.path / "report.html"
    replies = [each for each in folder.replies().values() if asked is None or each.asked in asked]
    page.write_text(make_page(report, replies), encoding="utf-8")
    for reason, count in Counter(skip.reason for skip in skips).items():
        say(f"skipped {count} of the replies: {reason}.")
    if stopped:
        say("stopped; run the same command to continue.")
    if args.json:
        print_json(report)
    else:
        _print(report)
        write(f"\n{page}\n")
    return INTERRUPTED if stopped else 0


def _rate(found: Comparison | None) -> str:
    return f"{found.rate.value:.0%}" if found else ""


def _print(report: Report) -> None:
    """One table: every method by every preference."""
    from rich.table import Table

    from amulet_local.evaluation.results import order_decided

    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for heading in ("preference", "method"):
        table.add_column(heading, no_wrap=True)
    for heading in ("gain", "wins", "chosen", "words", "perplexity", "distinct-3", "on question"):
        table.add_column(heading, justify="right")
    for each in report.methods:
        against = each.against_pref
        table.add_row(
            each.preference,
            each.variant,
            "" if each.gain is None else f"{each.gain.value:+.3f}",
            _rate(against.gain if against else None),
            _rate(against.verdict if against else None),
            f"{each.words.median:.0f}",
            "" if each.perplexity is None else f"{each.perplexity:.2f}",
            f"{each.distinct_3:.3f}",
            "" if each.on_question is None else f"{each.on_question:.2f}",
        )
    console().print(table)
    who = "the model itself" if report.judges_itself else report.judge
    write(f"\nJudged by {who}; {report.questions} questions.\n")
    ties, comparisons = order_decided(report)
    if comparisons:
        write(
            f"In {ties} of {comparisons} comparisons its choice depended on the order of the "
            "replies.\n"
        )
    for bar in report.bars:
        sign = "at most" if bar.most else "at least"
        met = "kept" if bar.met else "missed"
        write(f"{met:7} {bar.preference}: {bar.what} {bar.shown}, {sign} {bar.bound:g}\n")
