"""Likelihoods are those of reading token by token, and judgements say what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amulet_local.evaluation.judging import Judge
from amulet_local.evaluation.likelihood import log_probabilities
from amulet_local.evaluation.plan import GREEDY, Preference
from amulet_local.evaluation.records import (
    Judgement,
    Likelihoods,
    Setting,
    Skipped,
    Verdict,
    WrittenReply,
)
from amulet_local.evaluation.scores.on_question import on_question
from amulet_local.evaluation.scores.perplexity import perplexity
from amulet_local.evaluation.scores.preference_gain import preference_gain
from amulet_local.evaluation.subject import Subject
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import log_softmax


def written(text: str, **changes: object) -> WrittenReply:
    values: dict[str, object] = {
        "question": 0,
        "asked": "How do I keep houseplants alive?",
        "preference": "concise",
        "words": "Be concise.",
        "variant": "amulet",
        "method": "amulet",
        "strength": 3.0,
        "guard": 0.1,
        "text": text,
        "token_ids": (),
        "pieces": (text,),
        "ended": True,
    }
    return WrittenReply(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 70])
def test_blocks_give_what_single_tokens_give(subject: Subject, count: int, ended: bool) -> None:
    prompts = [list(b"Take the coast path"), list(b"Tell me of the sea")]
    tokens = [(7 * n) % 250 for n in range(count)]
    with subject.streams(2, 256) as lockstep:
        found = log_probabilities(subject, lockstep, prompts, tokens, ended=ended)
        expected = np.zeros((2, count + ended))
        rows = [lockstep.prefill(dict(enumerate(prompts)))]
        for place in range(count + ended):
            for stream, row in enumerate(rows[0]):
                chances = log_softmax(row)
                expected[stream, place] = (
                    chances[tokens[place]]
                    if place < count
                    else np.logaddexp.reduce(chances[subject.turn_ends])
                )
            if place < count:
                rows = lockstep.advance([tokens[place]])
    assert found.shape == (2, count + ended)
    assert np.abs(found - expected).max(initial=0) < 0.05


def judge_all(judge: Judge, *replies: tuple[WrittenReply, Preference]) -> list[Judgement | Skipped]:
    found: list[Judgement | Skipped] = []
    judge.likelihoods(replies, found.append)
    return found


@pytest.fixture(scope="module")
def judge(default_model: Path) -> Judge:
    """The real default model: order has a meaning only where words have one."""
    setting = Setting(
        model=str(default_model),
        system=DEFAULT_SYSTEM,
        placement="system",
        sampling=GREEDY,
        seed=1,
        max_tokens=128,
    )
    return Judge(Subject(str(default_model), LoadOptions()), setting)


UPLIFTING = Preference("uplifting", "Your answer should be uplifting as much as possible.")
PLANTS = "Water your houseplants once a week, and put the pots near a window with good light."
CHEERFUL = (
    "What a wonderful question! You are full of love and hope, and so is every plant. Believe in "
    "yourself, smile at each new leaf, and joy will bloom in your home and in your heart!"
)
SALAD = "Window the once of pots good houseplants with near a week light and put your in water."
DOGS = "Before you adopt a dog, think about the time it needs, the walks, and the vet's bills."


@pytest.mark.model
def test_scores_put_real_texts_in_the_order_a_reader_would(judge: Judge) -> None:
    texts = [PLANTS, CHEERFUL, SALAD, DOGS]
    found = judge_all(judge, *((written(text), UPLIFTING) for text in texts))
    plain, cheerful, salad, dogs = (each for each in found if isinstance(each, Likelihoods))
    # What processors make of the same weights differs by 0.04 and less.
    assert preference_gain(cheerful) > preference_gain(plain) + 0.05
    assert perplexity(salad) > 3 * perplexity(plain)
    assert on_question(plain) > on_question(dogs) + 0.2
    assert on_question(plain) > 0.2


def test_verdicts_are_asked_for_in_both_orders(subject: Subject, setting: Setting) -> None:
    """On float32 weights: the same two prompts are read, and say the same."""
    judge = Judge(subject, setting)
    found: list[Judgement | Skipped] = []
    judge.verdicts([(written(CHEERFUL), written(SALAD), UPLIFTING)], found.append)
    judge.verdicts([(written(SALAD), written(CHEERFUL), UPLIFTING)], found.append)
    ours, theirs = (each for each in found if isinstance(each, Verdict))
    assert ours.first == pytest.approx(-theirs.second, abs=0.02)
    assert ours.second == pytest.approx(-theirs.first, abs=0.02)
    assert ours.first != pytest.approx(ours.second, abs=0.1)


def test_a_verdict_that_follows_the_place_is_none() -> None:
    def verdict(first: float, second: float) -> float:
        return Verdict(
            judge="",
            question=0,
            preference="",
            variant="",
            digest="",
            first=first,
            second=second,
        ).outcome

    assert (verdict(1, 2), verdict(-1, -2), verdict(1, -1)) == (1, 0, 0.5)


def test_a_judge_reads_the_tokens_that_were_sampled(subject: Subject, setting: Setting) -> None:
    judge = Judge(subject, setting)
    bytewise = tuple(b"the end")  # which the tokenizer would join
    sampled = written("the end", token_ids=bytewise, ended=False)
    foreign = written("the end", token_ids=(9999,), ended=False)
    (first, second) = judge_all(judge, (sampled, UPLIFTING), (foreign, UPLIFTING))
    assert isinstance(first, Likelihoods)
    assert isinstance(second, Likelihoods)
    assert first.tokens == 7
    assert second.tokens < 7


def test_what_a_judge_cannot_hold_is_skipped(subject: Subject, setting: Setting) -> None:
    (found,) = judge_all(Judge(subject, setting), (written("x" * 3000), UPLIFTING))
    assert isinstance(found, Skipped)
    assert "does not hold" in found.reason
