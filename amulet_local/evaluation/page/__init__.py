"""report.html: one page that needs no network, in which a person looks rather than reads.

A Report and its replies go in, the page's text comes out. Replies are whatever a model said: they
travel as JSON and are put in place as text, and the page's own policy forbids it to load or run
anything else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2
import msgspec

from amulet_local.evaluation.accuracy import EVERY_KIND
from amulet_local.evaluation.page import plots
from amulet_local.evaluation.page.curves import accuracy_curves
from amulet_local.evaluation.records import WrittenReply
from amulet_local.evaluation.results import Bar, MethodReport, Report, order_decided
from amulet_local.evaluation.statistics import Comparison


def make_page(report: Report, replies: Iterable[WrittenReply]) -> str:
    """The whole page."""
    script = _part("page.js")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_part("page.html")).render(
        report=report,
        style=_part("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        headline=_headline(report),
        promises=_promises(report),
        wins=[
            (title, picture)
            for title, picture in (
                ("by preference gain", plots.win_rates(report, "gain", _gain)),
                ("by a direct count", plots.win_rates(report, "face", _face)),
                ("by the judge's choice", plots.win_rates(report, "verdict", _verdict)),
            )
            if picture
        ],
        order_decided=order_decided(report),
        accuracy=accuracy_curves(report, "accuracy"),
        front=plots.front(report, "front"),
        lengths=plots.lengths(report, "lengths") if report.methods else None,
        data=_data(report, replies),
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _gain(each: MethodReport) -> Comparison | None:
    return each.against_pref.gain if each.against_pref else None


def _face(each: MethodReport) -> Comparison | None:
    return each.against_pref.face if each.against_pref else None


def _verdict(each: MethodReport) -> Comparison | None:
    return each.against_pref.verdict if each.against_pref else None


def _headline(report: Report) -> str:
    """What it comes to, in one sentence."""
    checked = [each for each in report.accuracies if each.kind == EVERY_KIND and each.against_pref]
    default = [each for each in checked if each.variant == "amulet"] or checked[:1]
    if default:
        each = default[0]
        before = next(
            it
            for it in report.accuracies
            if (it.preference, it.kind, it.variant) == (each.preference, EVERY_KIND, "pref")
        )
        return (
            f"A program finds {each.strict:.0%} of the realigned replies right, and "
            f"{before.strict:.0%} of the prompted ones ({each.preference}, strength "
            f"{each.strength:g})"
        )
    found = [_gain(each) for each in report.methods if each.variant == "amulet"]
    compared = [each for each in found if each]
    if not compared:
        return "Replies compared by method"
    wins = sum(each.wins for each in compared)
    count = sum(each.wins + each.ties + each.losses for each in compared)
    return (
        f"Realigned replies beat prompted ones at following the preference {wins} times in {count}"
    )


def _promises(report: Report) -> dict[str, dict[str, Bar]]:
    """By what is promised, by preference."""
    rows: dict[str, dict[str, Bar]] = {}
    for bar in report.bars:
        rows.setdefault(bar.what, {})[bar.preference] = bar
    return rows


def _data(report: Report, replies: Iterable[WrittenReply]) -> str:
    """What the browser of replies shows, as JSON that can stand inside a page."""
    questions: dict[int, str] = {}
    found: dict[str, dict[str, dict[int, Any]]] = {}
    for reply in replies:
        questions[reply.question] = reply.asked
        by_question = found.setdefault(reply.preference, {}).setdefault(reply.variant, {})
        by_question[reply.question] = {
            "pieces": reply.pieces,
            "shifts": reply.shifts,
            "strength": reply.strength,
            "guard": reply.guard,
            "ended": reply.ended,
        }
    document = {
        "questions": sorted(questions.items()),
        "preferences": report.preferences,
        "variants": report.variants,
        "replies": found,
    }
    text = msgspec.json.encode(document).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
