"""The fastest settings for one model on one machine, found in half a minute and kept.

What was found fills in where LoadOptions leaves a choice open (0 or "auto"). Kept as one JSON file
per model in the data folder; a changed model file, machine or llama-cpp-python makes it stale.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TypeVar

import msgspec
import psutil

from amulet_local.llama import Model, physical_cores
from amulet_local.lockstep import Lockstep
from amulet_local.protocol import Arrangement, LoadOptions
from amulet_local.settings import calibration_file

Choice = TypeVar("Choice")

_BLOCKS = (1, 2, 4, 8)
_CONTEXT = 1024


class Calibration(msgspec.Struct, frozen=True):
    """The choices that were fastest (see LoadOptions for their meaning)."""

    streams: Arrangement
    threads: int
    batch: int
    step_cost: float


def settle(options: LoadOptions, model: str) -> LoadOptions:
    """Options with what calibration found in place of what they leave open."""
    try:
        found = msgspec.json.decode(calibration_file(model).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return options
    open_choices = {
        field: getattr(found, field)
        for field in Calibration.__struct_fields__
        if getattr(options, field) in (0, "auto")
    }
    return msgspec.structs.replace(options, **open_choices)


def calibrate(
    path: str, options: LoadOptions, say: Callable[[str], None], repeat: int = 9
) -> Calibration:
    """Find the fastest choices, keep them, return them. Raises what loading raises, and OSError.

    Candidates take turns; another choice than the default must be 3% faster to be taken.
    """
    options = msgspec.structs.replace(options, context=_CONTEXT, batch=0)
    model = Model(path, gpu_layers=options.gpu_layers)
    try:
        cores, logical = physical_cores(), psutil.cpu_count() or 1
        say("threads")
        counts = sorted({cores, max(1, cores - 1), logical}, key=lambda n: n != cores)
        step_s = {n: _Candidate(model, options, "one-context", n) for n in counts}
        threads = _fastest({n: c.step for n, c in step_s.items()}, repeat)
        for candidate in step_s.values():
            candidate.close()
        say("streams")
        arrangements: tuple[Arrangement, ...] = ("one-context", "two-contexts")
        arranged = {a: _Candidate(model, options, a, threads) for a in arrangements}
        streams = _fastest({a: c.step for a, c in arranged.items()}, repeat)
        for other in arranged.values():
            other.close()
        say("batch")
        batches = {n: _Candidate(model, options, streams, threads, n) for n in (512, 256, 1024)}
        batch = _fastest({n: c.read for n, c in batches.items()}, max(2, repeat // 4))
        for reader in batches.values():
            reader.close()
        say("blocks of rows")
        settled = msgspec.structs.replace(options, streams=streams, threads=threads)
        cost = step_cost(block_ms(model, settled, repeat))
    finally:
        model.close()
    found = Calibration(streams, threads, batch, round(cost, 3))
    file = calibration_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(found))
    return found


def some_tokens(model: Model, count: int, start: int = 100) -> list[int]:
    """Consecutive token ids, for measurements in which the words do not matter."""
    return [(start + i) % model.vocabulary.size for i in range(count)]


def two_prompts(model: Model, count: int = 256) -> dict[int, list[int]]:
    """Two streams' prompts of so many tokens with nothing in common."""
    return {k: some_tokens(model, count, start=100 + k) for k in range(2)}


def block_ms(model: Model, options: LoadOptions, repeat: int) -> dict[int, float]:
    """Median milliseconds in llama_decode for blocks of 1, 2, 4, 8 tokens on two streams."""
    lockstep = Lockstep(model, msgspec.structs.replace(options, context=_CONTEXT))
    times: dict[int, list[float]] = {size: [] for size in _BLOCKS}
    prompts = two_prompts(model)
    for _ in range(repeat + 1):
        for size, record in times.items():
            lockstep.prefill(prompts)
            before = lockstep.decode_s
            lockstep.advance(range(size))
            record.append((lockstep.decode_s - before) * 1000)
    lockstep.close()
    return {size: statistics.median(record[1:]) for size, record in times.items()}


def step_cost(blocks: dict[int, float]) -> float:
    """What each further token of a block costs, in steps of one token (LoadOptions.step_cost)."""
    slopes = [(ms / blocks[1] - 1) / (size - 1) for size, ms in blocks.items() if size > 1]
    return max(0.01, statistics.mean(slopes))


class _Candidate:
    """Two short streams under some settings."""

    def __init__(
        self,
        model: Model,
        options: LoadOptions,
        streams: Arrangement,
        threads: int,
        batch: int = 0,
    ) -> None:
        settings = msgspec.structs.replace(options, streams=streams, threads=threads, batch=batch)
        self._lockstep = Lockstep(model, settings)
        self._short, self._long = two_prompts(model), two_prompts(model, 900)
        self.close = self._lockstep.close

    def step(self) -> float:
        """Seconds in llama_decode for four tokens."""
        self._lockstep.prefill(self._short)
        before = self._lockstep.decode_s
        for token in range(4):
            self._lockstep.advance([token])
        return self._lockstep.decode_s - before

    def read(self) -> float:
        """Seconds in llama_decode for a prompt of 900 tokens that nothing is known of."""
        self._lockstep.prefill({0: [1], 1: [1]})
        before = self._lockstep.decode_s
        self._lockstep.prefill(self._long)
        return self._lockstep.decode_s - before


def _fastest(candidates: dict[Choice, Callable[[], float]], repeat: int) -> Choice:
    """The choice with the least median time; the first stays unless another gains 3%."""
    times: dict[Choice, list[float]] = {choice: [] for choice in candidates}
    for _ in range(repeat + 1):
        for choice, work in candidates.items():
            times[choice].append(work())
    medians = {choice: statistics.median(record[1:]) for choice, record in times.items()}
    first, best = next(iter(medians)), min(medians, key=lambda choice: medians[choice])
    return best if medians[best] < 0.97 * medians[first] else first
