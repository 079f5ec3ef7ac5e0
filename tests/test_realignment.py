"""The update is the paper's, the dial has its marks, and nothing numerical can break it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amulet_local.measures import LARGEST_SHARE, measure, shares
from amulet_local.realignment import (
    Workspace,
    guard_reference,
    log_softmax,
    plausibility_floor,
    prompted,
    realign,
    recurrence,
)
from amulet_local.strengths import AMULET, LINEAR, Update, label, overall, pool, strength_and_guard

updates = st.builds(
    Update,
    iterations=st.integers(1, 100),
    alpha=st.floats(0, 2.5),
    lambda_=st.floats(1, 5),
    eta=st.floats(0.1, 100),
)
seeds = st.integers(0, 2**32 - 1)


def rows(
    seed: int, streams: int = 2, vocabulary: int = 500, spread: float = 5
) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return (random.standard_normal((streams, vocabulary)) * spread).astype(np.float32)


@given(updates, seeds)
def test_collapse_equals_the_recurrence(update: Update, seed: int) -> None:
    base, pref = rows(seed).astype(np.float64)
    collapsed = log_softmax(base + update.strength * (pref - base))
    written_out = recurrence(base, pref, update)
    scale = max(1.0, float(np.abs(written_out).max()))
    assert np.abs(collapsed - written_out).max() / scale < 1e-9


@pytest.mark.parametrize(
    ("changed", "weight"),
    [
        ({"iterations": 1}, 0.9524),
        ({"iterations": 10}, 2.90),
        ({"iterations": 20}, 3.5665),
        ({}, 4.6487),
        ({"iterations": 100}, 5.16),
        ({"alpha": 0.5, "iterations": 200}, 0.3316),
        ({"alpha": 1.0}, 0.9260),
        ({"alpha": 1.5}, 2.11),
        ({"alpha": 3.0}, 23),
        ({"alpha": 4.0}, 117),
        ({"lambda_": 1.0}, 114),
        ({"lambda_": 3.0}, 1.62),
        ({"lambda_": 4.0}, 0.9266),
        ({"eta": 0.1}, 3.74),
        ({"eta": 1.0}, 4.4362),
        ({"eta": 100.0}, 4.68),
    ],
)
def test_weights_are_those_of_the_published_parameters(
    changed: dict[str, float], weight: float
) -> None:
    digits = len(str(weight).partition(".")[2])
    assert round(Update(**changed).weight, digits) == pytest.approx(weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"lambda_": 0.0}, {"eta": -1.0}, {"alpha": math.nan}]
)
def test_parameters_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Update(**wrong)  # type: ignore[arg-type]


@given(st.floats(1, 500))
def test_a_strength_leads_back_to_the_update_that_gives_it(strength: float) -> None:
    assert Update.of_strength(strength).strength == pytest.approx(strength, rel=1e-9)


def test_strengths_below_the_prompt_are_no_update_of_the_paper() -> None:
    with pytest.raises(ValueError, match="of 1 and above"):
        Update.of_strength(0.5)


@given(seeds)
def test_base_pref_la_and_amulet_are_points_of_one_dial(seed: int) -> None:
    logits = rows(seed)
    base, pref = logits.astype(np.float64)
    work = Workspace(base.size)
    assert np.array_equal(realign(logits, [0.0], work), logits[0])
    assert np.array_equal(realign(logits, [1.0], work), logits[1])
    linear = pref + 2 * (pref - base)
    assert np.allclose(realign(logits, [LINEAR], work), linear, atol=1e-4)
    amulet = log_softmax(realign(logits, [AMULET], work).astype(np.float64))
    assert np.allclose(amulet, recurrence(base, pref, Update()), atol=1e-3)


@given(seeds, st.lists(st.floats(-4, 8), min_size=1, max_size=4))
def test_several_preferences_add_up(seed: int, strengths: list[float]) -> None:
    logits = rows(seed, streams=len(strengths) + 1)
    wide = logits.astype(np.float64)
    expected = wide[0] + sum(
        s * (row - wide[0]) for s, row in zip(strengths, wide[1:], strict=True)
    )
    assert np.allclose(realign(logits, strengths, Workspace(500)), expected, atol=1e-3)


def test_the_wrong_number_of_strengths_is_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        realign(rows(1, streams=3), [1.0], Workspace(500))


@given(
    seeds,
    st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0, AMULET]),
    st.floats(1, 1000),
    st.floats(0, 1),
)
def test_extreme_logits_give_no_nan(seed: int, strength: float, spread: float, beta: float) -> None:
    logits = rows(seed, spread=spread)
    random = np.random.default_rng(seed)
    logits[:, 1:][random.random((2, 499)) < 0.1] = -np.inf
    logits[:, 0] = logits[np.isfinite(logits)].max()  # one token possible and likely to both
    work = Workspace(500)
    realign(logits, [strength], work)
    plausibility_floor(guard_reference(logits, [strength], work), beta, work)
    token = int(work.realigned.argmax())
    assert np.isfinite(work.realigned[token])
    assert not np.isnan(work.realigned).any()
    measures = measure(logits[0], logits[1], token, beta > 0, work)
    assert measures.shift >= 0  # infinite where it keeps what the preference rules out
    assert not math.isnan(measures.flip_strength)


@pytest.mark.parametrize("strength", [-1.0, 0.5, 1.0, 2.0, AMULET])
def test_what_a_contributing_stream_rules_out_stays_out(strength: float) -> None:
    logits = rows(3)
    logits[0, 7] = logits[1, 8] = -np.inf
    realigned = realign(logits, [strength], Workspace(500))
    assert realigned[8] == -np.inf
    assert (realigned[7] == -np.inf) == (strength != 1.0)  # at 1 the base has no say
    assert np.isfinite(np.delete(realigned, [7, 8])).all()


def test_nan_is_not_hidden() -> None:
    logits = rows(4)
    logits[0, 3] = np.nan
    assert np.isnan(realign(logits, [2.0], Workspace(500)).max())


@given(seeds, st.floats(0.01, 1), st.floats(-4, 8))
def test_the_floor_keeps_exactly_what_its_reference_finds_plausible(
    seed: int, beta: float, strength: float
) -> None:
    logits = rows(seed)
    work = Workspace(500)
    realign(logits, [strength], work)
    reference = guard_reference(logits, [strength], work)
    plausibility_floor(reference, beta, work)
    p = np.exp(log_softmax(reference.astype(np.float64)))
    clear = np.abs(np.log(p) - np.log(beta * p.max())) > 1e-4
    assert np.array_equal(np.isfinite(work.realigned)[clear], (p >= beta * p.max())[clear])


def test_the_guard_is_judged_by_what_is_followed_or_by_base_when_pushing_away() -> None:
    logits, work = rows(5, streams=3), Workspace(500)
    both = logits[1] + logits[2] - logits[0]
    assert guard_reference(logits, [2.0, 3.0], work) == pytest.approx(both, abs=1e-4)
    assert np.array_equal(guard_reference(logits, [2.0, -3.0], work), logits[1])
    assert np.array_equal(guard_reference(logits, [-2.0, -3.0], work), logits[0])
    assert np.array_equal(guard_reference(logits, [], work), logits[0])


def test_what_one_preference_finds_plausible_stays_so_beside_others_without_a_say() -> None:
    logits, work = rows(5, streams=3), Workspace(500)
    logits[2] = logits[0]
    assert guard_reference(logits, [2.0, 3.0], work) == pytest.approx(logits[1], abs=1e-4)
    logits[:, 7] = -np.inf  # held back on every stream
    assert np.isneginf(guard_reference(logits, [2.0, 3.0], work)[7])


@pytest.mark.slow
@given(seeds, st.lists(st.floats(-4, 8), min_size=1, max_size=6))
def test_prompting_for_a_mix_is_the_mix_at_strength_one(seed: int, strengths: list[float]) -> None:
    logits, work = rows(seed, streams=1 + len(strengths)), Workspace(500)
    weights = pool(strengths)
    assert sum(weights) == pytest.approx(1)
    row = prompted(logits, strengths, work).copy()
    assert row == pytest.approx(realign(logits, weights, work), abs=1e-3)
    assert overall(weights) == pytest.approx(1)


@given(seeds, st.lists(st.floats(-4, 8), min_size=1, max_size=6), st.integers(0, 499))
def test_shares_and_what_base_says_come_to_the_lead(
    seed: int, strengths: list[float], token: int
) -> None:
    logits, work = rows(seed, streams=1 + len(strengths)), Workspace(500)
    realigned = realign(logits, strengths, work)
    base = logits[0]
    rival = max((n for n in range(500) if n != token), key=lambda n: base[n])
    told = shares(logits, strengths, token)
    lead = float(base[token] - base[rival]) + sum(told)
    assert lead == pytest.approx(float(realigned[token] - realigned[rival]), abs=0.01)


def test_what_a_stream_rules_out_has_a_finite_share() -> None:
    logits = rows(5, streams=2)
    logits[1][7] = -np.inf
    assert shares(logits, [2.0], 7) == (-LARGEST_SHARE,)
    assert shares(logits, [0.0], 7) == (0.0,)


@given(seeds, st.floats(1.01, 12), st.sampled_from([0.0, 0.1]))
def test_the_choice_flips_exactly_past_the_flip_strength(
    seed: int, strength: float, beta: float
) -> None:
    logits = rows(seed, vocabulary=60, spread=2)
    work = Workspace(60)
    realign(logits, [strength], work)
    plausibility_floor(guard_reference(logits, [strength], work), beta, work)
    measures = measure(logits[0], logits[1], 0, beta > 0, work)
    assume(abs(measures.flip_strength - strength) > 1e-3)
    assert measures.flip == (measures.flip_strength < strength)


@given(seeds, st.floats(-2, 8), st.sampled_from([0.0, 0.1]))
def test_measures_agree_with_their_definitions(seed: int, strength: float, beta: float) -> None:
    logits = rows(seed)
    work = Workspace(500)
    realign(logits, [strength], work)
    plausibility_floor(guard_reference(logits, [strength], work), beta, work)
    token = int(work.realigned.argmax())
    measures = measure(logits[0], logits[1], token, beta > 0, work)
    log_r, log_p, log_b = (
        log_softmax(row.astype(np.float64)) for row in (work.realigned, logits[1], logits[0])
    )
    kept = np.isfinite(log_r)
    shift = float((np.exp(log_r[kept]) * (log_r - log_p)[kept]).sum())
    assert measures.shift == pytest.approx(shift, abs=1e-3)
    assert measures.logp_realigned == pytest.approx(log_r[token], abs=1e-3)
    assert measures.logp_pref == pytest.approx(log_p[token], abs=1e-3)
    assert measures.logp_base == pytest.approx(log_b[token], abs=1e-3)


def test_no_shift_and_no_flip_at_the_prompt() -> None:
    logits = rows(6)
    work = Workspace(500)
    realign(logits, [1.0], work)
    measures = measure(logits[0], logits[1], 0, guarded=False, work=work)
    assert measures.shift == pytest.approx(0, abs=1e-5)
    assert not measures.flip


@pytest.mark.parametrize(
    ("strength", "name"),
    [
        (-1, "away"),
        (0, "base"),
        (0.5, "past base"),
        (1, "prompt"),
        (3, "LA"),
        (AMULET, "Amulet"),
        (5.65, "Amulet"),
        (8, "past Amulet"),
    ],
)
def test_every_place_on_the_dial_has_a_name(strength: float, name: str) -> None:
    assert label(strength) == name


@pytest.mark.parametrize(
    ("method", "expected"),
    [("base", (0.0, 0.0)), ("pref", (1.0, 0.0)), ("la", (3.0, 0.2)), ("amulet", (4.0, 0.2))],
)
def test_a_method_may_fix_the_strength_and_only_what_lies_beyond_pref_is_guarded(
    method: str, expected: tuple[float, float]
) -> None:
    assert strength_and_guard(method, 4.0, 0.2) == expected
