"""The strength for a model and a preference: the largest at which replies are still well written.

A few questions, each with the same preference or with one of its own, are answered by prompting,
then at rising strengths with the preference's own guard, all greedily. A strength keeps the quality
where its replies, beside those of prompting,
- are at most `margin` times as surprising (base perplexity, the ratio of geometric means),
- have at least 95% of the distinct-3,
- and at least 95% of the on-question score;
the model judges itself. The search ends with the second strength in a row that does not.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from amulet_local.errors import NotUsableError
from amulet_local.evaluation.evaluate import Observer
from amulet_local.evaluation.judging import Judge
from amulet_local.evaluation.plan import Assignment, Preference
from amulet_local.evaluation.questions import Question
from amulet_local.evaluation.records import Judgement, Likelihoods, Setting, Skipped, WrittenReply
from amulet_local.evaluation.scores.on_question import on_question
from amulet_local.evaluation.scores.perplexity import perplexity
from amulet_local.evaluation.scores.repetition import distinct_3
from amulet_local.evaluation.subject import Subject
from amulet_local.evaluation.variants import Variant
from amulet_local.evaluation.writing import Writer
from amulet_local.presets.quality import Quality, has_gone_too_far, largest_kept

STRENGTHS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
_PROMPTED = Variant("pref", "pref")


@dataclass(frozen=True)
class _Scores:
    surprise: float  # mean log perplexity
    distinct_3: float
    on_question: float


def find_strength(
    subject: Subject,
    setting: Setting,
    pairs: Sequence[tuple[Question, Preference]],
    margin: float,
    watch: Observer,
) -> tuple[Quality, list[Quality]]:
    """The largest strength that keeps the quality, and all that were tried.

    Where none above prompting does, it is that of prompting. Raises DecodeError, and NotUsableError
    where the model holds none of the questions with a reply.
    """
    prompted = _scores(subject, setting, _PROMPTED, pairs, watch)
    tried: list[Quality] = []
    for strength in STRENGTHS:
        variant = Variant(f"amulet@s={strength:g}", "amulet", strength)
        scores = _scores(subject, setting, variant, pairs, watch)
        quality = Quality(
            strength,
            exp(scores.surprise - prompted.surprise),
            _ratio(scores.distinct_3, prompted.distinct_3),
            _ratio(scores.on_question, prompted.on_question),
        )
        tried.append(quality)
        if has_gone_too_far(tried, margin):
            break
    return largest_kept(tried, margin), tried


def _scores(
    subject: Subject,
    setting: Setting,
    variant: Variant,
    pairs: Sequence[tuple[Question, Preference]],
    watch: Observer,
) -> _Scores:
    names = {preference.name for _, preference in pairs}
    name = names.pop() if len(names) == 1 else "in general"
    watch.begin(f"{name}, {variant.name}", 2 * len(pairs))
    replies: list[WrittenReply] = []
    judged: list[Likelihoods] = []

    def written(result: WrittenReply | Skipped) -> None:
        watch.done(1)
        if isinstance(result, Skipped):
            watch.skipped(result)
        else:
            replies.append(result)

    def heard(result: Judgement | Skipped) -> None:
        watch.done(1)
        if isinstance(result, Likelihoods):
            judged.append(result)

    assignments = [Assignment(question, preference, variant) for question, preference in pairs]
    followed = {question.index: preference for question, preference in pairs}
    Writer(subject, setting).write(assignments, written)
    Judge(subject, setting).likelihoods([(it, followed[it.question]) for it in replies], heard)
    if not judged:
        raise NotUsableError(
            f"a context of {subject.length:,} tokens has no room for a question and its reply; "
            "choose another model, or a larger context in config.toml."
        )
    return _Scores(
        statistics.fmean(log(perplexity(each)) for each in judged),
        statistics.fmean(distinct_3(reply.text) for reply in replies),
        statistics.fmean(map(on_question, judged)),
    )


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else 1.0
