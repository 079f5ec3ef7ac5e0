"""The sampler chain does what its settings say, and the same seed draws the same."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.llama import DecodeError, Model
from amulet_local.protocol import Sampling
from amulet_local.sampling import sampler

pytestmark = pytest.mark.model

OFF = Sampling(temperature=1, top_k=0, top_p=1, min_p=0)


def draws(
    model: Model, logits: NDArray[np.float32], settings: Sampling, seed: int = 1, count: int = 200
) -> list[int]:
    chain = sampler(settings, seed, model.vocabulary)
    try:
        return [chain.sample(logits) for _ in range(count)]
    finally:
        chain.close()


@pytest.fixture
def logits(model: Model) -> NDArray[np.float32]:
    """Four likely tokens with probabilities 0.5, 0.3, 0.15, 0.05 and nothing else."""
    row = np.full(model.vocabulary.size, -1e4, np.float32)
    row[[10, 20, 30, 40]] = np.log([0.5, 0.3, 0.15, 0.05])
    return row


def test_temperature_zero_is_greedy(model: Model, logits: NDArray[np.float32]) -> None:
    assert set(draws(model, logits, Sampling(temperature=0))) == {10}


def test_drawing_follows_the_probabilities(model: Model, logits: NDArray[np.float32]) -> None:
    drawn = draws(model, logits, OFF, count=1000)
    for token, p in ((10, 0.5), (20, 0.3), (30, 0.15), (40, 0.05)):
        assert drawn.count(token) / 1000 == pytest.approx(p, abs=0.06)


def test_the_same_seed_draws_the_same_and_another_does_not(
    model: Model, logits: NDArray[np.float32]
) -> None:
    assert draws(model, logits, OFF, seed=7) == draws(model, logits, OFF, seed=7)
    assert draws(model, logits, OFF, seed=7) != draws(model, logits, OFF, seed=8)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (Sampling(temperature=1, top_k=2, top_p=1, min_p=0), {10, 20}),
        (Sampling(temperature=1, top_k=0, top_p=0.75, min_p=0), {10, 20}),
        (Sampling(temperature=1, top_k=0, top_p=1, min_p=0.25), {10, 20, 30}),
        (Sampling(temperature=0.01, top_k=0, top_p=1, min_p=0), {10}),
    ],
)
def test_each_truncation_keeps_what_it_says(
    model: Model, logits: NDArray[np.float32], settings: Sampling, kept: set[int]
) -> None:
    assert set(draws(model, logits, settings)) == kept


@pytest.mark.parametrize(
    "penalty",
    [{"repeat_penalty": 10.0}, {"frequency_penalty": 10.0}, {"presence_penalty": 10.0}],
)
def test_penalties_turn_away_from_what_was_said(model: Model, penalty: dict[str, float]) -> None:
    row = np.full(model.vocabulary.size, -1e4, np.float32)
    row[[10, 20]] = 5, 4
    settings = msgspec.convert({"temperature": 0, **penalty}, Sampling)
    first, second = draws(model, row, settings, count=2)
    assert (first, second) == (10, 20)


def test_dry_breaks_a_loop(model: Model) -> None:
    row = np.full(model.vocabulary.size, -1e4, np.float32)
    row[[10, 20]] = 5, 4
    looping = Sampling(temperature=0, dry_multiplier=5, penalty_last_n=64)
    assert set(draws(model, row, Sampling(temperature=0), count=12)) == {10}
    assert set(draws(model, row, looping, count=12)) == {10, 20}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(
    model: Model, logits: NDArray[np.float32], bad: float
) -> None:
    logits[5] = bad
    with pytest.raises(DecodeError, match="not a number"):
        draws(model, logits, Sampling(), count=1)


def test_a_row_that_rules_everything_out_is_refused(model: Model) -> None:
    nothing = np.full(model.vocabulary.size, -np.inf, np.float32)
    with pytest.raises(DecodeError, match="not a number"):
        draws(model, nothing, Sampling(), count=1)
