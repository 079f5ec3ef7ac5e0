"""What a block of 1 to 16 tokens costs on two streams, in steps of one token: measured while the
machine is idle, and kept.

Kernels work on several rows at once, so the costs are no straight line: four rows may cost what
three do. Trial blocks on a loaded model's streams go in, a table comes out; how many tokens are
guessed ahead follows from it. Nothing here knows when that is.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from amulet_local.files import read_json, write_whole
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.settings import autotune_folder, block_costs_file
from amulet_local.system import paths

LONGEST = 16  # tokens: a guess of 15 behind the token that is certain
FIRST_S = 3.0  # in which the first table is taken
_FIRST_SIZES = (1, 2, 4, 3, 6, 8, 12, 16)  # between which the others are estimated at first
_FIRST_ROUNDS = 3
_ALL_SIZES = tuple(range(1, LONGEST + 1))
_ROUNDS = 5  # after which a table is as good as it gets
_MOST_BYTES = 1 << 12

Table = tuple[float, ...]  # of LONGEST costs: of a block of 1 (which is 1.0), of 2, and so on


class _Kept(msgspec.Struct, frozen=True):
    """A table as it is kept, and from how many rounds of measuring it is."""

    costs: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=1.0, le=1e6)], ...],
        msgspec.Meta(min_length=LONGEST, max_length=LONGEST),
    ]
    rounds: Annotated[int, msgspec.Meta(ge=1)]


class BlockCosts:
    """The table of one loaded model.

    path, options, layers: of the model, how it is loaded, and how much of it is on devices. table:
    what guessing goes by; empty while nothing is known. It is set once in a load and what is
    measured later counts from the next one, so that a seed meets the same blocks.
    """

    def __init__(self, lockstep: Lockstep, path: str, options: LoadOptions, layers: int) -> None:
        self._lockstep, self._file = lockstep, _file_of(lockstep, path, options, layers)
        self._earlier = _read(self._file)
        self.table: Table = self._earlier.costs if self._earlier else ()
        self._seconds: dict[int, list[float]] = {size: [] for size in range(1, LONGEST + 1)}
        self._warm = False  # the first trial has llama.cpp make room for others
        self._spent_s = 0.0
        self._to_try = deque(_ALL_SIZES if self._earlier else _FIRST_SIZES * _FIRST_ROUNDS)
        self._rounds = 0

    @property
    def unfinished(self) -> bool:
        """Whether more trials would make the table better, and can be made now."""
        rounds = self._rounds + (self._earlier.rounds if self._earlier else 0)
        return rounds < _ROUNDS and can_try(self._lockstep, 2, LONGEST)

    def go_on(self) -> None:
        """One more trial; what a round has found is kept. Raises AbortedError."""
        seconds = trial(self._lockstep, 2, self._to_try[0])
        if not self._warm:
            self._warm = True
            return
        self._seconds[self._to_try.popleft()].append(seconds)
        self._spent_s += seconds
        enough = not self.table and self._spent_s > FIRST_S and bool(self._seconds[2])
        if enough or not self._to_try:
            self._keep()
            self._to_try = deque(_ALL_SIZES)

    def _keep(self) -> None:
        self._rounds += 1
        table, rounds = table_of(self._seconds), self._rounds
        if earlier := self._earlier:
            rounds += earlier.rounds
            table = tuple(np.average([earlier.costs, table], 0, [earlier.rounds, self._rounds]))
        self.table = self.table or table
        with suppress(OSError):  # it is measured again then
            write_whole(self._file, msgspec.json.encode(_Kept(table, rounds)))


def table_of(seconds: Mapping[int, Sequence[float]]) -> Table:
    """Relative costs from the times of blocks by their size: some of 1 and of another one.

    A size that was not tried is put on the line through its neighbours. No block costs more than a
    longer one, since it could be filled up: what stands out upwards was disturbed.
    """
    sizes = [size for size, times in sorted(seconds.items()) if times]
    costs = np.array([statistics.median(seconds[size]) for size in sizes])
    costs = np.minimum.accumulate(costs[::-1])[::-1]
    wanted = np.arange(1, LONGEST + 1)
    table = np.interp(wanted, sizes, costs)
    beyond = wanted > sizes[-1]
    slope = (costs[-1] - costs[-2]) / (sizes[-1] - sizes[-2])
    table[beyond] = costs[-1] + slope * (wanted[beyond] - sizes[-1])
    return tuple(np.maximum(table / table[0], 1.0).tolist())


def cost_of(table: Table) -> Callable[[int], float]:
    """The costs as a function of a block's length; beyond the table, as it ends."""
    slope = table[-1] - table[-2]
    return lambda block: table[min(block, LONGEST) - 1] + slope * max(0, block - LONGEST)


def can_try(lockstep: Lockstep, streams: int, block: int) -> bool:
    """Whether a trial of this size leaves all as it was, with no more cells than there are."""
    if not lockstep.can_rewind or len(lockstep.all_streams) < streams:
        return False
    held = [len(stream.tokens) for stream in lockstep.all_streams]
    context = lockstep.all_streams[0].context
    if context.apart:
        return max(held) + block <= context.length // context.sequences
    return max(held) + block <= lockstep.length and sum(held) + streams * block <= lockstep.cells


def trial(lockstep: Lockstep, streams: int, block: int) -> float:
    """Seconds in llama_decode for a block of so many tokens on the first streams, which forget it
    again; only where `can_try`. Raises AbortedError."""
    active, began = lockstep.active, lockstep.decode_s
    lockstep.activate(range(streams))
    try:
        lockstep.advance([0] * block)
        took = lockstep.decode_s - began
        lockstep.rewind(block)
    finally:
        lockstep.activate(active)
    return took


def step_ratio(lockstep: Lockstep) -> float:
    """What a step of as many streams as are active takes against one of a single one, here and
    now. Raises AbortedError."""
    times = [trial(lockstep, streams, 1) for streams in (len(lockstep.active), 1) * 3]
    return statistics.median(times[::2]) / statistics.median(times[1::2])


def _file_of(lockstep: Lockstep, path: str, options: LoadOptions, layers: int) -> Path:
    """Named by whatever of the load changes what a block costs."""
    threads = options.threads or physical_cores()
    loaded = f"{lockstep.arrangement} {threads} {options.flash_attention} {options.kv_type}"
    return block_costs_file(path, f"{loaded} {layers} {options.devices}")


def _read(file: Path) -> _Kept | None:
    if not paths.is_dir(autotune_folder()):
        return None
    try:
        return read_json(file, _MOST_BYTES, _Kept)
    except (OSError, ValueError):
        return None
