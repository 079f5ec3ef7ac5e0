"""What blocks of tokens cost is measured without a trace in the streams, and kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.block_costs import LONGEST, BlockCosts, can_try, cost_of, table_of
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep

OPTIONS = LoadOptions(context=512)


def test_sizes_between_and_beyond_the_measured_ones_are_estimated() -> None:
    table = table_of({1: [3.0, 1.0, 2.0], 2: [3.0], 4: [5.0], 8: []})
    assert table == tuple(1 + 0.5 * more for more in range(LONGEST))


def test_no_block_costs_more_than_a_longer_one() -> None:
    table = table_of({1: [10.0], 2: [90.0], 4: [20.0], 16: [80.0]})
    assert table[:4] == (1.0, 2.0, 2.0, 2.0)
    assert list(table) == sorted(table)


def test_beyond_the_table_costs_go_on_as_they_end() -> None:
    cost = cost_of(tuple(1 + 0.25 * more for more in range(LONGEST)))
    assert [cost(1), cost(5), cost(16), cost(18)] == [1.0, 2.0, 4.75, 5.25]


@pytest.fixture
def lockstep(tiny_model: Model) -> Iterator[Lockstep]:
    streams = Lockstep(tiny_model, OPTIONS)
    yield streams
    streams.close()


def costs_of(lockstep: Lockstep) -> BlockCosts:
    return BlockCosts(lockstep, "model.gguf", OPTIONS, 0)


@pytest.mark.model
def test_measuring_leaves_the_streams_as_they_were_and_is_kept(
    lockstep: Lockstep,
) -> None:
    lockstep.prefill({0: [1, 2, 3], 1: [1, 2, 9, 4]})
    costs = costs_of(lockstep)
    while not costs.table:
        costs.go_on()
    first = costs.table
    while costs.unfinished:
        costs.go_on()
    assert costs.table == first  # for as long as it is loaded
    assert [stream.tokens for stream in lockstep.all_streams] == [[1, 2, 3], [1, 2, 9, 4]]
    again = costs_of(lockstep)
    assert len(again.table) == LONGEST
    assert not again.unfinished
    other = BlockCosts(lockstep, "model.gguf", LoadOptions(threads=7), 0)
    assert other.table == ()


@pytest.mark.model
def test_a_trial_that_is_given_up_is_made_again(lockstep: Lockstep) -> None:
    lockstep.prefill({0: [1, 2, 3], 1: [1, 2, 9, 4]})
    costs = costs_of(lockstep)
    lockstep.abort()
    for _ in range(3):
        with pytest.raises(AbortedError):
            costs.go_on()
    lockstep.resume()
    while not costs.table:
        costs.go_on()
    assert costs.table[0] == 1.0
    assert [stream.tokens for stream in lockstep.all_streams] == [[1, 2, 3], [1, 2, 9, 4]]


@pytest.mark.model
def test_nothing_is_tried_where_the_streams_have_no_room(lockstep: Lockstep) -> None:
    assert can_try(lockstep, 2, LONGEST)
    lockstep.prefill({0: [3] * 500, 1: [7] * 490})
    assert not can_try(lockstep, 2, LONGEST)


@pytest.mark.model
def test_a_damaged_table_is_as_none(lockstep: Lockstep) -> None:
    costs = costs_of(lockstep)
    while not costs.table:
        costs.go_on()
    for damaged in ("{", '{"costs": [1.0], "rounds": 1}', '{"costs": [1e99], "rounds": 0}'):
        costs._file.write_text(damaged)
        assert costs_of(lockstep).table == ()
