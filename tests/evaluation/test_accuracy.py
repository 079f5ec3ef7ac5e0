"""What programs find right is counted by preference and kind, and beside prompting."""

from __future__ import annotations

import pytest

from amulet_local.evaluation.accuracy import EVERY_KIND, accuracies
from amulet_local.evaluation.records import WrittenReply
from amulet_local.evaluation.results import Paired
from amulet_local.evaluation.statistics import mcnemar
from amulet_local.verifiers import Verifier, verifier

COMMAS = verifier("punctuation:no_comma", {})
LOWER = verifier("change_case:english_capital", {})


def reply(question: int, variant: str, text: str, *verifiers: Verifier) -> WrittenReply:
    method, _, setting = variant.partition("@s=")
    return WrittenReply(
        question=question,
        asked=f"Question {question}?",
        preference="format",
        words="as instructed",
        variant=variant,
        method="pref" if method == "pref" else "amulet",
        strength=float(setting or 1),
        guard=0.1,
        instead=True,
        verifiers=verifiers or (COMMAS,),
        text=text,
        token_ids=(),
        pieces=(text,),
        ended=True,
    )


def test_gained_and_lost_are_counted_on_the_same_questions() -> None:
    prompted = ["a, b", "a, b", "a b", "a b"]
    realigned = ["a b", "a b", "a, b", "a b"]
    replies = [
        *(reply(n, "pref", text) for n, text in enumerate(prompted)),
        *(reply(n, "amulet@s=3", text) for n, text in enumerate(realigned)),
        reply(9, "amulet@s=3", "a b"),  # which prompting did not answer
    ]
    found = {
        each.variant: each
        for each in accuracies(replies, ["pref", "amulet@s=3"])
        if each.kind == EVERY_KIND
    }
    assert found["pref"].strict == 0.5
    assert found["pref"].against_pref is None
    assert found["amulet@s=3"].replies == 5
    assert found["amulet@s=3"].strict == 0.8
    paired = Paired(questions=4, points=25.0, gained=2, lost=1, p=1.0)
    assert found["amulet@s=3"].against_pref == paired


def test_loose_forgives_the_first_line() -> None:
    (every, kind) = accuracies([reply(0, "pref", "Sure, here it is:\nno comma")], ["pref"])
    assert (every.strict, every.loose) == (0.0, 1.0)
    assert (kind.kind, kind.loose) == ("punctuation:no_comma", 1.0)


def test_each_kind_has_a_row_and_replies_without_verifiers_have_none() -> None:
    both = reply(0, "pref", "NO COMMAS AND IN CAPITALS", COMMAS, LOWER)
    rows = accuracies([both, reply(1, "pref", "some, more", COMMAS)], ["pref"])
    assert [(row.kind, row.replies, row.strict) for row in rows] == [
        (EVERY_KIND, 2, 0.5),
        ("change_case:english_capital", 1, 1.0),
        ("punctuation:no_comma", 2, 0.5),
    ]


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (27, 7, 0.000825), (4, 4, 1.0), (8, 1, 20 / 512)],
)
def test_the_chance_of_a_difference_is_exact(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p, rel=0.01)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)
