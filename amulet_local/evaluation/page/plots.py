"""The pictures of the report: static SVG, in the colours of the page around them.

A Report goes in, SVG text comes out, one element to be put into the page as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from amulet_local.evaluation.page.drawing import (
    BACK,
    FIELD,
    INK,
    LINE,
    OURS,
    PAPER_POINT,
    SERIES,
    SOFT,
    THEIRS,
    drawn,
    in_order,
    short,
)
from amulet_local.evaluation.results import MethodReport, Report
from amulet_local.evaluation.statistics import Comparison
from amulet_local.evaluation.variants import PAPER

_ROW = 0.34  # inches a variant takes
_ALLOWED_SURPRISE = 1.5

Pick = Callable[[MethodReport], Comparison | None]


def win_rates(report: Report, name: str, pick: Pick) -> str | None:
    """How often each method beats prompting: a bar from the middle, with its 95% interval.

    pick: which of a method's comparisons; None where no method has it.
    """
    picked = [(each, pick(each)) for each in report.methods if each.variant != "pref"]
    compared = [(each, found) for each, found in picked if found]
    preferences = in_order(each.preference for each, _ in compared)
    there = {each.variant for each, _ in compared}
    variants = [variant for variant in report.variants if variant in there]
    if not compared:
        return None
    with _panels(name, preferences, variants, 0.72) as (panels, result):
        for axes, preference in panels:
            axes.axvline(0.5, color=SOFT, linewidth=1)
            for each, found in compared:
                if each.preference != preference:
                    continue
                row, rate = variants.index(each.variant), found.rate
                colour = THEIRS if rate.value < 0.5 else _colour(each)
                axes.barh(row, rate.value - 0.5, left=0.5, height=0.62, color=colour)
                axes.plot([rate.low, rate.high], [row, row], color=INK, linewidth=1.1)
                axes.text(
                    1.06,
                    row,
                    f"{rate.value:.0%}",
                    va="center",
                    fontsize=9.5,
                    fontweight="bold" if each.variant == "amulet" else "normal",
                    clip_on=False,
                )
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    return result[0]


def lengths(report: Report, name: str) -> str:
    """Words of the replies: the range as a line, the middle half as a bar, the median as a dot."""
    preferences = in_order(each.preference for each in report.methods)
    variants = report.variants
    longest = max([1, *(each.words.high for each in report.methods)])
    with _panels(name, preferences, variants, 0.84) as (panels, result):
        for axes, preference in panels:
            axes.xaxis.grid(True)
            for each in report.methods:
                if each.preference != preference:
                    continue
                row, spread, colour = variants.index(each.variant), each.words, _colour(each)
                axes.plot([spread.low, spread.high], [row, row], color=colour, linewidth=1.2)
                middle = spread.three_quarters - spread.quarter
                axes.barh(row, middle, left=spread.quarter, height=0.46, color=colour)
                axes.plot(spread.median, row, "o", color=BACK, markersize=4.5)
            axes.set_xlim(0, longest * 1.04)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return result[0]


def front(report: Report, name: str) -> str | None:
    """Gain against what it costs: a curve for each preference as the strength rises, the paper's
    point a diamond. None where nothing was judged."""
    points = [
        each
        for each in report.methods
        if each.gain and _cost(each) and each.method in ("pref", "amulet")
    ]
    preferences = in_order(each.preference for each in points)
    if len(points) <= len(preferences):
        return None
    with drawn(name, 4.6) as (figure, result):
        axes = figure.add_axes((0.065, 0.12, 0.81, 0.84))
        costs = [_cost(each) for each in points if each.variant != PAPER.name]
        low, high = min(*costs, 0.9) / 1.06, max(*costs, 2.0) * 1.3
        gains = [_gain(each) for each in points if each.variant != PAPER.name]
        bottom, top = min(*gains, 0.0) - 0.02, max(*gains, 0.1) * 1.35
        axes.set_ylim(bottom, top)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.axvspan(low, _ALLOWED_SURPRISE, color=FIELD, linewidth=0)
        axes.axhline(0, color=LINE, linewidth=1)
        axes.text(
            _ALLOWED_SURPRISE,
            1.0,
            "allowed ",
            transform=axes.get_xaxis_transform(),
            ha="right",
            va="top",
            color=SOFT,
            fontsize=9,
        )
        ends, beyond = [], itertools.count(1)
        for preference, colour in zip(preferences, itertools.cycle(SERIES)):
            own = [each for each in points if each.preference == preference]
            papers = [each for each in own if each.variant == PAPER.name]
            usual = _usual_guard(own)
            for guard in sorted({each.guard for each in own if _is_moved(each)} | {usual}):
                curve = [each for each in own if each.variant == "pref" or _is_on(each, guard)]
                end = _draw_curve(axes, curve, colour, usual=guard == usual)
                if guard == usual:
                    ends.append((end, short(preference), colour))
            for each in papers:
                is_inside = _cost(each) < high / 1.03 and _gain(each) < top
                height = _gain(each) if is_inside else top - (top - bottom) * 0.07 * next(beyond)
                _draw_paper(axes, each, colour, (min(_cost(each), high / 1.03), height))
        _name_curves(axes, ends)
        ticks = [x for x in (0.7, 0.8, 1, 1.2, 1.5, 2, 3, 5, 8, 12, 20, 40, 80) if low <= x <= high]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
        axes.yaxis.grid(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", labelcolor=SOFT)
        axes.set_xlabel("surprise: base perplexity, relative to prompting")
        axes.set_ylabel("preference gain, nats per token")
    return result[0]


def _draw_curve(axes: Axes, curve: Sequence[MethodReport], colour: str, *, usual: bool) -> float:
    """One guard's, from prompting on, with its strengths; returns the gain where it ends."""
    ordered = sorted(curve, key=lambda each: each.strength)
    xs, ys = [_cost(each) for each in ordered], [_gain(each) for each in ordered]
    axes.plot(xs, ys, "-" if usual else ":", color=colour, linewidth=1.8 if usual else 1.2)
    for each, x, y in zip(ordered, xs, ys, strict=True):
        size = 9 if each.variant == "amulet" else 5
        axes.plot(x, y, "o", color=colour, markersize=size, markeredgecolor=BACK)
        if usual and each.variant != "pref":
            axes.annotate(
                f"{each.strength:.3g}",
                (x, y),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=SOFT,
            )
    return ys[-1]


def _draw_paper(axes: Axes, each: MethodReport, colour: str, place: tuple[float, float]) -> None:
    """A diamond; at the edge, with its numbers, where it lies beyond the plot."""
    axes.plot(
        *place,
        "D",
        markersize=7,
        markerfacecolor=BACK,
        markeredgecolor=colour,
        markeredgewidth=1.6,
    )
    if place != (_cost(each), _gain(each)):
        axes.annotate(
            f"{_gain(each):+.2f} at {_cost(each):.3g}× →",
            place,
            (-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            color=SOFT,
        )


def _name_curves(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right edge, in the order of the curves' ends, kept apart from each other."""
    ordered = sorted(ends)
    low, high = axes.get_ylim()
    least, place = (high - low) * 0.065, -float("inf")
    for y, text, colour in ordered:
        place = max(y, place + least)
        axes.annotate(
            text,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            color=colour,
            fontweight="bold",
            va="center",
            annotation_clip=False,
        )


def _cost(each: MethodReport) -> float:
    if each.variant == "pref":
        return 1.0
    against = each.against_pref
    return against.perplexity.value if against and against.perplexity else 0.0


def _gain(each: MethodReport) -> float:
    return each.gain.value if each.gain else 0.0


def _is_moved(each: MethodReport) -> bool:
    """Whether it has a place on a curve beyond prompting."""
    return each.method == "amulet" and each.variant != PAPER.name


def _is_on(each: MethodReport, guard: float) -> bool:
    return _is_moved(each) and each.guard == guard


def _usual_guard(points: Sequence[MethodReport]) -> float:
    """Of `amulet` as it is by default, else the one that most points have."""
    guards = [each.guard for each in points if _is_moved(each)]
    own = [each.guard for each in points if each.variant == "amulet"]
    return max(own or guards or [0.0], key=guards.count)


def _colour(each: MethodReport) -> str:
    if each.variant == PAPER.name:
        return PAPER_POINT
    return OURS if each.method == "amulet" else SOFT


@contextmanager
def _panels(
    name: str, preferences: Sequence[str], variants: Sequence[str], share: float
) -> Iterator[tuple[list[tuple[Axes, str]], list[str]]]:
    """A panel for each preference with a row for each variant, up to four beside each other; what
    is drawn in them comes out in the list at the end. share: of its width that a panel draws in."""
    across = min(4, len(preferences))
    down = -(-len(preferences) // across)
    tall = _ROW * len(variants) + 0.85
    names = 0.03 + 0.0078 * max(map(len, variants))
    wide = (1 - names) / across
    with drawn(name, tall * down) as (figure, result):
        panels = []
        for place, preference in enumerate(preferences):
            row, column = divmod(place, across)
            bottom = (down - 1 - row + 0.42 / tall) / down
            height = (tall - 0.85) / tall / down
            axes = figure.add_axes((names + column * wide, bottom, wide * share, height))
            axes.set_title(short(preference), loc="left", fontsize=11, fontweight="bold")
            axes.set_ylim(len(variants) - 0.4, -0.6)
            axes.set_yticks(range(len(variants)), [] if column else list(variants))
            axes.spines["left"].set_visible(False)
            axes.spines["bottom"].set_visible(False)
            panels.append((axes, preference))
        yield panels, result
