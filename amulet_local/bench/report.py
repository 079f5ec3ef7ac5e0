"""One run of `amulet bench`: everything measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

import msgspec

from amulet_local.bench.arms import ArmResult, make_arms, race
from amulet_local.bench.outside import outside_ms
from amulet_local.bench.turns import KvMemory, Turn, measure_kv, measure_turns
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.autotune import block_ms
from amulet_local.runtime.block_costs import cost_of, table_of
from amulet_local.runtime.llama.devices import add_servers
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import layers_asked, with_autotuned

_CONTEXT = 3072


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


def run(
    path: str,
    options: LoadOptions,
    say: Callable[[str], None],
    *,
    draft: str = "",
    tokens: int = 64,
    repeat: int = 5,
) -> Report:
    """Measure everything. say hears what is being measured; raises what loading raises."""
    usual = msgspec.structs.replace(options, context=options.context or _CONTEXT)
    chosen = with_autotuned(usual, path)
    threads = chosen.threads or physical_cores()
    say("loading")
    add_servers(chosen.rpc)
    with (
        closing(Model(path, gpu_layers=layers_asked(chosen), devices=chosen.devices)) as model,
        ExitStack() as opened,
    ):
        prompter = Prompter(model.vocabulary, model.chat_template)
        say("blocks of rows")
        blocks = block_ms(model, chosen, repeat)
        cost = cost_of(table_of({size: [ms] for size, ms in blocks.items()}))
        arms = make_arms(opened, model, path, prompter, chosen, draft, threads, cost)
        results = race(arms, tokens, repeat, say)
        turns = measure_turns(model, prompter, chosen, repeat, say)
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
