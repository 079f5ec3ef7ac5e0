"""One run of `amulet bench`: everything measured, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import msgspec

from amulet_local.bench.arms import Arm, ArmResult, lockstep_arm, make_arms, ngrams, race, race_work
from amulet_local.bench.outside import outside_ms
from amulet_local.bench.timing import TimeLeft, Timing
from amulet_local.bench.turns import KvMemory, Turn, measure_kv, measure_turns, turns_work
from amulet_local.errors import UsageError
from amulet_local.generation.speculative import USUAL_STEP_COST, linear_cost
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.autotune import block_ms
from amulet_local.runtime.block_costs import cost_of, table_of
from amulet_local.runtime.llama.devices import add_servers
from amulet_local.runtime.llama.errors import NoCellsError
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import layers_asked, with_autotuned

_CONTEXT = 3072
_SMALLEST = 256  # llama.cpp makes contexts of multiples of it
TOKENS = 40
REPEAT = 3
_QUICK_S = 30.0  # beside loading
_QUICK_TOKENS = 24
_QUICK_ROUNDS = 8


class Report(msgspec.Struct, frozen=True):
    """What `run` measured. block_ms: milliseconds to evaluate a block of so many tokens on both
    streams. outside_ms: milliseconds of a token outside llama_decode, by part."""

    model: str
    description: str
    vocabulary: int
    threads: int
    arms: list[ArmResult]
    block_ms: dict[int, float]
    turns: list[Turn]
    kv: list[KvMemory]
    outside_ms: dict[str, float]


class QuickReport(msgspec.Struct, frozen=True):
    """What `run_quick` measured: tokens a second of replies without and with a preference, as the
    chat writes them; ratio, the time of a realigned token / of a plain one; and the seconds until
    a new chat's first token can be chosen."""

    model: str
    description: str
    threads: int
    plain: Timing
    realigned: Timing
    ratio: float
    plain_first_s: Timing
    realigned_first_s: Timing


@contextmanager
def _loaded(
    path: str, options: LoadOptions, say: Callable[[str], None]
) -> Iterator[tuple[Model, Prompter, LoadOptions, ExitStack]]:
    """The model with its prompter, the options by which it is measured, and what frees the arms.

    Raises UsageError where the context has no room for what is done meanwhile.
    """
    usual = msgspec.structs.replace(options, context=options.context or _CONTEXT)
    if usual.context < _SMALLEST:
        raise UsageError(f"--context is too small to measure in; give it {_SMALLEST} or more.")
    chosen = with_autotuned(usual, path)
    say("loading")
    add_servers(chosen.rpc)
    with (
        closing(Model(path, gpu_layers=layers_asked(chosen), devices=chosen.devices)) as model,
        ExitStack() as opened,
    ):
        try:
            yield model, Prompter(model.vocabulary, model.chat_template), chosen, opened
        except NoCellsError:
            raise UsageError(
                f"a context of {chosen.context:,} tokens has no room for what is measured; give a "
                "larger --context, or fewer --tokens."
            ) from None


def run_quick(path: str, options: LoadOptions, say: Callable[[str], None]) -> QuickReport:
    """Measure what a user notices, for half a minute or two rounds. Raises what loading raises."""
    with _loaded(path, options, say) as (model, prompter, chosen, opened):
        guesses = ngrams(linear_cost(chosen.step_cost or USUAL_STEP_COST))
        arms = (
            lockstep_arm(opened, "plain", "prose", model, prompter, chosen, streams=1),
            lockstep_arm(opened, "realigned", "prose", model, prompter, chosen, guesses),
        )
        speeds, first = _quick_rounds(arms, say)
        return QuickReport(
            model=path,
            description=model.description,
            threads=chosen.threads or physical_cores(),
            plain=speeds[0],
            realigned=speeds[1],
            ratio=speeds[0].median / speeds[1].median,
            plain_first_s=first[0],
            realigned_first_s=first[1],
        )


def _quick_rounds(
    arms: Sequence[Arm], say: Callable[[str], None]
) -> tuple[list[Timing], list[Timing]]:
    """Tokens a second of each, and seconds to read the prompt, over rounds that alternate."""
    speeds: list[list[float]] = [[] for _ in arms]
    first: list[list[float]] = [[] for _ in arms]
    tokens, began, rounds = _QUICK_TOKENS, time.perf_counter(), 0
    while rounds < _QUICK_ROUNDS:
        for arm, speed, read in zip(arms, speeds, first, strict=True):
            say(f"{arm.name} ({rounds + 1} of at most {_QUICK_ROUNDS})")
            read.append(arm.read())
            run = arm.write(tokens)
            speed.append(run.tokens / run.seconds)
        rounds += 1
        spent = time.perf_counter() - began
        if rounds == 1 and 2 * spent > _QUICK_S:  # a large model: a shorter second round
            tokens = max(4, round(tokens * _QUICK_S / 2 / spent))
        elif rounds > 1 and spent * (rounds + 1) / rounds > _QUICK_S:
            break
    return [Timing.of(each) for each in speeds], [Timing.of(each) for each in first]


def run(
    path: str,
    options: LoadOptions,
    say: Callable[[str], None],
    *,
    draft: str = "",
    tokens: int = TOKENS,
    repeat: int = REPEAT,
) -> Report:
    """Measure everything. say hears what is being measured; raises what loading raises."""
    with _loaded(path, options, say) as (model, prompter, chosen, opened):
        threads = chosen.threads or physical_cores()
        say("blocks of rows")
        blocks = block_ms(model, chosen, repeat)
        cost = cost_of(table_of({size: [ms] for size, ms in blocks.items()}))
        arms = make_arms(opened, model, path, prompter, chosen, draft, threads, cost)
        left = TimeLeft(say, race_work(len(arms), tokens, repeat) + turns_work(repeat))
        results = race(arms, tokens, repeat, left)
        turns = measure_turns(model, prompter, chosen, repeat, left)
        say("memory")
        kv = measure_kv(model, chosen)
        say("what a token costs outside llama_decode")
        return Report(
            model=path,
            description=model.description,
            vocabulary=model.vocabulary.size,
            threads=threads,
            arms=results,
            block_ms=blocks,
            turns=turns,
            kv=kv,
            outside_ms=outside_ms(model),
        )
