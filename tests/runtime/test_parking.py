"""What waits is moved out of the pool, and says afterwards what a fresh evaluation says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.parking import Parking
from amulet_local.runtime.stream_pool import Part, StreamPool
from amulet_local.runtime.streams import Stream
from tests.runtime.test_lockstep import numbers, same
from tests.tiny_models import write_llama, write_mamba, write_sliding_window

pytestmark = pytest.mark.model

OPTIONS = LoadOptions(context=512, batch=512, flash_attention="off")
TEXTS = [numbers(seed, 300) for seed in range(6)]


@pytest.fixture
def pool(tiny_model: Model) -> Iterator[StreamPool]:
    """Of cells that all streams share: too few for each to have some to itself."""
    with closing(Lockstep(tiny_model, OPTIONS, streams=8, cells=2040)) as lockstep:
        yield StreamPool(lockstep)


def read(pool: StreamPool, text: list[int]) -> tuple[int, NDArray[np.float32]]:
    """How many tokens of a text had to be evaluated, and the logits after it."""
    (stream,) = pool.take([text]) or []
    missing = len(text) - len(stream.tokens)
    (logits,) = pool.evaluate([Part(stream, text[len(stream.tokens) :], 1)])
    last = logits.copy()
    pool.give_back([stream])
    return missing, last


def in_cells(pool: StreamPool) -> int:
    return sum(len(stream.tokens) for stream in pool._streams)


def test_what_waits_leaves_the_pool_and_comes_back_as_it_was(pool: StreamPool) -> None:
    """More texts than there are streams, in turn."""
    first = [read(pool, text) for text in TEXTS]
    assert [missing for missing, _ in first] == [300] * len(TEXTS)
    again = [read(pool, [*text, 7]) for text in TEXTS]
    assert [missing for missing, _ in again] == [1] * len(TEXTS)
    assert in_cells(pool) <= 2 * 301 + pool._at_hand
    fresh = read(pool, [*numbers(9, 5), 7])[1]
    assert not same(again[0][1], fresh)
    pool._parking.texts.clear()
    for stream in pool._streams:
        stream.cut(0)
    assert same(again[0][1], read(pool, [*TEXTS[0], 7])[1])


def test_a_beginning_is_lent_by_one_that_stays_parked(pool: StreamPool) -> None:
    for text in TEXTS:
        read(pool, text)
    parked = [text.tokens for text in pool._parking.texts]
    assert TEXTS[0] in parked
    assert read(pool, [*TEXTS[0][:200], 5, 6])[0] == 2
    assert read(pool, [*TEXTS[0], 7])[0] == 1


@pytest.mark.parametrize("write", [write_llama, write_mamba, write_sliding_window])
def test_whatever_the_memory_a_text_goes_on(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "tiny.gguf")
    with (
        closing(Model(str(tmp_path / "tiny.gguf"))) as model,
        closing(Lockstep(model, OPTIONS, streams=4, cells=2048)) as lockstep,
    ):
        pool = StreamPool(lockstep)
        for text in TEXTS:
            read(pool, text)
        assert [read(pool, [*text, 7])[0] for text in TEXTS] == [1] * len(TEXTS)


def test_what_was_used_longest_ago_gives_way(tiny_model: Model) -> None:
    with closing(Lockstep(tiny_model, OPTIONS, streams=4, cells=2048)) as lockstep:
        pool = StreamPool(lockstep)
        (stream,) = pool.take([TEXTS[0]]) or []
        pool.evaluate([Part(stream, TEXTS[0])])
        size = len(stream.context.state(stream.sequence))
        parking = Parking(window=False, most=2 * size)

        def park(tokens: list[int]) -> None:
            pool.evaluate([Part(stream, tokens)])
            parking.park(stream)

        parking.park(stream)
        park(TEXTS[1])
        target: Stream = stream
        parking.fetch(parking.texts[0], target, 200)
        assert target.tokens == TEXTS[0][:200]
        target.cut(0)
        park(TEXTS[2])
        assert [text.tokens for text in parking.texts] == [TEXTS[0], TEXTS[2]]
        assert not stream.tokens


def test_with_nothing_else_to_do_all_but_what_came_last_is_moved_out(pool: StreamPool) -> None:
    texts = [[*text, *text] for text in TEXTS[:3]]
    streams = [stream for text in texts for stream in pool.take([text]) or []]
    for stream, text in zip(streams, texts, strict=True):
        pool.evaluate([Part(stream, text[:450])])
    for stream in streams:
        pool.give_back([stream])
    pool._at_hand = 0
    assert pool.tidy()
    assert pool.tidy()
    assert not pool.tidy()
    assert [bool(stream.tokens) for stream in streams] == [False, False, True]
