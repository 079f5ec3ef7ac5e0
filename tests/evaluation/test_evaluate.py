"""Replies written together are those written alone, and what was stopped goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from amulet_local.engine.engine import Engine
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.evaluation.evaluate import evaluate
from amulet_local.evaluation.plan import Assignment, Plan, Preference, crossed
from amulet_local.evaluation.questions import Question
from amulet_local.evaluation.records import (
    Folder,
    Likelihoods,
    Setting,
    Skipped,
    Verdict,
    WrittenReply,
)
from amulet_local.evaluation.subject import Subject
from amulet_local.evaluation.variants import parse_variants
from amulet_local.evaluation.writing import Writer
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load, Reply
from tests.asking import reply as reply_of
from tests.checks import some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

QUESTIONS = [Question(n, text) for n, text in enumerate(["Why?", "How far is it?", "And then?"])]
CONCISE = Preference("concise", "Be concise.", 4.0, 0.1)
WARM = Preference("warm", "Be warm.", 2.0, 0.0)
OPTIONS = LoadOptions(flash_attention="off", threads=1)


@pytest.fixture
def plan(setting: Setting) -> Plan:
    variants = parse_variants("base,pref,la,amulet,amulet@s=6,guard=0,beam@beams=3")
    return Plan(setting, crossed(QUESTIONS, [CONCISE, WARM]), variants)


class Watch:
    """Remembers what it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stages: dict[str, float] = {}
        self.rows = 0.0
        self.skips: list[Skipped] = []
        self._left = stop_after

    def begin(self, what: str, rows: float) -> None:
        self.stages[what] = rows

    def done(self, rows: float) -> None:
        self.rows += rows
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt

    def skipped(self, skipped: Skipped) -> None:
        self.skips.append(skipped)


def write_all(subject: Subject, setting: Setting, wanted: list[Assignment]) -> list[WrittenReply]:
    found: list[WrittenReply | Skipped] = []
    Writer(subject, setting).write(wanted, found.append)
    assert not [each for each in found if isinstance(each, Skipped)]
    return [each for each in found if isinstance(each, WrittenReply)]


def same(one: WrittenReply, other: WrittenReply) -> bool:
    """Equal, but for the last digits of the shifts."""
    assert one.shifts == pytest.approx(other.shifts, rel=0.01, abs=0.01)
    return msgspec.structs.replace(one, shifts=other.shifts) == other


def test_replies_written_together_are_those_written_alone(subject: Subject, plan: Plan) -> None:
    wanted = list(plan.assignments())
    together = {each.key: each for each in write_all(subject, plan.setting, wanted)}
    assert len(together) == 3 * (1 + 2 * 5)
    for assignment in some(wanted):
        (alone,) = write_all(subject, plan.setting, [assignment])
        assert same(alone, together[assignment.key])


def test_replies_are_those_that_the_engine_writes(subject: Subject, plan: Plan) -> None:
    engine = Engine(Load(subject.path, OPTIONS), lambda _: True)
    methods = {"base": "base", "pref": "pref", "la": "la", "amulet": "amulet"}
    for assignment in some(plan.assignments()):
        if assignment.variant.name not in methods:
            continue
        (here,) = write_all(subject, plan.setting, [assignment])
        strength, guard = assignment.strength_and_guard
        request = Reply(
            id=1,
            messages=(Message("user", assignment.question.question),),
            seed=1,
            system=plan.setting.system,
            alignment=Alignment(
                preference=assignment.preference.words,
                method=assignment.variant.method,  # type: ignore[arg-type]
                strength=strength,
                guard=guard,
                sampling=plan.setting.sampling,
            ),
            max_tokens=20,
        )
        assert here.token_ids == reply_of(engine, request).token_ids
    engine.close()


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path, plan: Plan) -> None:
    whole, stopped = Folder(tmp_path / "whole"), Folder(tmp_path / "stopped")
    evaluate(plan, whole, plan.setting.model, OPTIONS, Watch())
    for steps in (9, 30, 20, 30):
        with pytest.raises(KeyboardInterrupt):
            evaluate(plan, stopped, plan.setting.model, OPTIONS, Watch(steps))
    assert len(stopped.replies()) == 33
    evaluate(plan, stopped, plan.setting.model, OPTIONS, Watch())
    assert stopped.replies().keys() == whole.replies().keys()
    for key, reply in some(whole.replies().items()):
        assert same(reply, stopped.replies()[key])
    assert {msgspec.json.encode(each)[:80] for each in stopped.judgements()} == {
        msgspec.json.encode(each)[:80] for each in whole.judgements()
    }
    again = Watch()
    evaluate(plan, stopped, plan.setting.model, OPTIONS, again)
    assert again.rows == 0


def test_every_reply_is_judged_by_every_preference_it_may_serve(tmp_path: Path, plan: Plan) -> None:
    folder, watch = Folder(tmp_path), Watch()
    evaluate(plan, folder, plan.setting.model, OPTIONS, watch)
    judgements = folder.judgements()
    likelihoods = [each for each in judgements if isinstance(each, Likelihoods)]
    verdicts = [each for each in judgements if isinstance(each, Verdict)]
    assert len(likelihoods) == 3 * 2 * 6
    assert len(verdicts) == 3 * 2 * 5
    assert watch.rows == pytest.approx(sum(watch.stages.values()))


def test_another_judge_has_the_preference_and_the_writer_the_quality(
    tmp_path: Path, plan: Plan
) -> None:
    other = tmp_path / "other.gguf"
    write_llama(other, seed=7)
    plan = replace(plan, variants=parse_variants("pref,amulet"))
    folder = Folder(tmp_path / "folder")
    evaluate(plan, folder, str(other), OPTIONS, Watch())
    judgements = folder.judgements()
    likelihoods = [each for each in judgements if isinstance(each, Likelihoods)]
    itself = Path(plan.setting.model).stem
    assert {(each.judge, len(each.others)) for each in likelihoods} == {(itself, 2), ("other", 0)}
    assert {each.judge for each in judgements if isinstance(each, Verdict)} == {"other"}


def test_a_preference_with_another_strength_is_written_anew(tmp_path: Path, plan: Plan) -> None:
    plan = replace(plan, variants=parse_variants("pref,amulet"))
    folder = Folder(tmp_path)
    evaluate(plan, folder, plan.setting.model, OPTIONS, Watch())
    away = Preference("concise", "Be concise.", -3.0, 0.1)
    changed = replace(plan, pairs=crossed(QUESTIONS, [away, WARM]))
    watch = Watch()
    evaluate(changed, folder, plan.setting.model, OPTIONS, watch)
    assert watch.stages["writing"] == pytest.approx(3 * 2 * 20 * 0.7)
    assert folder.replies()[0, "concise", "amulet"].strength == -3
    assert folder.replies()[0, "warm", "amulet"].strength == 2


def test_pieces_make_up_the_text_and_shifts_belong_to_them(subject: Subject, plan: Plan) -> None:
    for reply in some(write_all(subject, plan.setting, list(plan.assignments()))):
        assert "".join(reply.pieces) == reply.text
        measured = len(reply.token_ids) if reply.method in ("la", "amulet") else 0
        assert len(reply.shifts) == measured


def test_a_question_too_long_is_skipped_and_said(tmp_path: Path, plan: Plan) -> None:
    long = Question(9, "word " * 3000)
    pairs = crossed([long, QUESTIONS[0]], [CONCISE, WARM])
    plan = replace(plan, pairs=pairs, variants=parse_variants("pref"))
    watch = Watch()
    evaluate(plan, Folder(tmp_path), plan.setting.model, OPTIONS, watch)
    assert {(each.question, each.preference) for each in watch.skips} == {
        (9, "concise"),
        (9, "warm"),
    }
    assert "leaves no room" in watch.skips[0].reason
    assert len(Folder(tmp_path).replies()) == 2


# -- the folder -----------------------------------------------------------------------------------


def test_a_folder_of_another_setting_is_refused(tmp_path: Path, setting: Setting) -> None:
    Folder(tmp_path).settle(setting)
    Folder(tmp_path).settle(setting)
    with pytest.raises(UsageError, match="a different max tokens"):
        Folder(tmp_path).settle(msgspec.structs.replace(setting, max_tokens=64))


def test_a_line_cut_short_is_dropped_and_written_anew(tmp_path: Path, plan: Plan) -> None:
    folder = Folder(tmp_path)
    evaluate(plan, folder, plan.setting.model, OPTIONS, Watch())
    file = tmp_path / "replies.jsonl"
    data = file.read_bytes()
    file.write_bytes(data[:-40])
    assert len(folder.replies()) == 32
    evaluate(plan, folder, plan.setting.model, OPTIONS, Watch())
    assert file.read_bytes() == data


def test_damage_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_text('{"question": 1}\n')
    with pytest.raises(NotUsableError, match="line 1 of"):
        Folder(tmp_path).replies()


def test_a_folder_without_an_evaluation_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="start one with"):
        Folder(tmp_path).setting()
