"""Which model is offered to a machine: the largest that there is room for and that is quick."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.files import free_space
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import Device
from amulet_local.settings import models_folder
from models import catalogue, suggestion
from models.catalogue import Hosted
from models.suggestion import LEAST_PER_S, Machine, suggest, this_machine
from tests.checks import some

GB = 10**9
HOSTED = [entry for entry in catalogue.entries() if isinstance(entry, Hosted)]
LARGEST = HOSTED[-1]


def name(machine: Machine, steps_per_s: float = 0.0) -> str:
    found = suggest(machine, steps_per_s)
    assert found.entry, found.obstacle
    return found.entry.name


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (1, "granite-4.0-350m"),
        (4, "granite-4.0-1b"),
        (8, "gemma-4-e2b"),
        (12, "gemma-4-e4b"),
        (24, "ministral-3-14b"),
        (500, "ministral-3-14b"),
    ],
)
def test_the_more_memory_the_larger_the_model(free: int, expected: str) -> None:
    assert name(Machine(free * GB)) == expected


def test_a_fifth_of_the_memory_stays_free() -> None:
    for entry in some(HOSTED):
        assert name(Machine(entry.memory * 5 // 4 + 1)) == entry.name
        assert suggest(Machine(entry.memory * 5 // 4 - 1000)).entry != entry


def test_memory_of_devices_counts_beside_the_machines_own() -> None:
    assert name(Machine(2 * GB, devices=24 * GB)) == LARGEST.name


@pytest.mark.parametrize(
    ("steps_per_s", "expected"),
    [(20, "granite-4.0-350m"), (60, "gemma-4-e2b"), (90, "gemma-4-e4b"), (300, "ministral-3-14b")],
)
def test_a_slow_machine_gets_a_model_that_writes_as_fast_as_one_reads(
    steps_per_s: float, expected: str
) -> None:
    found = suggest(Machine(64 * GB), steps_per_s)
    assert found.entry
    assert found.entry.name == expected
    assert found.per_s >= LEAST_PER_S


def test_speed_follows_from_the_starters_and_from_what_a_token_reads() -> None:
    fast, twice = suggest(Machine(64 * GB), 300), suggest(Machine(64 * GB), 600)
    assert fast.entry == twice.entry == LARGEST
    assert twice.per_s == pytest.approx(2 * fast.per_s)
    assert fast.per_s == pytest.approx(300 * 1.9 * catalogue.default().size / LARGEST.download)


def test_where_nothing_is_measured_no_speed_is_told() -> None:
    assert suggest(Machine(64 * GB)).per_s == 0


def test_a_model_that_fits_on_a_gpu_is_quick_whatever_the_starter_tells() -> None:
    machine = Machine(64 * GB, devices=24 * GB, gpus=24 * GB)
    found = suggest(machine, steps_per_s=10)
    assert (found.entry, found.per_s) == (LARGEST, 0)
    small = Machine(64 * GB, devices=3 * GB, gpus=3 * GB)
    assert name(small, steps_per_s=10) == "granite-4.0-1b"


def test_only_what_fits_on_the_disk_is_offered() -> None:
    assert name(Machine(64 * GB, disk=3 * GB)) == "qwen3.5-4b"


@pytest.mark.parametrize(
    ("machine", "steps_per_s", "told"),
    [
        (Machine(GB // 2), 0, "No larger model fits: the smallest needs 800.0 MB of memory"),
        (Machine(64 * GB, disk=GB // 10), 0, "No larger model fits on the disk: the smallest"),
        (Machine(64 * GB), 1, "A larger model would be slow here: granite-4.0-350m would write"),
        (Machine(64 * GB, offline=True), 60, "HF_HUB_OFFLINE is set"),
    ],
)
def test_why_there_is_none_is_a_sentence(machine: Machine, steps_per_s: float, told: str) -> None:
    found = suggest(machine, steps_per_s)
    assert found.entry is None
    assert told in found.obstacle
    assert found.obstacle.endswith(".")
    assert len(found.obstacle) < 200


def test_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [
        Device("CUDA0", "", "gpu", 8 * GB, 8 * GB, "CUDA"),
        Device("MTL0", "", "gpu", 5 * GB, 5 * GB, "MTL"),
        Device("Vulkan0", "", "integrated gpu", 2 * GB, 2 * GB, "Vulkan"),
    ]
    monkeypatch.setattr(suggestion, "usable_devices", lambda options: devices)
    monkeypatch.setattr(suggestion, "free_memory", lambda: 7 * GB)
    models_folder().mkdir(parents=True)
    before = this_machine(LoadOptions())
    assert (before.memory, before.devices, before.gpus) == (7 * GB, 8 * GB, 13 * GB)
    assert not before.offline
    (models_folder() / ".part-1").write_bytes(bytes(4096))
    monkeypatch.setattr(suggestion, "free_space", lambda folder: 100)
    assert this_machine(LoadOptions()).disk == 4196


def test_free_space_is_told_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_space(tmp_path / "a" / "b") > 0
