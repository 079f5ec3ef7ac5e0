"""What a model is said to take is what its engine process then takes, within a tenth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Loaded, Reply
from amulet_local.runtime.llama.hardware import build_info
from amulet_local.runtime.load_defaults import own_cells
from amulet_local.runtime.offload import Device
from models import memory
from models.inspection import inspect
from models.memory import estimate, largest_context
from models.quantisation import quantise
from tests.checks import some
from tests.models.gguf_files import write_model

CONTEXT = 256


@contextmanager
def engine(path: Path, options: LoadOptions) -> Iterator[EngineProcess]:
    process = EngineProcess()
    process.load(str(path), options)
    try:
        wait(process, Loaded)
        yield process
    finally:
        process.close()


def wait(process: EngineProcess, kind: type[Loaded | Finished]) -> None:
    while not isinstance(event := process.events.get(timeout=120), kind):
        assert not isinstance(event, Failed | Died), event


def fill(process: EngineProcess, tokens: int) -> None:
    """Both streams to the end of their context, with little in common."""
    request = Reply(
        id=1,
        messages=(Message("user", " walk" * (tokens - 80)),),
        seed=1,
        system="Walk.",
        alignment=Alignment(
            preference="Be brief.", strength=3.0, sampling=Sampling(temperature=0.0)
        ),
        max_tokens=8,
    )
    process.reply(request)
    wait(process, Finished)


def taken(process: EngineProcess) -> int:
    assert process.pid is not None
    return int(psutil.Process(process.pid).memory_info().rss)


def built_for(features: str) -> frozenset[str]:
    """Flags of a processor as Linux names them, of the features that a build of llama.cpp uses."""
    used = {name for name, value in re.findall(r"(\w+) = (\d)", features) if value == "1"}
    flags = {"avx512f"} if "AVX512" in used else set()
    return frozenset(flags | {"avx2"} if {"AVX2", "REPACK"} <= used else flags)


@pytest.mark.model
@pytest.mark.parametrize("quantisation", ["", "q4_0"])
def test_an_estimate_is_within_a_tenth_of_what_the_process_takes(
    quantisation: str, default_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """q4_0 is kept a second time in an order that the processor likes. An estimate goes by what the
    processor can do, which a build of llama.cpp that pip makes for it does as well; others are held
    to what they were built for."""
    monkeypatch.setattr(memory, "_processor_flags", lambda: built_for(build_info().features))
    path = quantise(default_model, quantisation, lambda *_: None) if quantisation else default_model
    options = LoadOptions(context=CONTEXT)
    with engine(path, options) as process:
        fill(process, CONTEXT)
        ratio = estimate(inspect(path), options).total / taken(process)
    assert 0.9 < ratio < 1.1


def test_memory_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    found = estimate(card)
    assert (found.context, found.weights, found.repacked) == (512, 5120, 0)
    assert found.kv == 2 * 512 * card.shape.kv_numbers * 2
    parts = (found.weights, found.repacked, found.kv, found.compute, found.process)
    assert found.total == sum(parts)


def test_two_contexts_have_a_cache_and_working_memory_each(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    together = estimate(card, LoadOptions(context=512))
    apart = estimate(card, LoadOptions(context=512, streams="two-contexts"))
    assert apart.kv == together.kv
    assert apart.compute > together.compute


def test_a_quantised_cache_is_smaller(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    sizes = [estimate(card, LoadOptions(kv_type=kind)).kv for kind in ("f16", "q8_0", "q4_0")]
    assert sizes == sorted(sizes, reverse=True)


def test_attention_without_flash_keeps_scores_of_every_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    options = LoadOptions(context=4096)
    plain = estimate(card, replace(options, flash_attention="off")).compute
    assert plain > 128 * 2 * 4096 * card.shape.heads * 4
    monkeypatch.setattr(memory, "_processor_flags", lambda: frozenset({"avx512f"}))
    assert estimate(card, options).compute == plain
    monkeypatch.setattr(memory, "_processor_flags", lambda: frozenset({"avx2"}))
    assert estimate(card, options).compute < plain


def test_cells_are_at_least_what_the_streams_begin_with(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    kv = estimate(card, LoadOptions(context=100)).kv
    assert kv == (100 + own_cells(100) + 156) * card.shape.kv_numbers * 2


def test_the_largest_context_that_fits_is_found(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    options = LoadOptions(context=4096)
    free = estimate(card, replace(options, context=1000)).total
    fitting = largest_context(card, options, free)
    assert 512 < fitting <= 1024  # cells come in whole blocks
    assert estimate(card, replace(options, context=fitting)).total <= free
    assert largest_context(card, options, 1 << 40) == 4096
    assert largest_context(card, options, 1 << 20) == 0


@pytest.mark.parametrize("context", [600, 4096, 131_072, 20_000_000])
def test_smaller_contexts_come_in_small_steps(context: int, tmp_path: Path) -> None:
    """Down to the least worth having: what fits is found closely, whatever was asked for."""
    card = inspect(write_model(tmp_path / "a.gguf"))
    steps = [each.context for each in memory.needs(card, LoadOptions(context=context))]
    assert (steps[0], steps[-1]) == (context, 512)
    assert all(b < a <= 1.1 * b + 256 for a, b in some(pairwise(steps)))


def test_what_goes_to_a_device_leaves_room_for_more_context(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    options = LoadOptions(context=4096)
    wanted = estimate(card, options)
    free = wanted.compute + wanted.process + wanted.kv // 2
    gpu = Device("CUDA0", "a card", "gpu", 1 << 40, 1 << 40, "CUDA")
    assert 0 < largest_context(card, options, free) < 4096
    assert largest_context(card, options, free, [gpu]) == 4096
    assert memory.memory_advice(card, options, free, [gpu]) == ""
    assert "in addition to what is on CUDA0" in memory.memory_advice(card, options, 1 << 20, [gpu])


def test_advice_is_given_only_where_a_model_does_not_fit(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf"))
    options = LoadOptions(context=4096)
    assert memory.memory_advice(card, options, 1 << 40) == ""
    some = estimate(card, replace(options, context=2048)).total
    assert "it will be loaded with 2,048 tokens unless you use --insist" in memory.memory_advice(
        card, options, some
    )
    assert "too little for any context" in memory.memory_advice(card, options, 1 << 20)
