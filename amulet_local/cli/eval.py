"""`amulet eval`: write replies by several methods, score them, and show whether they align.

The options become a Plan; what the folder lacks of it is written and judged, and the report is
made of all that the folder holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from amulet_local.cli.eval_report import show_report
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
from amulet_local.cli.output import say
from amulet_local.cli.work import WorkBar
from amulet_local.errors import INTERRUPTED, NotUsableError, UsageError
from amulet_local.evaluation.instructions import Pair, ability_questions, read_instructions
from amulet_local.evaluation.plan import GREEDY, Plan, Preference, crossed
from amulet_local.evaluation.questions import Question, bundled_questions, read_questions
from amulet_local.evaluation.records import Folder, Setting
from amulet_local.evaluation.variants import PAPER, Variant, parse_variants
from amulet_local.path_text import as_text
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.messages import Reply
from amulet_local.protocol.numbers import Natural, Positive
from amulet_local.settings import Settings, load_settings
from amulet_local.strengths import AMULET

_PRESETS = "creative,verbose,concise,uplifting"  # the paper's main four
_METHODS = f"base,pref,beam,la,amulet,{PAPER.name}"
_VERIFIED_METHODS = "pref,amulet,amulet@s=1.5/2/3/4"
_UNRELATED = "Please be polite."
_NO_JUDGE = "none"
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
        "--instructions",
        metavar="FILE[,FILE]",
        action="append",
        default=[],
        help="questions with and without an instruction, in IFEval's form; a program checks the "
        "replies, and how many follow it is reported",
    )
    parser.add_argument(
        "--ability",
        action="store_true",
        help="ask questions with one right answer as well, with the presets and preferences given, "
        f"or by default the unrelated wish {_UNRELATED!r}; a program checks the replies",
    )
    parser.add_argument(
        "--methods",
        metavar="METHODS",
        help="a list of base, pref, beam, la, amulet, each with optional settings: "
        f"amulet@s=2/3/4,guard=0.1 makes three (default: {_METHODS}; where a program checks the "
        f"replies: {_VERIFIED_METHODS})",
    )
    parser.add_argument(
        "--judge",
        metavar="MODEL",
        help=f"the model that judges (default: the one that writes), or {_NO_JUDGE!r}; with "
        "--report, the judge whose judgements to show",
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
        some = args.questions or args.skip or args.limit or _is_verified(args)
        asked = [question.question for question, _ in _pairs(args)] if some else None
        show_report(Folder(args.report), named, asked=asked, as_json=args.json)
        return 0
    from amulet_local.evaluation.evaluate import evaluate

    settings = load_settings(say)
    plan = _plan(args, settings)
    judge = _judge(args, plan.setting.model)
    folder = Folder(args.out or _OUT)
    stopped = False
    with WorkBar() as bar:
        try:
            options = with_given(settings.engine, args)
            verdicts = not (args.no_verdicts or plan.is_verified)
            evaluate(plan, folder, judge, options, bar, verdicts=verdicts)
        except KeyboardInterrupt:
            stopped = True
    named = Path(judge or "").stem
    show_report(folder, named, skips=bar.skips, stopped=stopped, as_json=args.json)
    return INTERRUPTED if stopped else 0


def _require_packages() -> None:
    """Scores and plots need packages that the chat does not."""
    try:
        import langdetect  # noqa: F401
        import matplotlib  # noqa: F401
        import pyphen  # noqa: F401
        import vaderSentiment  # noqa: F401
    except ModuleNotFoundError as error:
        raise NotUsableError(
            f"amulet eval needs the package {error.name}; install its dependencies with: "
            'pip install "amulet-local[eval]"'
        ) from None


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
    methods = args.methods or (_VERIFIED_METHODS if _is_verified(args) else _METHODS)
    return Plan(setting, _pairs(args), _variants(methods))


def _is_verified(args: argparse.Namespace) -> bool:
    """Whether a program checks the replies."""
    return bool(args.instructions or args.ability)


def _pairs(args: argparse.Namespace) -> list[Pair]:
    """Which question goes with which preference. --skip and --limit count within each file, and
    within the questions of --ability."""
    if not _is_verified(args):
        return crossed(_questions(args), _preferences(args))
    chosen = slice(args.skip, None if args.limit is None else args.skip + args.limit)
    papers = (AMULET, 0.0) if args.paper else ()
    pairs: list[Pair] = []
    for path in ",".join(args.instructions).split(","):
        if path.strip():
            pairs += read_instructions(Path(path.strip()), *papers)[chosen]
    if args.ability:
        if args.presets is None and not args.preference:
            args.preference = [_UNRELATED]
        pairs += crossed(ability_questions()[chosen], _preferences(args))
    if not pairs:
        raise UsageError("--instructions and --skip leave no question; skip fewer.")
    return pairs


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
        found[name] = Preference(name, preset.words(), preset.usual_strength, preset.guard)
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


def _judge(args: argparse.Namespace, model: str) -> str | None:
    """The path of the judge, if any. Judgements are filed under names, so two models need two."""
    if args.judge == _NO_JUDGE:
        return None
    judge = as_text(chat_model(args.judge)) if args.judge else model
    if judge != model and Path(judge).stem == Path(model).stem:
        raise UsageError(
            f"the judge and the model are both called {Path(model).stem}; rename one of the files."
        )
    return judge
