"""What an evaluation comes to: report.json and report.html in its folder, and tables here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from amulet_local.cli.output import console, print_json, say, write
from amulet_local.evaluation.records import Folder, Skipped
from amulet_local.files import write_whole

if TYPE_CHECKING:
    from rich.table import Table

    from amulet_local.evaluation.results import Accuracy, Report
    from amulet_local.evaluation.statistics import Comparison


def show_report(
    folder: Folder,
    judge: str,
    *,
    asked: Sequence[str] | None = None,
    skips: Sequence[Skipped] = (),
    stopped: bool = False,
    as_json: bool = False,
) -> None:
    """Write report.json and report.html, and say what they come to. asked: the questions to report
    on; None for all. stopped: by the user, who is told how to continue. as_json: print it all."""
    from amulet_local.evaluation.page import make_page
    from amulet_local.evaluation.report import make_report

    report = make_report(folder, judge, skips, asked)
    data = msgspec.json.format(msgspec.json.encode(report))
    write_whole(folder.path / "report.json", data)
    page = folder.path / "report.html"
    replies = [each for each in folder.replies().values() if asked is None or each.asked in asked]
    write_whole(page, make_page(report, replies).encode())
    for reason, count in Counter(skip.reason for skip in skips).items():
        say(f"skipped {count} of the replies: {reason}.")
    if stopped:
        say("stopped; run the same command to continue.")
    if as_json:
        print_json(report)
    else:
        _print(report)
        write(f"\n{page}\n")


def _rate(found: Comparison | None) -> str:
    return f"{found.rate.value:.0%}" if found else ""


def _print(report: Report) -> None:
    """Every method by every preference: what programs say of it, what models do, and the bars."""
    from amulet_local.evaluation.results import order_decided

    if report.accuracies:
        console().print(_accuracies(report))
        write("\n")
    if report.methods:
        console().print(_methods(report))
    who = "the model itself" if report.judges_itself else report.judge
    write(f"\n{f'Judged by {who}; ' if report.judge else ''}{report.questions} questions.\n")
    ties, comparisons = order_decided(report)
    if comparisons:
        write(
            f"In {ties} of {comparisons} comparisons its choice depended on the order of the "
            "replies.\n"
        )
    for bar in report.bars:
        sign = "at most" if bar.most else "at least"
        met = "kept" if bar.met else "missed"
        write(f"{met:7} {bar.preference}: {bar.what} {bar.shown}, {sign} {bar.bound:g}\n")


def _accuracies(report: Report) -> Table:
    """How many replies a program finds right, by preference and then by kind."""
    table = _table("checked by a program", "method")
    for heading in ("replies", "strict", "loose", "gained", "lost", "p"):
        table.add_column(heading, justify="right")
    for each in report.accuracies:
        table.add_row(f"  {each.kind}" if each.kind else each.preference, *_accuracy(each))
    return table


def _accuracy(each: Accuracy) -> list[str]:
    paired = each.against_pref
    beside = [str(paired.gained), str(paired.lost), f"{paired.p:.2g}"] if paired else ["", "", ""]
    return [each.variant, str(each.replies), f"{each.strict:.0%}", f"{each.loose:.0%}", *beside]


def _methods(report: Report) -> Table:
    table = _table("preference", "method")
    for heading in ("gain", "wins", "chosen", "words", "perplexity", "distinct-3", "on question"):
        table.add_column(heading, justify="right")
    for each in report.methods:
        against = each.against_pref
        table.add_row(
            each.preference,
            each.variant,
            "" if each.gain is None else f"{each.gain.value:+.3f}",
            _rate(against.gain if against else None),
            _rate(against.verdict if against else None),
            f"{each.words.median:.0f}",
            "" if each.perplexity is None else f"{each.perplexity:.2f}",
            f"{each.distinct_3:.3f}",
            "" if each.on_question is None else f"{each.on_question:.2f}",
        )
    return table


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table
