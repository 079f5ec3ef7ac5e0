"""The fastest settings for one model on one machine, found in half a minute of measuring and kept.

load_defaults.py says what is kept, and uses it.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import msgspec
import psutil
from msgspec.structs import replace

from amulet_local.files import write_whole
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.block_costs import BlockCosts
from amulet_local.runtime.llama.devices import add_servers, offloads
from amulet_local.runtime.llama.errors import AbortedError
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
    """Find the fastest choices, keep them, return them. Raises what loading raises, and `keep`."""
    add_servers(options.rpc)
    with closing(Model(path, gpu_layers=layers_asked(options), devices=options.devices)) as model:
        with closing(Tuning(model, options, repeat)) as tuning:
            while not tuning.over:
                say(tuning.now)
                tuning.go_on()
        keep(path, tuning.best)
        say("blocks of rows")
        _measure_blocks(model, path, tuning.found)
    return tuning.best


class Tuning:
    """The fastest choices for a loaded model, found a measurement at a time; see LoadOptions.

    Candidates take turns; another choice than the default must be 3% faster to be taken. Each has
    streams of its own, of a short context. found: options with what is settled. repeat: rounds.
    slow: leave out what takes a long prompt to tell. close: frees the candidates.
    """

    def __init__(
        self, model: Model, options: LoadOptions, repeat: int, *, slow: bool = False
    ) -> None:
        self._model, self._repeat = model, repeat
        self.found = replace(options, context=_CONTEXT, batch=0)
        self._to_settle = deque(["threads", "streams"] if slow else ["threads", "streams", "batch"])
        if options.kv_type == "f16" and not slow:  # else there is no choice
            self._to_settle.appendleft("flash_attention")
        self._race: _Race | None = None
        self._stopped = False

    @property
    def over(self) -> bool:
        """Whether all is settled."""
        return not self._to_settle

    @property
    def now(self) -> str:
        """What is being settled, in words."""
        return self._to_settle[0].replace("_", " ")

    @property
    def best(self) -> Autotuned:
        """What was found, to be kept."""
        found = self.found
        return Autotuned(found.streams, found.threads, found.flash_attention, found.batch)

    def go_on(self) -> None:
        """One more measurement. Raises AbortedError, after which a choice is begun anew."""
        try:
            self._race = self._race or self._new_race(self._to_settle[0])
            if self._stopped:
                raise AbortedError
            self._race.go_on()
        except BaseException:
            self.close()
            raise
        if best := self._race.best:
            self.found = best
            self._to_settle.popleft()
            self.close()

    def abort(self) -> None:
        """From any thread: make the measurement under way, and later ones, raise AbortedError."""
        self._stopped = True
        if race := self._race:
            race.abort()

    def resume(self) -> None:
        """Allow measuring again."""
        self._stopped = False

    def close(self) -> None:
        """Free the candidates; what is settled stays."""
        race, self._race = self._race, None
        if race:
            race.close()

    def _new_race(self, field: str) -> _Race:
        cores, logical = physical_cores(), psutil.cpu_count() or 1
        counts = sorted({cores, max(1, cores - 1), logical}, key=lambda n: n != cores)
        sizes = (128, 256, 512) if self.found.flash_attention == "off" else (512, 256, 1024)
        few = max(2, self._repeat // 4)  # for what reads a long prompt each time
        choices, repeat, measure = {
            "flash_attention": (("on", "off"), self._repeat, _Candidate.turn),
            "threads": (counts, self._repeat, _Candidate.step),
            "streams": (("one-context", "two-contexts"), self._repeat, _Candidate.step),
            "batch": (sizes, few, _Candidate.read),
        }[field]
        settings = [replace(self.found, **{field: choice}) for choice in choices]
        return _Race(self._model, settings, repeat, measure)


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
        self.close, self.abort = self._lockstep.close, self._lockstep.abort

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


class _Race:
    """Candidates that take turns. best: the options of the fastest, once all rounds are run, of
    which the first is to warm up; the first candidate stays unless another gains 3%."""

    def __init__(
        self,
        model: Model,
        settings: Sequence[LoadOptions],
        repeat: int,
        measure: Callable[[_Candidate], float],
    ) -> None:
        self.best: LoadOptions | None = None
        self._model, self._settings, self._measure = model, settings, measure
        self._times: list[list[float]] = [[] for _ in settings]
        self._turns = deque(list(range(len(settings))) * (repeat + 1))
        self._candidates: list[_Candidate] = []
        self._stopped = False

    def go_on(self) -> None:
        """One more measurement. Raises AbortedError."""
        number = self._turns[0]
        if number == len(self._candidates):  # one by one, since each takes a moment to make
            self._candidates.append(_Candidate(self._model, self._settings[number]))
        if self._stopped:
            raise AbortedError
        self._times[number].append(self._measure(self._candidates[number]))
        self._turns.popleft()
        if not self._turns:
            medians = [statistics.median(times[1:]) for times in self._times]
            best = min(range(len(medians)), key=lambda k: medians[k])
            self.best = self._settings[best if medians[best] < 0.97 * medians[0] else 0]

    def abort(self) -> None:
        """From any thread: see Tuning."""
        self._stopped = True
        for candidate in list(self._candidates):
            candidate.abort()

    def close(self) -> None:
        """Free the candidates."""
        with ExitStack() as owned:
            for candidate in self._candidates:
                owned.callback(candidate.close)
