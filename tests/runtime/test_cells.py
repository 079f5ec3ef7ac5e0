"""Long prompts with little in common get a pool of cells each, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import Workspace, realign
from amulet_local.runtime.block_costs import can_try
from amulet_local.runtime.llama.context import Context
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_state import restore, save
from amulet_local.strengths import AMULET
from tests import tiny_models
from tests.checks import some
from tests.runtime.test_lockstep import ARRANGEMENTS, held, numbers, same

pytestmark = pytest.mark.model

BASE, PREF = numbers(1, 1200), numbers(2, 1100)
# With flash attention, long prompts round by how they fell into batches.
LONG = LoadOptions(context=2048, flash_attention="off")


@pytest.fixture
def lockstep(tiny_model: Model) -> Iterator[Lockstep]:
    with closing(Lockstep(tiny_model, LONG)) as streams:
        yield streams


def fresh(model: Model, prompt: list[int]) -> NDArray[np.float32]:
    """The logits after a prompt that nothing else was evaluated with."""
    with closing(Lockstep(model, LONG, streams=1)) as alone:
        return alone.prefill({0: prompt})[0].copy()


def context_of(lockstep: Lockstep) -> Context:
    (context,) = {stream.context for stream in lockstep.all_streams}
    return context


def say_what_fresh_ones_say(lockstep: Lockstep, model: Model, prompts: dict[int, list[int]]) -> int:
    """Claim so of these prompts; returns how many rows that took."""
    before = lockstep.evaluated
    logits = lockstep.prefill(prompts)
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(model, prompt))
    return lockstep.evaluated - before


def test_long_prompts_with_little_in_common_get_a_pool_each(
    lockstep: Lockstep, tiny_model: Model
) -> None:
    assert not context_of(lockstep).apart
    rows = say_what_fresh_ones_say(lockstep, tiny_model, {0: BASE, 1: PREF})
    assert context_of(lockstep).apart
    assert rows == len(BASE) + len(PREF)
    block = numbers(3, 5)
    logits = lockstep.advance(block)[-1]
    assert same(logits[0], fresh(tiny_model, BASE + block))
    assert same(logits[1], fresh(tiny_model, PREF + block))


@pytest.mark.parametrize(
    ("base", "pref"),
    [
        pytest.param(BASE[:500], PREF[:500], id="short ones"),
        pytest.param([*BASE, 1], [*BASE, *PREF[:100]], id="ones that share most"),
    ],
)
def test_other_prompts_stay_in_one_pool(
    lockstep: Lockstep, base: list[int], pref: list[int]
) -> None:
    lockstep.prefill({0: base, 1: pref})
    assert not context_of(lockstep).apart


def test_the_same_is_written_in_a_pool_each_and_in_a_context_each(tiny_model: Model) -> None:
    work = Workspace(tiny_model.vocabulary.size)
    replies = []
    for streams in some(ARRANGEMENTS):
        options = structs.replace(LONG, streams=streams)
        with closing(Lockstep(tiny_model, options)) as lockstep:
            logits = lockstep.prefill({0: BASE, 1: PREF})
            tokens = []
            for _ in range(40):
                tokens.append(int(realign(logits, [AMULET], work).argmax()))
                (logits,) = lockstep.advance(tokens[-1:])
            replies.append(tokens)
    assert replies[0] == replies[1]
    assert len(set(replies[0])) > 5


def test_a_chat_that_grows_long_takes_along_what_it_holds(
    lockstep: Lockstep, tiny_model: Model
) -> None:
    lockstep.prefill({0: BASE[:900], 1: PREF[:900]})
    assert not context_of(lockstep).apart
    rows = say_what_fresh_ones_say(lockstep, tiny_model, {0: BASE, 1: PREF})
    assert context_of(lockstep).apart
    assert rows == 300 + 200


def test_a_preference_that_moves_to_the_newest_message_shares_what_the_base_holds(
    lockstep: Lockstep, tiny_model: Model
) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    moved = {0: [*BASE, 7, 8, 9], 1: [*BASE, 7, 5, 6]}
    rows = say_what_fresh_ones_say(lockstep, tiny_model, moved)
    assert not context_of(lockstep).apart
    assert rows == 1 + 2 + 2


def test_a_short_chat_behind_a_long_one_is_arranged_as_if_it_were_the_first(
    lockstep: Lockstep, tiny_model: Model
) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    short = {0: numbers(5, 30), 1: numbers(6, 40)}
    assert say_what_fresh_ones_say(lockstep, tiny_model, short) == 70
    assert not context_of(lockstep).apart


def test_a_stream_that_goes_on_alone_changes_nothing(lockstep: Lockstep) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    lockstep.prefill({0: [*BASE, 3]})
    assert context_of(lockstep).apart
    assert held(lockstep) == [[*BASE, 3], PREF]


def test_pools_grow_while_a_reply_is_written(lockstep: Lockstep, tiny_model: Model) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    before = lockstep.cells
    reply = numbers(3, 800)
    logits = lockstep.advance(reply)[-1]
    assert before < lockstep.cells == 2 * 2048
    assert same(logits[0], fresh(tiny_model, BASE + reply))
    assert same(logits[1], fresh(tiny_model, PREF + reply))


def test_another_stream_takes_no_cells_from_those_there_are(
    lockstep: Lockstep, tiny_model: Model
) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    lockstep.open(3)
    other = numbers(4, 1000)
    rows = say_what_fresh_ones_say(lockstep, tiny_model, {0: BASE, 1: PREF, 2: other})
    assert context_of(lockstep).apart
    assert rows == len(other) + 2  # the last token of those that are held gives logits again


def test_a_copied_stream_says_the_same(lockstep: Lockstep, tiny_model: Model) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    lockstep.copy(0, 1)
    rows = lockstep.advance_each({0: 4, 1: 6})
    assert same(rows[0], fresh(tiny_model, [*BASE, 4]))
    assert same(rows[1], fresh(tiny_model, [*BASE, 6]))


def test_without_memory_for_pools_there_stays_one(
    lockstep: Lockstep, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(lockstep)
    make, refusals = context._make, [UsageError("no memory")]

    def refusing(length: int) -> object:
        if refusals:
            raise refusals.pop()
        return make(length)

    monkeypatch.setattr(context, "_make", refusing)
    say_what_fresh_ones_say(lockstep, tiny_model, {0: BASE, 1: PREF})
    assert not refusals
    assert not context.apart


@pytest.mark.slow
@pytest.mark.parametrize(
    "write", [tiny_models.write_sliding_window, tiny_models.write_mamba, tiny_models.write_hybrid]
)
def test_memory_that_cannot_be_moved_stays_in_one_pool(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "model.gguf")
    options = LONG
    with (
        closing(Model(str(tmp_path / "model.gguf"))) as model,
        closing(Lockstep(model, options)) as lockstep,
    ):
        say_what_fresh_ones_say(lockstep, model, {0: BASE, 1: PREF})
        assert not context_of(lockstep).apart


@pytest.mark.parametrize(
    ("prompts", "apart"),
    [
        pytest.param({0: BASE, 1: PREF}, True, id="a pool each"),
        pytest.param({0: [*BASE, *PREF[:500]], 1: [*BASE, *PREF[9:600]]}, False, id="one pool"),
    ],
)
def test_a_long_chat_that_was_kept_goes_on_as_it_was_arranged(
    lockstep: Lockstep,
    tiny_model: Model,
    tmp_path: Path,
    prompts: dict[int, list[int]],
    apart: bool,
) -> None:
    """And takes no more cells: what streams share is stored once again."""
    lockstep.prefill(prompts)
    save(lockstep, tmp_path / "one.state", "tiny")
    with closing(Lockstep(tiny_model, LONG)) as later:
        assert restore(later, tmp_path / "one.state", "tiny") == max(map(len, prompts.values()))
        assert context_of(later).apart == apart
        assert held(later) == list(prompts.values())
        longer = {k: [*prompt, 9] for k, prompt in prompts.items()}
        assert say_what_fresh_ones_say(later, tiny_model, longer) == 2
        assert later.cells == lockstep.cells


def test_blocks_are_tried_only_where_a_pool_has_room(lockstep: Lockstep) -> None:
    lockstep.prefill({0: BASE, 1: PREF})
    pool = lockstep.cells // 2
    lockstep.advance(numbers(3, pool - len(BASE) - 10))
    assert can_try(lockstep, 2, 10)
    assert not can_try(lockstep, 2, 11)
