"""The report says what the records hold, and the page holds it without harm."""

from __future__ import annotations

import html
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from amulet_local.evaluation.plan import GREEDY
from amulet_local.evaluation.records import (
    Folder,
    Likelihoods,
    Setting,
    Skipped,
    Verdict,
    WrittenReply,
    digest,
)
from amulet_local.evaluation.report import make_report
from amulet_local.evaluation.results import Bar, MethodReport, Report, order_decided

EVIL = "</script><script>alert(1)</script> & <b>bold</b> \u2028 end"
WORDS = {"concise": "Be concise.", "uplifting": "Be uplifting."}
METHODS = {"base": 0.0, "pref": 1.0, "beam": 1.0, "la": 3.0, "amulet": 4.0, "amulet@paper": 5.65}


def make_page(report: Report, replies: Iterable[WrittenReply]) -> str:
    """Imported when there is a page to make: what draws takes a second, and every worker of the
    suite reads this file."""
    from amulet_local.evaluation import page

    return page.make_page(report, replies)


def say(folder: Folder, question: int, preference: str, variant: str, text: str) -> WrittenReply:
    method = variant.split("@")[0]
    reply = WrittenReply(
        question=question,
        asked=f"Question {question} {EVIL}",
        preference=preference,
        words=WORDS.get(preference, ""),
        variant=variant,
        method=method,  # type: ignore[arg-type]
        strength=METHODS[variant],
        guard=0.1 if method == "amulet" else 0.0,
        text=text,
        token_ids=tuple(range(len(text))),
        pieces=tuple(text),
        shifts=tuple(0.5 for _ in text) if method == "amulet" else (),
        ended=True,
    )
    folder.add_reply(reply)
    return reply


def judge(folder: Folder, reply: WrittenReply, preference: str, gain: float) -> None:
    """By another model, which has the gain as given, and by the writer, which has none."""
    for name, with_preference, others in (("judge", 10 * gain, ()), ("small", 0.0, (-20.0, -30.0))):
        folder.add_judgement(
            Likelihoods(
                judge=name,
                question=reply.question,
                preference=preference,
                variant=reply.variant,
                digest=digest(WORDS[preference], reply.text),
                tokens=10,
                with_preference=-10 + with_preference,
                without=-10.0,
                others=others,
            )
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Five questions; amulet's concise replies have half the words and more gain in four."""
    folder = Folder(tmp_path)
    folder.settle(
        Setting(
            model="/models/small.gguf",
            system="You help.",
            placement="system",
            sampling=GREEDY,
            seed=0,
            max_tokens=128,
        )
    )
    for question in range(5):
        base = say(folder, question, "", "base", "plain words here " * 4)
        for preference in WORDS:
            judge(folder, base, preference, 0.0)
            prompted = say(folder, question, preference, "pref", f"{EVIL} some more words " * 2)
            judge(folder, prompted, preference, 0.1)
            for variant in ("beam", "la", "amulet", "amulet@paper"):
                reply = say(folder, question, preference, variant, "one two three four five six")
                judge(folder, reply, preference, -0.2 if question == 0 else 0.3)
                folder.add_judgement(
                    Verdict(
                        judge="judge",
                        question=question,
                        preference=preference,
                        variant=variant,
                        digest=digest(WORDS[preference], reply.text, prompted.text),
                        first=1.0,
                        second=1.0 if question else -1.0,
                    )
                )
    return folder


def method(report: Report, preference: str, variant: str) -> MethodReport:
    (found,) = (
        each for each in report.methods if (each.preference, each.variant) == (preference, variant)
    )
    return found


def test_methods_are_compared_question_by_question(folder: Folder) -> None:
    report = make_report(folder, "judge")
    against = method(report, "concise", "amulet").against_pref
    assert against is not None
    assert against.questions == 5
    assert against.gain is not None
    assert (against.gain.wins, against.gain.losses) == (4, 1)
    assert against.verdict is not None
    assert (against.verdict.wins, against.verdict.ties) == (4, 1)
    assert against.face is not None
    assert against.face.wins == 5
    assert against.words.value < 0.5
    assert against.perplexity is not None
    assert against.perplexity.value == pytest.approx(1)
    base = method(report, "uplifting", "base")
    assert base.against_pref is not None
    assert base.against_pref.gain is not None
    assert base.against_pref.gain.losses == 5


@pytest.mark.slow
def test_where_the_order_decided_is_counted_and_said_and_so_is_what_was_skipped(
    folder: Folder,
) -> None:
    report = make_report(folder, "judge", [Skipped(7, "concise", "la", "it was too long")])
    assert order_decided(report) == (8, 40)  # one question of five, for 4 methods and 2 preferences
    page = make_page(report, folder.replies().values())
    assert "In 8 of 40 comparisons the judge's choice depended on the order of the replies" in page
    assert "it was too long" in page
    unasked = make_report(folder, "small")
    assert order_decided(unasked) == (0, 0)
    assert "depended on the order of the replies" not in make_page(
        unasked, folder.replies().values()
    )


def test_methods_come_in_the_order_of_the_papers_tables(folder: Folder) -> None:
    report = make_report(folder, "judge")
    ours = [each.variant for each in report.methods if each.preference == "concise"]
    assert ours == ["base", "pref", "beam", "la", "amulet", "amulet@paper"]


def test_bars_are_held_against_the_default_alone(folder: Folder) -> None:
    report = make_report(folder, "judge")
    found = {(bar.preference, bar.what): bar for bar in report.bars}
    gain = found["concise", "questions with more preference gain"]
    assert (gain.value, gain.met) == (0.8, True)
    assert found["concise", "median words"].met
    assert ("uplifting", "median words") not in found
    assert len(found) == 9


@pytest.mark.parametrize(
    ("value", "shown"), [(0.97123, "0.97"), (0.9784, "0.978"), (0.97968, "0.9797"), (0.98, "0.98")]
)
def test_a_missed_bar_never_reads_as_kept(value: float, shown: str) -> None:
    assert Bar.of("distinct-3", "concise", value, 0.98).shown == shown


def test_a_judge_is_flagged_where_it_wrote_the_replies(folder: Folder) -> None:
    assert not make_report(folder, "judge").judges_itself
    assert make_report(folder, "small").judges_itself
    assert make_report(folder, "").judge == "judge"  # the last that judged


def test_the_judge_has_the_gain_and_the_writer_the_quality(folder: Folder) -> None:
    ours = method(make_report(folder, "judge"), "concise", "amulet")
    assert ours.gain is not None
    assert ours.gain.value == pytest.approx(0.2)
    assert ours.on_question == pytest.approx(1.5)
    itself = method(make_report(folder, "small"), "concise", "amulet")
    assert itself.gain is not None
    assert itself.gain.value == 0
    assert itself.on_question == pytest.approx(1.5)
    assert method(make_report(folder, "nobody"), "concise", "amulet").gain is None


def test_a_judgement_of_another_text_does_not_count(folder: Folder) -> None:
    say(folder, 0, "concise", "amulet", "written anew")
    against = method(make_report(folder, "judge"), "concise", "amulet").against_pref
    assert against is not None
    assert against.gain is not None
    assert against.gain.wins + against.gain.ties + against.gain.losses == 4


@pytest.mark.slow
def test_the_page_is_one_file_with_every_reply_that_loads_and_runs_nothing_else(
    folder: Folder,
) -> None:
    page = make_page(make_report(folder, "judge"), folder.replies().values())
    scripts = re.findall(r"<script[^>]*>", page)
    assert scripts == ['<script type="application/json" id="data">', "<script>"]
    assert "alert(1)" in page  # as data only
    assert "<b>bold" not in page
    assert "default-src 'none'" in page
    links = re.findall(r'(?:src|href)="([^"#][^"]*)"|url\((?!#)', page)
    assert links == []
    assert page.count("<svg") == 5
    assert "#010" not in page  # every stand-in colour has become the page's
    assert page == make_page(make_report(folder, "judge"), folder.replies().values())
    # Every reply is in it as it was.
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["questions"]) == 5
    assert data["variants"] == list(METHODS)
    assert "".join(data["replies"]["concise"]["pref"]["0"]["pieces"]).startswith(EVIL)


@pytest.mark.slow
@pytest.mark.parametrize("name", [r"Write $\frac{$", "short $x$", "回答简短 😀"])
def test_what_a_preference_says_is_no_formula_and_its_letters_are_nobodys_business(
    name: str, tmp_path: Path, folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    other = Folder(tmp_path / "other")
    other.settle(folder.setting())
    for reply in folder.replies().values():
        other.add_reply(msgspec.structs.replace(reply, preference=reply.preference and name))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        page = make_page(make_report(other, ""), other.replies().values())
    assert name in html.unescape(page)
    assert [str(each.message) for each in warned] == []
    assert capfd.readouterr().err == ""


def test_a_folder_with_nothing_written_makes_a_page(tmp_path: Path, folder: Folder) -> None:
    empty = Folder(tmp_path / "empty")
    empty.settle(folder.setting())
    report = make_report(empty, "judge")
    assert report.methods == []
    assert "<html" in make_page(report, [])
