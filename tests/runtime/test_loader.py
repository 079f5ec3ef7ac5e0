"""A model gets the most layers on devices and the largest context that fit; less is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.engine.engine import Engine
from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.protocol.messages import Load
from amulet_local.runtime import loader
from amulet_local.runtime.llama.errors import NoDeviceMemoryError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.loader import load
from amulet_local.runtime.offload import Device, estimate_offload, fit, most_layers, on_host
from models.memory import needs_of
from tests.models.gguf_files import write_model
from tests.tiny_models import write_llama

GB = 1_000_000_000


def need(context: int = 4096) -> Memory:
    """A model of 9 + 1 layers: 10 GB of weights, 1 GB of cache for each 1,024 tokens."""
    return Memory(context, 9, 10 * GB, 0, context * GB // 1024, 1 * GB, 0)


NEEDS = tuple(need(context) for context in (4096, 2048, 1024))


def gpu(free: float, name: str = "CUDA0") -> Device:
    return Device(name, "a card", "gpu", int(free * GB), int(free * GB))


# -- by estimate ----------------------------------------------------------------------------------


def test_what_fits_is_loaded_as_asked() -> None:
    plan = fit(LoadOptions(), NEEDS, [], 16 * GB)
    assert (plan.options, plan.layers, plan.notices) == (LoadOptions(), 0, ())


def test_the_largest_context_that_fits_is_taken_and_told() -> None:
    plan = fit(LoadOptions(), NEEDS, [], 14 * GB)
    assert plan.options.context == 2048
    assert plan.notices == (
        "With a context of 4,096 tokens the model would need about 15.0 GB, but 14.0 GB are free, "
        "so the context is 2,048 tokens; use --insist for the larger one.",
    )


def test_one_can_insist() -> None:
    plan = fit(LoadOptions(insist=True), NEEDS, [], 1 * GB)
    assert (plan.options.context, plan.notices) == (0, ())


def test_a_model_that_does_not_fit_at_all_is_not_loaded() -> None:
    with pytest.raises(UsageError, match=r"needs about 12.0 GB even with 1,024 tokens .*--insist"):
        fit(LoadOptions(), NEEDS, [], 8 * GB)


def test_without_an_estimate_nothing_is_held_to_it() -> None:
    assert fit(LoadOptions(), (), [], 0).layers == 0
    assert fit(LoadOptions(), (), [gpu(1)], 0).layers == -1


@pytest.mark.parametrize(
    ("free", "layers"), [(0.5, 0), (2.6, 1), (8.5, 5), (15, 9), (16.7, -1), (80, -1)]
)
def test_as_many_layers_go_to_a_device_as_it_has_room_for(free: float, layers: int) -> None:
    """Each takes 1.4 GB with its cache; 1 GB is working memory and a twentieth stays free."""
    assert most_layers(need(), [gpu(free)], LoadOptions()) == layers


def test_several_devices_add_up() -> None:
    assert most_layers(need(), [gpu(8.5), gpu(8.5, "CUDA1")], LoadOptions()) == -1


def test_the_device_with_the_least_room_for_its_share_sets_the_bound() -> None:
    options = LoadOptions(tensor_split=(1, 3))
    assert most_layers(need(), [gpu(8.5), gpu(8.5, "CUDA1")], options) == 6


def test_a_cache_on_the_host_leaves_room_for_more_layers() -> None:
    options = LoadOptions(kv_on_host=True)
    assert most_layers(need(), [gpu(8.5)], options) == 7
    assert on_host(need(), 7, options) == (3 + 4 + 1) * GB


def test_what_is_on_a_device_needs_no_memory_here() -> None:
    assert on_host(need(), -1, LoadOptions()) == 1 * GB
    plan = fit(LoadOptions(), NEEDS, [gpu(8.5)], 9 * GB)
    assert (plan.layers, plan.options.context) == (5, 0)


def test_layers_where_there_is_no_device_are_told() -> None:
    plan = fit(LoadOptions(gpu_layers=5), NEEDS, [], 16 * GB)
    assert plan.layers == 0
    assert "cannot use a GPU" in plan.notices[0]


@pytest.mark.parametrize(
    ("found", "free", "words", "fits"),
    [
        ([], 16, "in memory", True),
        ([], 8, "in memory", False),
        ([gpu(80)], 2, "all on CUDA0", True),
        ([gpu(8.5)], 9, "5 of 10 layers on CUDA0", True),
        ([gpu(8.5)], 4, "5 of 10 layers on CUDA0", False),
        ([gpu(8.5), gpu(8.5, "CUDA1")], 2, "all on CUDA0, CUDA1", True),
        ([gpu(0.5)], 16, "in memory: CUDA0 has no room for any layer", True),
    ],
)
def test_where_a_model_would_lie_is_said_in_words(
    found: list[Device], free: int, words: str, fits: bool
) -> None:
    placing = estimate_offload(need(), LoadOptions(), found, free * GB)
    assert (str(placing), placing.fits) == (words, fits)


# -- by trying ------------------------------------------------------------------------------------


def test_where_a_devices_memory_runs_out_fewer_layers_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    tried = []

    def model(path: str, *, gpu_layers: int, **_: object) -> Model:
        tried.append(gpu_layers)
        if gpu_layers:
            raise NoDeviceMemoryError("out of memory")
        return Model(path, gpu_layers=gpu_layers)

    monkeypatch.setattr(loader, "Model", model)
    monkeypatch.setattr(loader, "devices", lambda: [gpu(80)])
    result = load(str(path), LoadOptions(), needs_of(str(path), LoadOptions()))
    result.lockstep.close()
    result.model.close()
    assert tried == [-1, 2, 1, 0]
    assert (result.layers, result.devices) == (0, ())
    assert result.notices == ("CUDA0 ran out of memory, so the model runs on the processor.",)


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    with pytest.raises(UsageError, match=r"no device 'CUDA7' .*available: none"):
        load(str(path), LoadOptions(devices=("CUDA7",)), ())


def test_the_engine_is_told_what_a_model_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    needs = needs_of(str(path), LoadOptions())
    assert [each.context for each in needs] == [2048, 1792, 1536, 1280, 1024, 768, 512]
    monkeypatch.setattr(loader, "free_memory", lambda: needs[2].total)
    engine = Engine(Load(str(path), LoadOptions(), needs), lambda _: True)
    assert engine.card().context == 1536
    assert "the context is 1,536 tokens" in engine.notices()[0]
    engine.close()


def test_a_file_that_cannot_be_read_has_no_needs(tmp_path: Path) -> None:
    assert needs_of(str(tmp_path / "none.gguf"), LoadOptions()) == ()
    path = write_model(tmp_path / "a.gguf")
    assert len(needs_of(str(path), LoadOptions())) == 1
