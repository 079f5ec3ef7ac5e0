"""What an evaluation comes to: every method beside prompting, preference by preference.

The folder's replies and judgements go in, a Report comes out: numbers alone, as report.json has
them. All are recomputed from what is on disk, so that a report can be made anew at any time.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from amulet_local.evaluation.accuracy import ABILITY, EVERY_KIND, accuracies
from amulet_local.evaluation.records import (
    Folder,
    Judgement,
    Likelihoods,
    Skipped,
    Verdict,
    WrittenReply,
    digest,
)
from amulet_local.evaluation.results import (
    Accuracy,
    AgainstPref,
    Bar,
    MethodReport,
    Report,
    Spread,
)
from amulet_local.evaluation.scores.face import FACES
from amulet_local.evaluation.scores.length import length
from amulet_local.evaluation.scores.on_question import on_question
from amulet_local.evaluation.scores.perplexity import perplexity
from amulet_local.evaluation.scores.preference_gain import preference_gain
from amulet_local.evaluation.scores.repetition import distinct_3, longest_loop
from amulet_local.evaluation.statistics import (
    Interval,
    bootstrap,
    compare,
    compared,
    mean,
    ratio_of_means,
    ratio_of_medians,
)
from amulet_local.evaluation.variants import METHODS

Kind = TypeVar("Kind", Likelihoods, Verdict)


class _Scored(msgspec.Struct, frozen=True):
    """A reply with what was said of it by one preference: likelihoods and verdict by the judge, own
    by the model that wrote it."""

    reply: WrittenReply
    likelihoods: Likelihoods | None
    own: Likelihoods | None
    verdict: Verdict | None


_Run = dict[int, _Scored]  # by question
_OWN_INSTRUCTION = "the instruction of each question"


def make_report(
    folder: Folder,
    judge: str,
    skipped: Sequence[Skipped] = (),
    asked: Collection[str] | None = None,
) -> Report:
    """The report of a folder, as one judge sees it; "" for the one that judged last.

    asked: the questions it is about; None for all that are answered there. Raises
    NotUsableError where the folder holds no evaluation.
    """
    setting = folder.setting()
    replies = [it for it in folder.replies().values() if asked is None or it.asked in asked]
    judgements = folder.judgements()
    if not judge and judgements:
        judge = judgements[-1].judge
    preferences = {
        reply.preference: _OWN_INSTRUCTION if reply.instead else reply.words
        for reply in replies
        if reply.preference
    }
    model = _stem(setting.model)
    scored = _scored(replies, judgements, judge, model)
    variants = [reply.variant for reply in sorted(replies, key=_place)]
    variants = list(dict.fromkeys(variants))
    checked = accuracies(replies, variants)
    methods = [
        _method_report(name, scored[name, variant], scored.get((name, "pref"), {}))
        for name in preferences
        for variant in variants
        if (name, variant) in scored
    ]
    return Report(
        model=model,
        judge=judge,
        judges_itself=judge == model,
        setting=setting,
        questions=len({reply.question for reply in replies}),
        preferences=preferences,
        faces={
            name: f"{FACES[name].name} ({FACES[name].unit})"
            for name in preferences
            if name in FACES
        },
        variants=variants,
        methods=methods,
        accuracies=checked,
        bars=_bars(methods, checked, setting.max_tokens),
        skipped=list(skipped),
    )


def _scored(
    replies: Sequence[WrittenReply],
    judgements: Sequence[Judgement],
    judge: str,
    model: str,
) -> dict[tuple[str, str], _Run]:
    """Runs by preference and variant; the replies of base stand in the run of each preference."""
    likelihoods = _latest(judgements, Likelihoods, judge)
    of_writer = _latest(judgements, Likelihoods, model)
    verdicts = _latest(judgements, Verdict, judge)
    by_key = {reply.key: reply for reply in replies}
    asked_with: dict[int, dict[str, str]] = defaultdict(dict)  # by question: words by preference
    for reply in replies:
        if reply.preference:
            asked_with[reply.question][reply.preference] = reply.words
    runs: dict[tuple[str, str], _Run] = defaultdict(dict)
    for reply in replies:
        own = {reply.preference: reply.words} if reply.preference else asked_with[reply.question]
        for name, words in own.items():
            key = (reply.question, name, reply.variant)
            text = (*key, digest(words, reply.text))
            pref = by_key.get((reply.question, name, "pref"))
            both = digest(words, reply.text, pref.text) if pref else ""
            runs[name, reply.variant][reply.question] = _Scored(
                reply, likelihoods.get(text), of_writer.get(text), verdicts.get((*key, both))
            )
    return runs


def _latest(
    judgements: Sequence[Judgement], kind: type[Kind], judge: str
) -> dict[tuple[int, str, str, str], Kind]:
    return {
        (it.question, it.preference, it.variant, it.digest): it
        for it in judgements
        if isinstance(it, kind) and it.judge == judge
    }


def _place(reply: WrittenReply) -> tuple[int, bool, float, float]:
    """Where its variant stands among the others."""
    varied = reply.variant != reply.method
    return METHODS.index(reply.method), varied, reply.strength, reply.guard


def _method_report(preference: str, run: _Run, pref: _Run) -> MethodReport:
    reply = next(iter(run.values())).reply
    judged = [it.likelihoods for it in run.values() if it.likelihoods]
    own = [it.own for it in run.values() if it.own]
    related = [it for it in own if it.others]
    texts = [it.reply.text for it in run.values()]
    face = FACES.get(preference)
    surprises = [-it.without / max(1, it.tokens) for it in own]
    both = [number for number in run if number in pref]
    return MethodReport(
        preference=preference,
        variant=reply.variant,
        method=reply.method,
        strength=reply.strength,
        guard=reply.guard,
        replies=len(run),
        words=Spread.of([length(text) for text in texts]),
        gain=mean([preference_gain(it) for it in judged]) if judged else None,
        face=mean([face.measure(text) for text in texts]) if face else None,
        perplexity=_geometric(surprises) if own else None,
        on_question=statistics.fmean(map(on_question, related)) if related else None,
        distinct_3=statistics.fmean(map(distinct_3, texts)),
        longest_loop=statistics.fmean(map(longest_loop, texts)),
        ended=statistics.fmean(it.reply.ended for it in run.values()),
        against_pref=(
            _against([run[n] for n in both], [pref[n] for n in both], preference)
            if both and reply.variant != "pref"
            else None
        ),
    )


def _against(ours: Sequence[_Scored], theirs: Sequence[_Scored], preference: str) -> AgainstPref:
    """Over the same questions, in the same order."""

    def texts(score: Callable[[str], float], side: Sequence[_Scored]) -> list[float]:
        return [score(each.reply.text) for each in side]

    pairs = list(zip(ours, theirs, strict=True))
    judged = [(a.likelihoods, b.likelihoods) for a, b in pairs if a.likelihoods and b.likelihoods]
    our_judged, their_judged = ([pair[side] for pair in judged] for side in (0, 1))
    measured = [(a.own, b.own) for a, b in pairs if a.own and b.own]
    our_own, their_own = ([pair[side] for pair in measured] for side in (0, 1))
    verdicts = [it.verdict.outcome for it in ours if it.verdict]
    face = FACES.get(preference)
    return AgainstPref(
        questions=len(ours),
        gain=(
            compare([*map(preference_gain, our_judged)], [*map(preference_gain, their_judged)])
            if judged
            else None
        ),
        face=(
            compare(texts(face.measure, ours), texts(face.measure, theirs), more=face.more)
            if face
            else None
        ),
        verdict=compared(verdicts) if verdicts else None,
        words=ratio_of_medians(texts(length, ours), texts(length, theirs)),
        distinct_3=ratio_of_means(texts(distinct_3, ours), texts(distinct_3, theirs)),
        on_question=(
            ratio_of_means([*map(on_question, our_own)], [*map(on_question, their_own)])
            if measured and all(it.others for it in (*our_own, *their_own))
            else None
        ),
        perplexity=_harder(our_own, their_own) if measured else None,
    )


def _harder(ours: Sequence[Likelihoods], theirs: Sequence[Likelihoods]) -> Interval:
    """The ratio of geometric means of perplexity."""
    logs = [
        math.log(perplexity(our)) - math.log(perplexity(their))
        for our, their in zip(ours, theirs, strict=True)
    ]
    return bootstrap(lambda drawn: np.exp(drawn[0].mean(axis=-1)), logs)


# What is promised of `amulet` beside pref: what is measured, the bound, and whether it is the most.
_SHARE_OF_GAINS = 0.8
_QUALITY = 0.98
_SURPRISE = 1.5
_WORDS = {"concise": (0.6, True), "verbose": (1.2, False)}
_LOST = 1.0  # of a hundred questions with one right answer
_WORDS_OF_VERBOSE = 512  # tokens that replies must be allowed for their lengths to tell


def _bars(
    methods: Sequence[MethodReport], checked: Sequence[Accuracy], max_tokens: int
) -> list[Bar]:
    """What is promised of `amulet` as it is by default, where it was measured."""
    of_ability = {it.preference for it in checked if it.kind.startswith(ABILITY)}
    bars = [
        Bar.of("points of ability lost", it.preference, -it.against_pref.points, _LOST, most=True)
        for it in checked
        if it.variant == "amulet" and it.against_pref
        if it.kind == EVERY_KIND and it.preference in of_ability
    ]
    verified = {it.preference for it in checked}
    for each in methods:
        name, against = each.preference, each.against_pref
        if each.variant != "amulet" or against is None:
            continue
        if name in verified:
            if against.perplexity:
                value = against.perplexity.value
                bars.append(Bar.of("base perplexity", name, value, _SURPRISE, most=True))
            continue
        if against.gain:
            gain = against.gain
            share = gain.wins / (gain.wins + gain.ties + gain.losses)
            bars.append(Bar.of("questions with more preference gain", name, share, _SHARE_OF_GAINS))
        if name in _WORDS and (name != "verbose" or max_tokens >= _WORDS_OF_VERBOSE):
            bound, most = _WORDS[name]
            bars.append(Bar.of("median words", name, against.words.value, bound, most=most))
        bars.append(Bar.of("distinct-3", name, against.distinct_3.value, _QUALITY))
        if against.on_question:
            bars.append(Bar.of("on the question", name, against.on_question.value, _QUALITY))
        if against.perplexity:
            value = against.perplexity.value
            bars.append(Bar.of("base perplexity", name, value, _SURPRISE, most=True))
    return bars


def _geometric(surprises: Sequence[float]) -> float:
    return math.exp(min(700.0, statistics.fmean(surprises)))


def _stem(path: str) -> str:
    return Path(path).stem
