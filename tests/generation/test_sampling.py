"""The sampler chain does what its settings say, and the same seed draws the same."""

from __future__ import annotations

from contextlib import closing

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.generation.decoding import choose
from amulet_local.generation.sampling import Sampler
from amulet_local.generation.withholding import withheld
from amulet_local.protocol.alignment import Sampling
from amulet_local.realignment import Combination, Workspace
from amulet_local.runtime.llama.errors import DecodeError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.llama.sampler import SamplerChain
from amulet_local.strengths import PROMPT
from tests.checks import some

pytestmark = pytest.mark.model

OFF = Sampling(temperature=1, top_k=0, top_p=1, min_p=0)


def draws(
    model: Model, logits: NDArray[np.float32], settings: Sampling, seed: int = 1, count: int = 200
) -> list[int]:
    sampler = Sampler(settings, seed, model.vocabulary)
    try:
        drawn = []
        for _ in range(count):
            (row,) = sampler.penalised([logits])
            drawn.append(sampler.sample(row))
        return drawn
    finally:
        sampler.close()


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


@pytest.mark.parametrize(
    "penalty",
    [
        {"repeat_penalty": 1.3, "penalty_last_n": 8},
        {"frequency_penalty": 0.5, "presence_penalty": 0.5},
        {"dry_multiplier": 0.8, "penalty_last_n": 64},
        {"repeat_penalty": 1.1, "dry_multiplier": 0.8, "penalty_last_n": 16},
    ],
)
def test_only_what_was_said_is_penalised_as_it_is_in_a_whole_vocabulary(
    model: Model, penalty: dict[str, float]
) -> None:
    row = np.random.default_rng(1).standard_normal(model.vocabulary.size).astype(np.float32)
    said = [5, 6, 7, 8, 5, 6, 7, 9, 9, 9, 5, 6, 7]
    settings = msgspec.convert({"temperature": 0, **penalty}, Sampling)
    with closing(Sampler(settings, 1, model.vocabulary)) as sampler:
        assert sampler.penalised([row])[0] is row
        sampler.accept(*said)
        (penalised,) = sampler.penalised([row])
    with closing(SamplerChain(model.vocabulary)) as whole:
        last_n = settings.penalty_last_n
        repeat, frequency = settings.repeat_penalty, settings.frequency_penalty
        whole.penalties(last_n, repeat, frequency, settings.presence_penalty)
        if settings.dry_multiplier:
            whole.dry(settings.dry_multiplier, 1.75, 2, last_n)
        for token in said:
            whole.accept(token)
        ids = np.arange(row.size, dtype=np.int32)
        np.testing.assert_array_equal(penalised, whole.reweighed(ids, row))
    assert not np.array_equal(penalised, row)


def test_the_guard_leaves_ways_out_of_a_loop(model: Model) -> None:
    base, pref = np.full((2, model.vocabulary.size), -1e4, np.float32)
    base[[10, 20]], pref[[10, 20]] = (9, 6), (10, 5)  # both are sure of going on with the loop
    looping = Sampling(temperature=0, dry_multiplier=5, penalty_last_n=64)
    work = Workspace(model.vocabulary.size)
    for combination in (Combination((PROMPT,), guard=0.0), Combination((3.0,), guard=0.1)):
        with closing(Sampler(looping, 1, model.vocabulary)) as sampler:
            said = {choose([base, pref], combination, sampler, work).token for _ in range(12)}
        assert said == {10, 20}


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


# -- words to leave out ---------------------------------------------------------------------------


def ruled_out(model: Model, said: str, word: str) -> set[int]:
    """What may not follow what was said, where this word is to be left out."""
    vocabulary = model.vocabulary
    words = withheld((word,), vocabulary)
    with closing(Sampler(OFF, 1, vocabulary)) as sampler:
        sampler.accept(*vocabulary.tokenize(said))
        rows = sampler.without([np.zeros(vocabulary.size, np.float32)] * 2, words)
    assert np.array_equal(rows[0], rows[1])
    return set(np.flatnonzero(np.isneginf(rows[0])).tolist())


def test_a_word_of_one_token_may_not_come_in_any_form(model: Model) -> None:
    forms = [model.vocabulary.tokenize(form) for form in (" sky", "sky", " Sky", "Sky")]
    assert all(len(form) == 1 for form in some(forms))
    assert {token for form in forms for token in form} <= ruled_out(model, "Look: ", "sky")


def test_a_longer_word_may_begin_but_not_end(model: Model) -> None:
    *begun, last = model.vocabulary.tokenize(" underperform")
    assert begun
    text = b"".join(map(model.vocabulary.piece, begun)).decode()
    assert last not in ruled_out(model, "They", "underperform")
    assert last in ruled_out(model, f"They{text}", "underperform")


def test_within_another_word_it_is_no_word(model: Model) -> None:
    (inside,) = model.vocabulary.tokenize("name")
    assert inside in ruled_out(model, "The ", "name")
    assert inside not in ruled_out(model, "The user", "name")


def test_a_word_may_not_come_in_other_letters_or_by_other_tokens(model: Model) -> None:
    for begun, end in (
        ("They fie", "LD"),
        ("They f", "ield"),
        ("They FIEL", "d"),
        ("They", " fIELD"),
    ):
        tokens = model.vocabulary.tokenize(end)
        said = begun + b"".join(map(model.vocabulary.piece, tokens[:-1])).decode()
        assert tokens[-1] in ruled_out(model, said, "field")


def test_a_phrase_may_not_come_across_its_space(model: Model) -> None:
    *begun, last = model.vocabulary.tokenize("Some ice cream")
    said = b"".join(map(model.vocabulary.piece, begun)).decode()
    assert last in ruled_out(model, said, "Ice cream")
    assert last not in ruled_out(model, said.replace("ice", "rice"), "Ice cream")


def test_a_longer_token_that_begins_alike_may_come(model: Model) -> None:
    (longer,) = model.vocabulary.tokenize(" fields")
    assert longer not in ruled_out(model, "The", "field")


def test_beyond_prompting_with_a_guard_a_word_is_withheld_and_otherwise_not(model: Model) -> None:
    row = np.full(model.vocabulary.size, -10, np.float32)
    (sky,) = model.vocabulary.tokenize(" sky")
    row[[sky, 30]] = 5, 4
    work, words = Workspace(row.size), withheld(("sky",), model.vocabulary)
    for strength, guard, token in (
        (2.0, 0.1, 30),
        (1.0, 0.1, sky),
        (2.0, 0.0, sky),
        (2.0, 0.9, 30),
    ):
        with closing(Sampler(Sampling(temperature=0), 1, model.vocabulary)) as sampler:
            combination = Combination((strength,), guard, withheld=words)
            assert choose([row, row], combination, sampler, work).token == token
