"""The numbers that an evaluation comes to, as report.json has them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from amulet_local.evaluation.records import (
    Setting,
    Skipped,
)
from amulet_local.evaluation.statistics import (
    Comparison,
    Interval,
)
from amulet_local.evaluation.variants import Method

_MOST_DIGITS = 6


class Spread(msgspec.Struct, frozen=True):
    """How a number lies over questions."""

    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """From all of them, at least one."""
        if len(values) == 1:
            return cls(*[values[0]] * 5)
        quarter, median, three_quarters = statistics.quantiles(values, n=4, method="inclusive")
        return cls(min(values), quarter, median, three_quarters, max(values))


class AgainstPref(msgspec.Struct, frozen=True, kw_only=True):
    """A method beside prompting, over the questions that both answered.

    gain: whose preference gain is higher. face: whose face measure is. verdict: the judge's
    choice, asked in both orders; ties are those where the order decided. The rest are ratios to
    prompting: of median words, of the means of distinct-3 and the on-question score, of the
    geometric means of perplexity; those that take a model are measured by the one that wrote.
    """

    questions: int
    gain: Comparison | None = None
    face: Comparison | None = None
    verdict: Comparison | None = None
    words: Interval
    distinct_3: Interval
    on_question: Interval | None = None
    perplexity: Interval | None = None


class MethodReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one method did by one preference. gain is the judge's, perplexity (geometric mean) and
    on_question are those of the model itself; None until they have judged. ended: the share of
    replies that ended by themselves."""

    preference: str
    variant: str
    method: Method
    strength: float
    guard: float
    replies: int
    words: Spread
    gain: Interval | None
    face: Interval | None
    perplexity: float | None
    on_question: float | None
    distinct_3: float
    longest_loop: float
    ended: float
    against_pref: AgainstPref | None


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """What changed beside prompting, over the questions that both answered. points: of a hundred,
    gained less lost. p: McNemar's exact one."""

    questions: int
    points: float
    gained: int
    lost: int
    p: float


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """The share of replies that a program finds right. kind: of instruction; "" for all kinds."""

    preference: str
    kind: str
    variant: str
    strength: float
    guard: float
    replies: int
    strict: float
    loose: float
    against_pref: Paired | None


class Bar(msgspec.Struct, frozen=True):
    """A promise, and whether it is kept. bound: the least, or where `most` the most allowed."""

    what: str
    preference: str
    value: float
    bound: float
    most: bool
    met: bool

    @classmethod
    def of(
        cls, what: str, preference: str, value: float, bound: float, *, most: bool = False
    ) -> Bar:
        """Compared with its bound."""
        met = value <= bound if most else value >= bound
        return cls(what, preference, value, bound, most, met)

    @property
    def shown(self) -> str:
        """The value, with digits enough to tell one that is missed from the bound."""
        digits = 2
        while not self.met and digits < _MOST_DIGITS and round(self.value, digits) == self.bound:
            digits += 1
        return f"{self.value:.{digits}f}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. judge: its name; judges_itself: whether it wrote the replies as well. faces: what
    is counted of a preference, by its name. variants: as in the paper's tables, ours before those
    of it; methods: in that order, preference by preference; accuracies: where programs check the
    replies, by preference and kind."""

    model: str
    judge: str
    judges_itself: bool
    setting: Setting
    questions: int
    preferences: dict[str, str]
    faces: dict[str, str]
    variants: list[str]
    methods: list[MethodReport]
    accuracies: list[Accuracy]
    bars: list[Bar]
    skipped: list[Skipped]


def order_decided(report: Report) -> tuple[int, int]:
    """In how many comparisons the order decided rather than the reply, and of how many."""
    found = [each.against_pref.verdict for each in report.methods if each.against_pref]
    verdicts = [each for each in found if each]
    ties = sum(each.ties for each in verdicts)
    return ties, ties + sum(each.wins + each.losses for each in verdicts)
