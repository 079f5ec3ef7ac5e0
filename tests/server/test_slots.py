"""Slots: first come, first served; who goes away takes none with it."""

from __future__ import annotations

import asyncio

import pytest

from amulet_local.server.failures import ApiError
from amulet_local.server.slots import Slots


async def test_who_came_first_is_served_first_and_too_many_are_refused() -> None:
    slots, served = Slots(2, 2), list[int]()

    async def come(number: int, count: int) -> None:
        await slots.take(count)
        served.append(number)

    await come(0, 2)
    waiting = [asyncio.create_task(come(number, 3 - number)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as raised:
        await slots.take(1)
    assert (raised.value.status, raised.value.retry_after > 0) == (503, True)
    slots.give_back(1)
    await asyncio.sleep(0)
    assert served == [0]  # the first wants two
    slots.give_back(1)
    await asyncio.sleep(0)
    assert served == [0, 1]
    slots.give_back(2)
    await asyncio.gather(*waiting)
    assert (served, slots.free, slots.waiting) == ([0, 1, 2], 1, 0)


async def test_a_slot_granted_to_one_that_is_gone_is_free_again() -> None:
    slots = Slots(1, 4)
    await slots.take(1)
    first, second = (asyncio.create_task(slots.take(1)) for _ in range(2))
    await asyncio.sleep(0)
    slots.give_back(1)
    first.cancel()  # in the same turn of the loop
    await asyncio.gather(first, return_exceptions=True)
    await second
    assert (slots.free, slots.waiting) == (0, 0)
    third = asyncio.create_task(slots.take(1))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert (slots.free, slots.waiting) == (0, 0)
    slots.give_back(1)
    assert slots.free == 1
