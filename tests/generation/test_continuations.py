"""What a model said before is remembered by its last tokens, in a table that does not grow."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.generation.continuations import LONGEST_CONTEXT, Continuations

VOCABULARY = 1000


def learned(*texts: list[int]) -> Continuations:
    table = Continuations()
    for text in texts:
        for end in range(len(text)):
            table.learn(text[:end], text[end])
    return table


def guess(table: Continuations, text: list[int]) -> int | None:
    found = table.predict(text)
    return found[0] if found else None


def test_the_longest_context_that_is_known_guesses() -> None:
    table = learned([1, 2, 3, 4, 5], [9, 9, 3, 4, 6], [9, 9, 3, 4, 6])
    assert guess(table, [1, 2, 3, 4]) == 5
    assert guess(table, [7, 2, 3, 4]) == 5
    assert guess(table, [7, 7, 3, 4]) == 6
    assert guess(table, [4, 3]) == 4
    assert guess(table, [7]) is guess(table, []) is None


def test_what_is_said_more_often_lately_is_guessed() -> None:
    table = learned(*[[1, 5]] * 3)
    for _ in range(4):
        table.learn([1], 6)
    assert guess(table, [1]) == 6
    for _ in range(1000):
        table.learn([1], 6)
    for _ in range(20):
        table.learn([1], 7)
    assert guess(table, [1]) == 7


def test_it_never_outgrows_its_size_and_keeps_what_is_said_often() -> None:
    chance = random.Random(1)
    table = learned(*[[1, 2, 3, 4, 5]] * 8)
    size = sum(map(len, table.state()))
    for _ in range(30_000):
        table.learn([chance.randrange(VOCABULARY) for _ in range(LONGEST_CONTEXT)], 9)
    assert sum(map(len, table.state())) == size < 2_000_000
    assert guess(table, [1, 2, 3, 4]) == 5


def test_it_is_the_same_after_it_was_kept() -> None:
    table = learned([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 8])
    before = table.predict([1, 2, 3, 4])
    assert before
    before[1].add(True)
    again = Continuations.of(memoryview(b"".join(table.state())), VOCABULARY)
    after = again.predict([1, 2, 3, 4])
    assert after
    assert after[0] == before[0] == 5
    assert after[1].acceptance == pytest.approx(before[1].acceptance)
    again.learn([1, 2, 3, 4], 5)  # it is no view of what was read


@given(st.binary(max_size=64))
def test_what_is_no_table_is_refused(body: bytes) -> None:
    whole = b"".join(Continuations().state())
    for damaged in (body, whole[:-1], whole + body + b"x"):
        with pytest.raises(ValueError, match=r"buffer|reshape"):
            Continuations.of(memoryview(damaged), VOCABULARY)


def test_tokens_that_the_model_does_not_have_are_refused() -> None:
    table = learned([1, VOCABULARY])
    with pytest.raises(ValueError, match="no table of this model"):
        Continuations.of(memoryview(b"".join(table.state())), VOCABULARY)
    for number in (np.nan, 0.0, -1.0):
        rows, _ = Continuations().state()
        records = np.full(96, number, np.float32).tobytes()
        with pytest.raises(ValueError, match="no table of this model"):
            Continuations.of(memoryview(rows + records), VOCABULARY)
