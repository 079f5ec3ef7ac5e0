"""Which rule keeps realigned text sane at the least cost in alignment: the study of guards.

    python -m benchmarks.guard_study write OUT.jsonl --questions FILE [--every 50] [--limit 5]
        [--model MODEL] [--rules off,floor=0.1,...] [--strengths 2,3,4,5.65,8] [--max-tokens 96]
    python -m benchmarks.guard_study table OUT.jsonl... [--each]
    python -m benchmarks.guard_study plot PICTURE.svg OUT.jsonl... [--kept RULE]

The rules that were not taken into the product live here and only here, so that docs/alignment.md
can be checked. Greedy for all, so that no rule looks good by taking chance out of sampling
(arXiv 2504.10020). Every reply is listened to by three streams while it is written: base, pref, and
base after another question. A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from amulet_local.evaluation.questions import Question, bundled_questions, read_questions
from amulet_local.evaluation.scores.length import length
from amulet_local.evaluation.scores.repetition import distinct_3
from amulet_local.evaluation.statistics import compare
from amulet_local.evaluation.subject import Subject
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import Row, Workspace, log_softmax, plausibility_floor, realign
from models.lookup import resolve

PRESETS = ("creative", "verbose", "concise", "uplifting")
PROMPTED = ("prompt", 1.0)
TOGETHER = 8
COLUMNS = (
    *("rule", "s", "gain", "wins", "fewest wins", "perplexity", "distinct-3"),
    *("on question", "words", "n"),
)
STREAMS = 3  # base, pref, base after another question

Rule = Callable[[Row, Row, float, Workspace], None]  # writes to work.realigned


# -- the rules ------------------------------------------------------------------------------------


def off(base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """The paper."""
    realign([base, pref], (strength,), work)


def floor(beta: float, base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """Plausibility floor (arXiv 2210.15097): p_pref(v) >= beta x best."""
    off(base, pref, strength, work)
    plausibility_floor(pref, beta, work)


def nucleus(mass: float, base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """Only what is in pref's top-p nucleus (Linear Alignment, arXiv 2401.11458)."""
    off(base, pref, strength, work)
    chances = np.exp(log_softmax(pref))
    order = np.argsort(chances)[::-1]
    kept = int(np.searchsorted(np.cumsum(chances[order]), mass)) + 1
    work.realigned[order[kept:]] = -np.inf


def adaptive(full: float, base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """The weight s - 1 in proportion to how far the streams disagree (AdaCAD, arXiv 2409.07394):
    to their Jensen-Shannon divergence over `full` bits, at most 1."""
    p, q = np.exp(log_softmax(base)), np.exp(log_softmax(pref))
    middle = np.log2((p + q) / 2 + 1e-12)
    bits = 0.5 * float(
        (p * (np.log2(p + 1e-12) - middle)).sum() + (q * (np.log2(q + 1e-12) - middle)).sum()
    )
    off(base, pref, 1 + (strength - 1) * min(1.0, max(0.0, bits) / full), work)


def shrink(share: float, base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """Only a share of the part of pref - base that is parallel to pref, in the inner product
    weighted by p_pref (after APG, arXiv 2410.02416)."""
    chances = np.exp(log_softmax(pref))
    gap = pref - base
    gap -= (chances * gap).sum()
    along = pref - (chances * pref).sum()
    parallel = (chances * gap * along).sum() / max(1e-9, float((chances * along * along).sum()))
    work.realigned[:] = pref + (strength - 1) * (gap - (1 - share) * parallel * along)


def cap(most: float, base: Row, pref: Row, strength: float, work: Workspace) -> None:
    """pref - base no longer than `most` nats, root mean square weighted by p_pref (APG)."""
    chances = np.exp(log_softmax(pref))
    gap = pref - base
    gap -= (chances * gap).sum()
    size = float(np.sqrt((chances * gap * gap).sum()))
    work.realigned[:] = pref + (strength - 1) * min(1.0, most / max(1e-9, size)) * gap


RULES: dict[str, Callable[..., None]] = {
    "floor": floor,
    "nucleus": nucleus,
    "adaptive": adaptive,
    "shrink": shrink,
    "cap": cap,
}


def rule(name: str) -> Rule:
    """`off`, `floor=0.1`, ..., or a rule with a floor behind it: `cap=1+floor=0.1`."""
    first, _, second = name.partition("+")
    word, _, value = first.partition("=")
    made: Rule = off if word == "off" else partial(RULES[word], float(value))
    if not second:
        return made
    beta = float(second.removeprefix("floor="))

    def both(base: Row, pref: Row, strength: float, work: Workspace) -> None:
        made(base, pref, strength, work)
        plausibility_floor(pref, beta, work)

    return both


# -- writing --------------------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True):
    """One reply. Log-probabilities in nats: with the preference, without, after another question;
    over `tokens`, its end included where it ended by itself."""

    model: str
    rule: str
    strength: float
    preset: str
    question: int
    text: str
    tokens: int
    ended: bool
    with_preference: float
    without: float
    other: float

    @property
    def identity(self) -> tuple[str, str, float, str, int]:
        return self.model, self.rule, self.strength, self.preset, self.question


@dataclass
class Strand:
    """A reply under way on three streams of its own."""

    rule: str
    strength: float
    preset: str
    question: Question
    prompts: list[list[int]]
    tokens: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0] * STREAMS)

    def line(self, subject: Subject, ended: bool) -> Line:
        text = b"".join(map(subject.vocabulary.piece, self.tokens)).decode("utf-8", "replace")
        without, with_preference, other = self.sums
        return Line(
            subject.name,
            self.rule,
            self.strength,
            self.preset,
            self.question.index,
            text,
            len(self.tokens) + ended,
            ended,
            with_preference,
            without,
            other,
        )


def write(args: argparse.Namespace) -> None:
    out = Path(args.out)
    questions = read_questions(args.questions) if args.questions else bundled_questions()
    questions = questions[args.start :: args.every][: args.limit]
    done = {line.identity for line in read([out])} if out.exists() else set()
    pairs = [PROMPTED] + [(r, s) for r in args.rules.split(",") for s in args.strengths]
    presets = load_presets()
    with Subject(str(resolve(args.model)), LoadOptions(threads=args.threads)) as subject:
        strands = []
        for name, strength in pairs:
            for preset in args.presets.split(","):
                for place, question in enumerate(questions):
                    other = questions[place - 1]
                    if (subject.name, name, strength, preset, question.index) in done:
                        continue
                    words = presets.get(preset).words()
                    asked = ((question, ""), (question, words), (other, ""))
                    prompts = [subject.prompt(q.question, DEFAULT_SYSTEM, w) for q, w in asked]
                    strands.append(Strand(name, strength, preset, question, prompts))
        longest = max((len(p) for strand in strands for p in strand.prompts), default=1)
        with (
            subject.streams(STREAMS * TOGETHER, longest + args.max_tokens) as lockstep,
            out.open("ab") as file,
        ):
            for start in range(0, len(strands), TOGETHER):
                group = strands[start : start + TOGETHER]
                prompts = [prompt for strand in group for prompt in strand.prompts]
                logits = dict(enumerate(lockstep.prefill(dict(enumerate(prompts)))))
                going_on = dict(enumerate(group))
                while going_on:
                    chosen: dict[int, int] = {}
                    for number, strand in list(going_on.items()):
                        streams = range(STREAMS * number, STREAMS * (number + 1))
                        rows = [logits[stream] for stream in streams]
                        token, ended = choose(strand, rows, subject)
                        if not ended:
                            strand.tokens.append(token)
                            chosen |= dict.fromkeys(streams, token)
                        if ended or len(strand.tokens) == args.max_tokens:
                            line = strand.line(subject, ended)
                            file.write(msgspec.json.encode(line) + b"\n")
                            file.flush()
                            del going_on[number]
                            for stream in streams:
                                chosen.pop(stream, None)
                    logits = lockstep.advance_each(chosen) if chosen else {}
                print(f"{start + len(group)} of {len(strands)}", file=sys.stderr, flush=True)


def choose(strand: Strand, rows: Sequence[Row], subject: Subject) -> tuple[int, bool]:
    """The next token, greedy, and whether it ends the reply; its log-probabilities are added."""
    work = subject.work
    if strand.rule == PROMPTED[0]:
        work.realigned[:] = rows[1]
    else:
        rule(strand.rule)(rows[0], rows[1], strand.strength, work)
    token = int(work.realigned.argmax())
    ended = token in subject.turn_ends
    for stream, row in enumerate(rows):
        chances = log_softmax(row)
        counted = chances[subject.turn_ends] if ended else chances[[token]]
        strand.sums[stream] += float(np.logaddexp.reduce(counted))
    return token, ended


# -- reading --------------------------------------------------------------------------------------


def read(paths: Sequence[Path]) -> list[Line]:
    return [
        msgspec.json.decode(line, type=Line)
        for path in paths
        for line in path.read_bytes().splitlines()
    ]


Run = dict[tuple[str, int], Line]  # by preset and question


@dataclass(frozen=True)
class Point:
    """A rule at a strength beside prompting, over the same questions. gain: mean over replies, in
    nats per token. wins: the share of questions with more gain, preset by preset. The rest are
    ratios: of geometric means of perplexity, of means, of median words."""

    rule: str
    strength: float
    gain: float
    wins: tuple[float, ...]
    perplexity: float
    distinct_3: float
    on_question: float
    words: float
    replies: int

    @classmethod
    def of(cls, rule: str, strength: float, run: Run, prompted: Run) -> Point:
        keys = [key for key in run if key in prompted]
        ours, theirs = [run[key] for key in keys], [prompted[key] for key in keys]

        def ratio(score: Callable[[Line], float]) -> float:
            return statistics.fmean(map(score, ours)) / statistics.fmean(map(score, theirs))

        wins = []
        for preset in sorted({key[0] for key in keys}):
            of_preset = [key for key in keys if key[0] == preset]
            own = [gain(run[key]) for key in of_preset]
            wins.append(compare(own, [gain(prompted[key]) for key in of_preset]).rate.value)
        medians = [statistics.median(length(line.text) for line in side) for side in (ours, theirs)]
        surprises = [statistics.fmean(map(surprise, side)) for side in (ours, theirs)]
        return cls(
            rule,
            strength,
            statistics.fmean(map(gain, ours)),
            tuple(wins),
            float(np.exp(surprises[0] - surprises[1])),
            ratio(lambda line: distinct_3(line.text)),
            ratio(on_question),
            medians[0] / max(1.0, medians[1]),
            len(keys),
        )

    @property
    def row(self) -> str:
        cells = (
            self.rule,
            f"{self.strength:g}",
            f"{self.gain:.3f}",
            f"{statistics.fmean(self.wins):.2f}",
            f"{min(self.wins):.2f}",
            f"{self.perplexity:.2f}",
            f"{self.distinct_3:.2f}",
            f"{self.on_question:.2f}",
            f"{self.words:.2f}",
            str(self.replies),
        )
        return f"| {' | '.join(cells)} |"


def gain(line: Line) -> float:
    return (line.with_preference - line.without) / max(1, line.tokens)


def surprise(line: Line) -> float:
    return -line.without / max(1, line.tokens)


def on_question(line: Line) -> float:
    return (line.without - line.other) / max(1, line.tokens)


def points(lines: Sequence[Line], model: str, presets: Sequence[str]) -> list[Point]:
    """Every rule and strength over these presets, prompting among them."""
    runs: dict[tuple[str, float], Run] = defaultdict(dict)
    for line in lines:
        if line.model == model and line.preset in presets:
            runs[line.rule, line.strength][line.preset, line.question] = line
    prompted = runs.get(PROMPTED, {})
    return [
        Point.of(rule, strength, run, prompted)
        for (rule, strength), run in sorted(runs.items())
        if any(key in prompted for key in run)
    ]


def table(args: argparse.Namespace) -> None:
    """Per model, rule and strength: over all presets, or preset by preset."""
    lines = read([Path(path) for path in args.lines])
    presets = args.presets.split(",")
    for model in sorted({line.model for line in lines}):
        for group in [[preset] for preset in presets] if args.each else [presets]:
            if not (found := points(lines, model, group)):
                continue
            print(f"\n**{model}**, {', '.join(group)}\n")
            print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
            for point in found:
                print(point.row)


def plot(args: argparse.Namespace) -> None:
    """Gain against perplexity, a panel a model, a curve a rule, as a picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "guards", "font.size": 9})
    lines = read([Path(path) for path in args.lines])
    models = sorted({line.model for line in lines})
    figure = Figure(figsize=(5.2 * len(models), 4.4), layout="constrained")
    for axes, model in zip(
        figure.subplots(1, len(models), squeeze=False, sharey=True)[0], models, strict=True
    ):
        found = points(lines, model, args.presets.split(","))
        for number, rule in enumerate(sorted({p.rule for p in found} - {PROMPTED[0]})):
            curve = [p for p in found if p.rule in (rule, PROMPTED[0])]
            curve.sort(key=lambda point: point.strength)
            kept = rule == args.kept
            axes.plot(
                [p.perplexity for p in curve],
                [p.gain for p in curve],
                marker="o",
                markersize=5 if kept else 3,
                linewidth=2.4 if kept else 1,
                color="black" if kept else mpl.colormaps["tab20"](number),
                linestyle="-" if "+" not in rule else ":",
                label=rule,
            )
        axes.set_xscale("log")
        axes.set_xlim(0.9, 4)
        axes.set_ylim(-0.02, 0.5)
        axes.set_xticks([1, 1.5, 2, 3, 4], ["1×", "1.5×", "2×", "3×", "4×"])
        axes.minorticks_off()
        axes.axvspan(0.9, 1.5, color="0.94")
        axes.set_title(model, loc="left")
        axes.set_xlabel("base perplexity, in times that of prompting")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.axes[0].set_ylabel("preference gain, nats per token")
    figure.savefig(args.out, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description="The study of guards")
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write")
    writing.add_argument("out")
    writing.add_argument("--questions", type=Path)
    writing.add_argument("--start", type=int, default=0)
    writing.add_argument("--every", type=int, default=1)
    writing.add_argument("--limit", type=int)
    writing.add_argument("--model", default="default")
    writing.add_argument("--rules", default="off,floor=0.1")
    writing.add_argument(
        "--strengths",
        type=lambda text: [float(each) for each in text.split(",")],
        default=[2.0, 3.0, 4.0, 5.65, 8.0],
    )
    writing.add_argument("--max-tokens", type=int, default=96)
    writing.add_argument("--threads", type=int, default=0)
    writing.set_defaults(run=write)
    reading = commands.add_parser("table")
    reading.add_argument("lines", nargs="+")
    reading.add_argument("--each", action="store_true", help="preset by preset")
    reading.set_defaults(run=table)
    picture = commands.add_parser("plot")
    picture.add_argument("out", help="an SVG or PNG file")
    picture.add_argument("lines", nargs="+")
    picture.add_argument("--kept", default="floor=0.1")
    picture.set_defaults(run=plot)
    for command in (writing, reading, picture):
        command.add_argument("--presets", default=",".join(PRESETS))
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
