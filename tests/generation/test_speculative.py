"""Guesses make a reply faster, never different."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.generation.continuations import Continuations
from amulet_local.generation.decoding import decode
from amulet_local.generation.draft_model import ModelWriter
from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import (
    LONGEST_DRAFT,
    WORTH_IT,
    Cost,
    Drafter,
    Guesser,
    best_length,
    linear_cost,
)
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.realignment import Combination, Row, Workspace, combined
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from tests import tiny_models

pytestmark = pytest.mark.model

COMBINATION = Combination((3.0,), guard=0.1)
PROMPTS = {0: [*range(97, 117)], 1: [*range(97, 112), *range(70, 90)]}


def streams(model: Model, arrangement: Arrangement = "one-context") -> Lockstep:
    """Without flash attention, larger batches round almost exactly as single rows do."""
    options = LoadOptions(context=512, streams=arrangement, flash_attention="off")
    return Lockstep(model, options)


def write(
    lockstep: Lockstep, model: Model, drafter: Drafter | None, settings: Sampling, count: int = 120
) -> tuple[list[int], int]:
    """A reply's tokens, and how many times the streams were advanced."""
    logits = lockstep.prefill(PROMPTS)
    advance, calls = lockstep.advance, 0

    def counted(block: Sequence[int]) -> list[list[Row]]:
        nonlocal calls
        calls += 1
        return advance(block)

    lockstep.advance = counted  # type: ignore[method-assign]
    sampler = Sampler(settings, 7, model.vocabulary)
    work = Workspace(model.vocabulary.size)
    decoded = decode(lockstep, logits, lambda: COMBINATION, sampler, work, drafter)
    tokens = [one.token for one in itertools.islice(decoded, count)]
    sampler.close()
    lockstep.close()
    return tokens, calls


class Oracle:
    """Knows the reply, and is wrong now and then on purpose."""

    def __init__(self, reply: list[int], wrong_every: int) -> None:
        self._reply, self._wrong_every, self._seen = reply, wrong_every, 0

    def observe(self, token: int) -> None:
        assert token == self._reply[self._seen]
        self._seen += 1

    def propose(self, room: int) -> list[int]:
        draft = self._reply[self._seen : self._seen + min(room, 1 + self._seen % 6)]
        wrong = range(self._wrong_every - 1, len(draft), self._wrong_every)
        return [1 if place in wrong else token for place, token in enumerate(draft)]


@pytest.mark.parametrize("arrangement", ["one-context", "two-contexts"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("wrong_every", [1, 2, 4, 99])
def test_right_and_wrong_guesses_leave_the_reply_as_it_is(
    tiny_model: Model, arrangement: Arrangement, temperature: float, wrong_every: int
) -> None:
    settings = Sampling(temperature=temperature, dry_multiplier=0.5)
    plain, steps = write(streams(tiny_model, arrangement), tiny_model, None, settings)
    assert steps == len(plain) - 1
    oracle = Oracle([*plain, *[0] * 20], wrong_every)
    drafted, fewer = write(streams(tiny_model, arrangement), tiny_model, oracle, settings)
    assert drafted == plain
    assert fewer < steps / 2 or wrong_every < 99


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ngrams_leave_the_reply_as_it_is(tiny_model: Model, temperature: float) -> None:
    settings = Sampling(temperature=temperature)
    plain, _ = write(streams(tiny_model), tiny_model, None, settings)
    drafter = Guesser([*PROMPTS[0], *plain], linear_cost(0.1))  # as if it had been said before
    drafted, steps = write(streams(tiny_model), tiny_model, drafter, settings)
    assert drafted == plain
    assert steps < len(plain) / 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_was_learned_leaves_the_reply_as_it_is(tiny_model: Model, temperature: float) -> None:
    """Learned from the same reply, and from another one that it is mistaken for."""
    settings = Sampling(temperature=temperature)
    plain, _ = write(streams(tiny_model), tiny_model, None, settings)
    habits = Continuations()
    for said in (plain, [*reversed(plain)], plain):
        told = Guesser(PROMPTS[0], linear_cost(0.1), habits)
        for token in said:
            told.observe(token)
    drafter = Guesser(PROMPTS[0], linear_cost(0.1), habits)
    drafted, steps = write(streams(tiny_model), tiny_model, drafter, settings)
    assert drafted == plain
    assert steps < len(plain) / 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_draft_model_leaves_the_reply_as_it_is(
    tiny_model: Model, tmp_path: Path, temperature: float
) -> None:
    other = tmp_path / "draft.gguf"
    tiny_models.write_llama(other, seed=5)
    settings = Sampling(temperature=temperature)
    plain, steps = write(streams(tiny_model), tiny_model, None, settings)
    evaluations = []
    for path in (None, other):
        model = Model(str(path)) if path else tiny_model
        work = Workspace(model.vocabulary.size)
        own = streams(model)

        def choose(logits: Sequence[Row], work: Workspace = work) -> int:
            return int(combined(logits, COMBINATION, work).argmax())

        writer = ModelWriter(own, PROMPTS, [], choose, 0.05)
        drafter = Guesser([], linear_cost(0.1), ahead=writer)
        drafted, fewer = write(streams(tiny_model), tiny_model, drafter, settings)
        assert drafted == plain
        evaluations.append(fewer)
        own.close()
        if path:
            model.close()
    most = {0.0: steps / 2, 1.0: steps}  # of the same model, which draws otherwise than it guesses
    assert evaluations[0] <= most[temperature]


def test_ngrams_propose_what_followed_the_longest_recent_match() -> None:
    drafter = Guesser([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3], linear_cost(0.01))
    assert drafter.propose(3) == [4, 5, 6]
    assert drafter.propose(1) == [4]
    assert drafter.propose(0) == []


def test_a_copy_resumes_where_it_fits_its_source_again() -> None:
    source = list(range(1, 20))
    drafter = Guesser([*source, 1, 2, 3], linear_cost(0.01))
    for departure, resumed in ((99, 5), (98, 7)):  # 4 and 6 were replaced
        drafter.observe(departure)
        drafter.observe(resumed)
        assert drafter.propose(3) == [resumed + 1, resumed + 2, resumed + 3]
    for other in range(50, 56):
        drafter.observe(other)
    assert drafter.propose(3) == []  # the source is given up


def test_drafts_that_keep_failing_are_no_longer_made() -> None:
    drafter = Guesser([1, 2, 3, 4] * 3, linear_cost(0.4))
    drafted = 0
    for turn in range(40):
        for token in (1, 2, 3):
            drafter.observe(token)
        drafted = len(drafter.propose(8))
        drafter.observe(50 + turn)
    assert drafted == 0


def test_the_source_with_the_better_record_guesses() -> None:
    class Knowing:
        """A small model that is right, at a price."""

        relative_cost = 0.3
        acceptance = 0.9

        def write(self, length: int) -> list[int]:
            return [7] * length

        def observe(self, token: int) -> None:
            pass

    cost = linear_cost(0.1)
    written = Guesser([], cost, Continuations(), Knowing())
    assert set(written.propose(8)) == {7}
    copied = Guesser([*range(50), *range(30)], cost, Continuations(), Knowing())
    assert copied.propose(8) == [30, 31, 32, 33, 34, 35, 36, 37]
    habits = Continuations()
    for _ in range(40):
        learner = Guesser([], cost, habits)
        for token in (1, 2, 3, 4, 5, 6):
            learner.observe(token)
    again = Guesser([1, 2], cost, habits, Knowing())
    assert again.propose(4) == [3, 4, 5, 6]


def test_a_draft_is_as_long_as_pays() -> None:
    def best(acceptance: float, cost: Cost, drafting: float, limit: int) -> int:
        return best_length(itertools.repeat(acceptance), cost, drafting, limit)[0]

    cheap, dear = linear_cost(0.05), linear_cost(0.5)
    assert best(0.95, cheap, 0.0, 15) > best(0.7, cheap, 0.0, 15) > 0
    assert best(0.95, dear, 0.0, 15) < best(0.95, cheap, 0.0, 15)
    assert best(0.3, dear, 0.0, 15) == 0
    assert best(0.95, cheap, 1.0, 15) == 0  # a draft model as slow as the model itself
    assert best(0.99, cheap, 0.0, 4) == 4
    stairs = [1, 1.1, 1.8, 1.9, 2.6, 2.7]  # kernels that work on two tokens at once
    assert best(0.6, lambda block: stairs[block - 1], 0.0, 5) == 1
    assert best(0.9, lambda block: stairs[block - 1], 0.0, 5) in (3, 5)


@given(
    st.lists(st.floats(0, 1), max_size=15),
    st.lists(st.floats(0, 2), min_size=16, max_size=16),
    st.floats(0, 2),
    st.integers(0, 15),
    st.integers(0, 15),
)
def test_no_other_length_pays_more(
    acceptances: list[float], steps: list[float], drafting: float, limit: int, other: int
) -> None:
    def rate(length: int) -> float:
        tokens = sum(math.prod(acceptances[:right]) for right in range(length + 1))
        return tokens / (cost(length + 1) + drafting * length)

    def cost(block: int) -> float:
        return 1 + sum(steps[1:block])

    best, tokens = best_length(acceptances, cost, drafting, limit)
    assert best <= min(limit, len(acceptances))
    assert tokens == pytest.approx(rate(best) if best else WORTH_IT)
    assert tokens >= rate(min(other, limit, len(acceptances))) - 1e-9 or not other


def test_only_rows_of_the_last_block_are_looked_at(tiny_model: Model) -> None:
    """The rows of an earlier block are gone; nothing may hold on to them."""
    lockstep = streams(tiny_model)
    lockstep.prefill(PROMPTS)
    first = np.array(lockstep.advance([5])[0])
    lockstep.rewind(1)
    again = np.array(lockstep.advance([5, 6, 7])[0])
    assert np.abs(first - again).max() < 0.01
    lockstep.close()


@pytest.mark.parametrize("arrangement", ["one-context", "two-contexts"])
@pytest.mark.parametrize("batch", [1, 2, 7, 16, 20])
def test_a_small_batch_bounds_the_guesses(
    tiny_model: Model, arrangement: Arrangement, batch: int
) -> None:
    asked = []

    class Bold:
        """Knows the reply, and guesses as much as there is room for."""

        def __init__(self, reply: list[int]) -> None:
            self._reply, self._seen = reply, 0

        def observe(self, token: int) -> None:
            self._seen += 1

        def propose(self, room: int) -> list[int]:
            asked.append(room)
            return self._reply[self._seen : self._seen + min(room, LONGEST_DRAFT)]

    settings = Sampling(temperature=0)
    plain, _ = write(streams(tiny_model, arrangement), tiny_model, None, settings)
    options = LoadOptions(context=256, streams=arrangement, flash_attention="off", batch=batch)
    drafted, _ = write(
        Lockstep(tiny_model, options), tiny_model, Bold([*plain, *[0] * 20]), settings
    )
    assert drafted == plain
    together = 2 if arrangement == "one-context" else 1
    assert max(asked) == max(batch, 2) // together - 1
