"""One evaluation from beginning to end: what is missing is written, then judged.

Work is counted in rows, the tokens that a model has to evaluate, so that progress tells the time:
an observer hears how much there is, and of every bit that is done. Stopped at any moment, what is
done stays done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from amulet_local.evaluation.judging import OTHERS, Judge
from amulet_local.evaluation.plan import Assignment, Plan, Preference
from amulet_local.evaluation.records import (
    Folder,
    Judgement,
    Key,
    Skipped,
    Verdict,
    WrittenReply,
    digest,
)
from amulet_local.evaluation.subject import Subject
from amulet_local.evaluation.writing import Writer
from amulet_local.protocol.loading import LoadOptions

_USUAL_SHARE = 0.7  # of the longest reply that replies take, as a rule


class Observer(Protocol):
    """Who shows how far it is."""

    def begin(self, what: str, rows: float) -> None:
        """A stage of so many rows begins."""

    def done(self, rows: float) -> None:
        """So many rows are done."""

    def skipped(self, skipped: Skipped) -> None:
        """Something could not be done."""


def evaluate(
    plan: Plan,
    folder: Folder,
    judge: str | None,
    options: LoadOptions,
    watch: Observer,
    *,
    verdicts: bool = True,
) -> None:
    """Write and judge what `folder` lacks of `plan`.

    judge: a model's path. The plan's own model always says how likely it finds the replies, since
    their quality is measured by its base. None: nothing is judged, only written. verdicts: whether
    the judge also chooses between replies, which takes it about as long as all the rest. Raises
    what loading raises, DecodeError and OSError.
    """
    folder.settle(plan.setting)
    path = plan.setting.model
    with Subject(path, options) as subject:
        _write(plan, folder, subject, watch)
        if judge is None:
            return
        itself = Judge(subject, plan.setting)
        others = 0 if plan.is_verified else OTHERS
        _judge(plan, folder, itself, watch, others, with_verdicts=verdicts and judge == path)
    if judge != path:
        with Subject(judge, options) as subject:
            another = Judge(subject, plan.setting)
            _judge(plan, folder, another, watch, 0, with_verdicts=verdicts)


def _write(plan: Plan, folder: Folder, subject: Subject, watch: Observer) -> None:
    kept = folder.replies()
    missing = [each for each in plan.assignments() if not each.is_met_by(kept.get(each.key))]
    tokens = plan.setting.max_tokens
    rows = {each.key: _rows(each) * tokens * _USUAL_SHARE for each in missing}
    watch.begin("writing", sum(rows.values()))

    def written(result: WrittenReply | Skipped) -> None:
        if isinstance(result, Skipped):
            watch.skipped(result)
        else:
            folder.add_reply(result)
        watch.done(rows[result.question, result.preference, result.variant])

    Writer(subject, plan.setting).write(missing, written)


def _judge(
    plan: Plan,
    folder: Folder,
    judge: Judge,
    watch: Observer,
    others: int,
    *,
    with_verdicts: bool,
) -> None:
    replies = folder.replies()
    made = {_identity(judgement) for judgement in folder.judgements()}
    likelihoods: list[tuple[WrittenReply, Preference]] = []
    verdicts: list[tuple[WrittenReply, WrittenReply, Preference]] = []
    pref = next(variant for variant in plan.variants if variant.method == "pref")
    for question, preference in plan.pairs:
        theirs = replies.get((question.index, preference.name, pref.name))
        for variant in plan.variants:
            name = "" if variant.method == "base" else preference.name
            ours = replies.get((question.index, name, variant.name))
            if ours is None:
                continue
            key = (judge.name, question.index, preference.name, variant.name)
            if (*key, "likelihoods", digest(preference.words, ours.text)) not in made:
                likelihoods.append((ours, preference))
            if theirs is None or variant == pref:
                continue
            both = digest(preference.words, ours.text, theirs.text)
            if (*key, "verdict", both) not in made:
                verdicts.append((ours, theirs, preference))
    _judge_likelihoods(judge, likelihoods, folder, watch, others)
    if with_verdicts:
        _judge_pairs(judge, verdicts, folder, watch)


def _judge_likelihoods(
    judge: Judge,
    replies: Sequence[tuple[WrittenReply, Preference]],
    folder: Folder,
    watch: Observer,
    others: int,
) -> None:
    rows = {
        (reply.question, preference.name, reply.variant): (2 + others)
        * (len(reply.token_ids) + 1.0)
        for reply, preference in replies
    }
    watch.begin("judging", sum(rows.values()))
    judge.likelihoods(replies, lambda result: _keep(result, rows, folder, watch), others=others)


def _judge_pairs(
    judge: Judge,
    pairs: Sequence[tuple[WrittenReply, WrittenReply, Preference]],
    folder: Folder,
    watch: Observer,
) -> None:
    rows = {
        (ours.question, preference.name, ours.variant): 2.0
        * (len(ours.token_ids) + len(theirs.token_ids) + 100)
        for ours, theirs, preference in pairs
    }
    watch.begin("comparing", sum(rows.values()))
    judge.verdicts(pairs, lambda result: _keep(result, rows, folder, watch))


def _keep(
    result: Judgement | Skipped, rows: dict[Key, float], folder: Folder, watch: Observer
) -> None:
    if isinstance(result, Skipped):
        watch.skipped(result)
    else:
        folder.add_judgement(result)
    watch.done(rows[result.question, result.preference, result.variant])


def _identity(judgement: Judgement) -> tuple[str, int, str, str, str, str]:
    kind = "verdict" if isinstance(judgement, Verdict) else "likelihoods"
    it = judgement
    return it.judge, it.question, it.preference, it.variant, kind, it.digest


def _rows(assignment: Assignment) -> float:
    """Rows a token."""
    one_stream = {"base": 1, "pref": 1, "beam": assignment.variant.beams}
    return one_stream.get(assignment.variant.method, 2)
