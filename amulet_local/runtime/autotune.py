"""The fastest settings for one model on one machine, found in half a minute and kept.

load_defaults.py says what is kept, and uses it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import msgspec
import psutil
from msgspec.structs import replace

from amulet_local.files import write_whole
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.block_costs import BlockCosts
from amulet_local.runtime.llama.devices import add_servers, offloads
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import Autotuned, layers_asked
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.settings import autotune_file

_BLOCKS = (1, 2, 4, 8)
_CONTEXT = 1024


def keep_autotuned(path: str, found: Autotuned) -> None:
    """Have loads of a model use what was found for it. Raises OSError."""
    write_whole(autotune_file(path), msgspec.json.encode(found))


def autotune(
    path: str,
    options: LoadOptions,
    say: Callable[[str], None],
    repeat: int = 9,
    keep: Callable[[str, Autotuned], None] = keep_autotuned,
) -> Autotuned:
    """Find the fastest choices, keep them, return them. Raises what loading raises, and `keep`.

    Candidates take turns; another choice than the default must be 3% faster to be taken.
    """
    found = replace(options, context=_CONTEXT, batch=0)
    add_servers(options.rpc)
    with closing(Model(path, gpu_layers=layers_asked(options), devices=options.devices)) as model:
        if options.kv_type == "f16":
            say("attention")
            kinds = ("on", "off")
            found = _fastest(model, found, "flash_attention", kinds, repeat, _Candidate.turn)
        say("threads")
        cores, logical = physical_cores(), psutil.cpu_count() or 1
        counts = sorted({cores, max(1, cores - 1), logical}, key=lambda n: n != cores)
        found = _fastest(model, found, "threads", counts, repeat, _Candidate.step)
        say("streams")
        arrangements = ("one-context", "two-contexts")
        found = _fastest(model, found, "streams", arrangements, repeat, _Candidate.step)
        say("batch")
        sizes = (128, 256, 512) if found.flash_attention == "off" else (512, 256, 1024)
        few = max(2, repeat // 4)
        found = _fastest(model, found, "batch", sizes, few, _Candidate.read)
        best = Autotuned(found.streams, found.threads, found.flash_attention, found.batch)
        keep(path, best)
        say("blocks of rows")
        _measure_blocks(model, path, found)
    return best


def _measure_blocks(model: Model, path: str, options: LoadOptions) -> None:
    layers = model.layers + 1 if offloads(model.gpu_layers) else 0
    with closing(Lockstep(model, options)) as lockstep:
        costs = BlockCosts(lockstep, path, options, layers)
        while costs.unfinished:
            costs.go_on()


def some_tokens(model: Model, count: int, start: int = 100) -> list[int]:
    """Consecutive token ids, for measurements in which the words do not matter."""
    return [(start + i) % model.vocabulary.size for i in range(count)]


def two_prompts(model: Model, count: int = 256) -> dict[int, list[int]]:
    """Two streams' prompts of so many tokens with nothing in common."""
    return {k: some_tokens(model, count, start=100 + k) for k in range(2)}


def block_ms(model: Model, options: LoadOptions, repeat: int) -> dict[int, float]:
    """Median milliseconds in llama_decode for blocks of 1, 2, 4, 8 tokens on two streams."""
    times: dict[int, list[float]] = {size: [] for size in _BLOCKS}
    prompts = two_prompts(model)
    with closing(Lockstep(model, replace(options, context=_CONTEXT))) as lockstep:
        for _ in range(repeat + 1):
            for size, record in times.items():
                lockstep.prefill(prompts)
                before = lockstep.decode_s
                lockstep.advance(range(size))
                record.append((lockstep.decode_s - before) * 1000)
    return {size: statistics.median(record[1:]) for size, record in times.items()}


class _Candidate:
    """Two streams under some settings; each measure is of seconds in llama_decode."""

    def __init__(self, model: Model, options: LoadOptions) -> None:
        self._lockstep = Lockstep(model, options)
        self._short, self._long = two_prompts(model), two_prompts(model, 900)
        self._longer = {k: [*prompt, *range(50)] for k, prompt in self._long.items()}
        self.close = self._lockstep.close

    def step(self) -> float:
        """Four tokens."""
        self._lockstep.prefill(self._short)
        before = self._lockstep.decode_s
        for token in range(4):
            self._lockstep.advance([token])
        return self._lockstep.decode_s - before

    def read(self) -> float:
        """A prompt of 900 tokens that nothing is known of."""
        self._lockstep.prefill({0: [1], 1: [1]})
        before = self._lockstep.decode_s
        self._lockstep.prefill(self._long)
        return self._lockstep.decode_s - before

    def turn(self) -> float:
        """A turn of a long chat: reading 50 tokens, then writing 200, of which 8 are written."""
        self._lockstep.prefill(self._long)
        before = self._lockstep.decode_s
        self._lockstep.prefill(self._longer)
        read = self._lockstep.decode_s
        for token in range(8):
            self._lockstep.advance([token])
        return read - before + 200 / 8 * (self._lockstep.decode_s - read)


def _fastest(
    model: Model,
    options: LoadOptions,
    field: str,
    choices: Sequence[object],
    repeat: int,
    measure: Callable[[_Candidate], float],
) -> LoadOptions:
    """Options with the choice of the least median time; the first stays unless another gains 3%."""
    settings = [replace(options, **{field: choice}) for choice in choices]
    times: list[list[float]] = [[] for _ in settings]
    with ExitStack() as owned:
        candidates = [owned.enter_context(closing(_Candidate(model, each))) for each in settings]
        for _ in range(repeat + 1):
            for candidate, record in zip(candidates, times, strict=True):
                record.append(measure(candidate))
    medians = [statistics.median(record[1:]) for record in times]
    best = min(range(len(medians)), key=lambda k: medians[k])
    return settings[best if medians[best] < 0.97 * medians[0] else 0]
