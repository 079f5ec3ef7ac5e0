"""What programs say of replies as the strength rises, and what it costs: a column a preference.

A Report goes in, SVG text comes out. Above: the share of replies that were found right, strictly
as a line and loosely as a dotted one; the level of prompting is drawn through. Below: what the same
replies are beside those of prompting, in times.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from amulet_local.evaluation.accuracy import EVERY_KIND
from amulet_local.evaluation.page.drawing import (
    BACK,
    LINE,
    OURS,
    SERIES,
    SOFT,
    drawn,
    in_order,
    short,
)
from amulet_local.evaluation.results import Accuracy, AgainstPref, MethodReport, Report
from amulet_local.strengths import PROMPT

_TALL = 4.4
_MOST_TIMES = 2.5
_COSTS = ("perplexity", "distinct-3", "words")


def accuracy_curves(report: Report, name: str) -> str | None:
    """None where no program checked anything, or nothing was realigned."""
    curves = {
        preference: sorted(
            (each for each in report.accuracies if _is_on(each, preference)),
            key=lambda each: (each.strength, each.variant != "amulet"),
        )
        for preference in in_order(each.preference for each in report.accuracies)
    }
    curves = {preference: curve for preference, curve in curves.items() if len(curve) > 1}
    if not curves:
        return None
    with drawn(name, _TALL) as (figure, result):
        wide = 0.95 / len(curves)
        for place, (preference, curve) in enumerate(curves.items()):
            left, width = 0.05 + place * wide, wide * 0.8
            above = figure.add_axes((left, 0.46, width, 0.46))
            above.set_title(short(preference), loc="left", fontsize=11, fontweight="bold")
            _draw_accuracy(above, curve)
            below = figure.add_axes((left, 0.12, width, 0.24))
            _draw_cost(below, curve, [m for m in report.methods if m.preference == preference])
            below.set_xlabel("strength")
            for axes in (above, below):
                axes.xaxis.set_major_locator(FixedLocator([each.strength for each in curve]))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
                axes.yaxis.grid(True)
                axes.spines["left"].set_visible(False)
                axes.tick_params(axis="y", labelcolor=SOFT)
    return result[0]


def _is_on(each: Accuracy, preference: str) -> bool:
    """Whether it stands on a preference's curve, which begins at prompting."""
    of_all = each.preference == preference and each.kind == EVERY_KIND
    return of_all and each.variant.partition("@")[0] in ("pref", "amulet")


def _draw_accuracy(axes: Axes, curve: Sequence[Accuracy]) -> None:
    xs = [each.strength for each in curve]
    prompted = next((each.strict for each in curve if each.strength == PROMPT), None)
    if prompted is not None:
        axes.axhline(prompted, color=SOFT, linewidth=1)
    axes.plot(xs, [each.loose for each in curve], ":", color=OURS, linewidth=1.4)
    axes.plot(xs, [each.strict for each in curve], "-", color=OURS, linewidth=2)
    for each in curve:
        size = 9 if each.variant == "amulet" else 5
        axes.plot(each.strength, each.strict, "o", color=OURS, ms=size, markeredgecolor=BACK)
        axes.annotate(
            f"{each.strict:.0%}",
            (each.strength, each.strict),
            (0, -13),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))


def _draw_cost(axes: Axes, curve: Sequence[Accuracy], methods: Sequence[MethodReport]) -> None:
    against = {each.variant: each.against_pref for each in methods}
    highest = 1.5
    for what, colour in zip(_COSTS, SERIES, strict=False):
        points = [
            (each.strength, 1.0 if each.strength == PROMPT else _times(against[each.variant], what))
            for each in curve
            if each.variant in against
        ]
        there = [(x, y) for x, y in points if y is not None]
        if len(there) > 1:
            xs, ys = [x for x, _ in there], [min(y, _MOST_TIMES) for _, y in there]
            axes.plot(xs, ys, "-o", color=colour, linewidth=1.4, markersize=3)
            axes.annotate(
                what,
                (xs[-1], ys[-1]),
                (5, 0),
                textcoords="offset points",
                color=colour,
                fontsize=8,
                va="center",
                annotation_clip=False,
            )
            highest = max(highest, *ys)
    axes.axhline(1, color=LINE, linewidth=1)
    axes.set_ylim(0, highest * 1.05)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}×"))


def _times(against: AgainstPref | None, what: str) -> float | None:
    """Beside prompting; None where it was not measured."""
    if against is None:
        return None
    found = {
        "perplexity": against.perplexity,
        "distinct-3": against.distinct_3,
        "words": against.words,
    }[what]
    return None if found is None else found.value
