"""How many replies a program finds right, by preference and kind of instruction, beside prompting.

Replies with their verifiers go in, Accuracies come out. strict: the reply as it is; loose: without
its first or last line or its asterisks, if that helps (IFEval, arXiv 2311.07911). gained and lost
are counted by the strict measure on questions that both answered, and p is McNemar's exact one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from amulet_local.evaluation.records import WrittenReply
from amulet_local.evaluation.results import Accuracy, Paired
from amulet_local.evaluation.statistics import mcnemar
from amulet_local.verifiers import loose, strict

ABILITY = "answer:"  # how the kinds of questions with one right answer begin
EVERY_KIND = ""

_Run = dict[int, tuple[bool, bool]]  # by question: strict, loose


def accuracies(replies: Iterable[WrittenReply], variants: Sequence[str]) -> list[Accuracy]:
    """Of each preference and variant, over all kinds and then of each kind; in the order of
    `variants`. Replies that nothing has to hold of are left out."""
    runs: dict[tuple[str, str, str], _Run] = defaultdict(dict)
    samples: dict[tuple[str, str], WrittenReply] = {}
    for reply in replies:
        if not reply.verifiers or not reply.preference:
            continue
        samples.setdefault((reply.preference, reply.variant), reply)
        found = strict(reply.verifiers, reply.text), loose(reply.verifiers, reply.text)
        for kind in {EVERY_KIND, *(each.kind for each in reply.verifiers)}:
            runs[reply.preference, kind, reply.variant][reply.question] = found
    return [
        _accuracy(samples[preference, variant], kind, runs)
        for preference, kind in sorted({(preference, kind) for preference, kind, _ in runs})
        for variant in variants
        if (preference, kind, variant) in runs
    ]


def _accuracy(
    sample: WrittenReply, kind: str, runs: Mapping[tuple[str, str, str], _Run]
) -> Accuracy:
    run = runs[sample.preference, kind, sample.variant]
    prompted = runs.get((sample.preference, kind, "pref"), {})
    return Accuracy(
        preference=sample.preference,
        kind=kind,
        variant=sample.variant,
        strength=sample.strength,
        guard=sample.guard,
        replies=len(run),
        strict=sum(strictly for strictly, _ in run.values()) / len(run),
        loose=sum(loosely for _, loosely in run.values()) / len(run),
        against_pref=_paired(run, prompted) if sample.variant != "pref" else None,
    )


def _paired(run: _Run, prompted: _Run) -> Paired | None:
    both = [number for number in run if number in prompted]
    if not both:
        return None
    ours = [run[number][0] for number in both]
    theirs = [prompted[number][0] for number in both]
    gained = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    lost = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    return Paired(
        questions=len(both),
        points=100 * (gained - lost) / len(both),
        gained=gained,
        lost=lost,
        p=mcnemar(gained, lost),
    )
