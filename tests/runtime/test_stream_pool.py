"""Streams that have their cells to themselves, until a text outgrows them: it goes on as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_pool import Part, StreamPool
from amulet_local.runtime.streams import Stream
from tests.checks import some
from tests.runtime.test_lockstep import numbers, same

pytestmark = pytest.mark.model

OPTIONS = LoadOptions(context=1024, batch=512, flash_attention="off")
PART = 256
SHORT, LONG = numbers(1, 60), numbers(2, 500)


@pytest.fixture
def pool(tiny_model: Model) -> Iterator[StreamPool]:
    with closing(Lockstep(tiny_model, OPTIONS, streams=4, cells=4 * PART)) as lockstep:
        yield StreamPool(lockstep)


def apart(pool: StreamPool) -> bool:
    return pool._context.apart


def taken(pool: StreamPool, text: list[int]) -> Stream:
    (stream,) = pool.take([text]) or []
    return stream


def after(pool: StreamPool, stream: Stream, text: list[int]) -> NDArray[np.float32]:
    """The logits after a text, of which the stream lacks the end."""
    (logits,) = pool.evaluate([Part(stream, text[len(stream.tokens) :], 1)])
    return logits.copy()


def fresh(model: Model, text: list[int]) -> NDArray[np.float32]:
    with closing(Lockstep(model, OPTIONS, streams=1)) as lockstep:
        (logits,) = lockstep.prefill({0: text})
        return logits.copy()


def test_a_long_text_has_all_cells_and_short_ones_their_own_again(
    pool: StreamPool, tiny_model: Model
) -> None:
    assert apart(pool)
    writing = taken(pool, SHORT)
    assert same(after(pool, writing, SHORT), fresh(tiny_model, SHORT))
    long = taken(pool, LONG)
    assert not apart(pool)
    assert same(after(pool, long, LONG), fresh(tiny_model, LONG))
    assert same(after(pool, writing, [*SHORT, 7]), fresh(tiny_model, [*SHORT, 7]))
    pool.give_back([long])
    pool.give_back([writing])
    while pool.tidy():
        pass
    assert apart(pool)
    again = taken(pool, [*SHORT, 7, 8])
    assert len(again.tokens) == len(SHORT) + 1
    assert same(after(pool, again, [*SHORT, 7, 8]), fresh(tiny_model, [*SHORT, 7, 8]))


def test_a_text_that_outgrows_its_part_while_others_are_written(
    pool: StreamPool, tiny_model: Model
) -> None:
    text = LONG[: PART - 1]
    growing, other = taken(pool, text), taken(pool, SHORT)
    after(pool, growing, text)
    after(pool, other, SHORT)
    for token in LONG[PART - 1 : PART + 9]:
        text, before = [*text, token], apart(pool)
        pool.evaluate([Part(growing, [token], 1), Part(other, [token], 1)])
    assert (before, apart(pool)) == (False, False)
    assert same(after(pool, growing, [*text, 5]), fresh(tiny_model, [*text, 5]))
    assert other.tokens == [*SHORT, *LONG[PART - 1 : PART + 9]]


def test_logits_come_in_the_order_of_what_was_asked(pool: StreamPool, tiny_model: Model) -> None:
    """Whatever the order of the streams, which is that of the evaluation."""
    texts = [numbers(seed, 9 + seed) for seed in range(4)]
    streams = {taken(pool, text).sequence: text for text in texts}
    by_sequence = {stream.sequence: stream for stream in pool._streams}
    order = sorted(streams, reverse=True)
    parts = [Part(by_sequence[each], streams[each], 1) for each in order]
    rows = [row.copy() for row in pool.evaluate(parts)]
    for each, row in some(zip(order, rows, strict=True)):
        assert same(row, fresh(tiny_model, streams[each]))


def test_streams_in_use_are_neighbours(pool: StreamPool, tiny_model: Model) -> None:
    """Rows of others are evaluated one after the other; both texts are what they were."""
    texts = [numbers(seed, 50 + seed) for seed in range(4)]
    streams = [taken(pool, text) for text in texts]
    pool.evaluate([Part(stream, text) for stream, text in zip(streams, texts, strict=True)])
    pool.give_back(streams[1:3])
    rest = streams[0], streams[3]
    rows = [row.copy() for row in pool.evaluate([Part(stream, [7], 1) for stream in rest])]
    assert abs(rest[0].sequence - rest[1].sequence) == 1
    for text, row in some(zip((texts[0], texts[3]), rows, strict=True)):
        assert same(row, fresh(tiny_model, [*text, 7]))
    again = taken(pool, [*texts[1], 7])
    assert len(again.tokens) == len(texts[1])
    assert same(after(pool, again, [*texts[1], 7]), fresh(tiny_model, [*texts[1], 7]))


def test_neighbours_that_moved_keep_what_they_share_as_one_outgrows_its_part(
    pool: StreamPool, tiny_model: Model
) -> None:
    begun = numbers(9, 200)
    texts = [[*begun, 1], [*begun, 2, 3], numbers(6, 203), numbers(7, 204)]
    streams = [taken(pool, text) for text in texts]
    for stream, text in zip(streams, texts, strict=True):
        after(pool, stream, text)
    pool.give_back(streams[1:3])
    kept, written = (streams[0], streams[3]), (texts[0], texts[3])
    for token in numbers(5, 60):
        for text in written:
            text.append(token)
        rows = [row.copy() for row in pool.evaluate([Part(stream, [token], 1) for stream in kept])]
    assert not apart(pool)
    for text, row in some(zip(written, rows, strict=True)):
        assert same(row, fresh(tiny_model, text))
    again = taken(pool, [*texts[2], 7])
    assert len(again.tokens) == len(texts[2])
    assert same(after(pool, again, [*texts[2], 7]), fresh(tiny_model, [*texts[2], 7]))
