"""Devices are asked of a process of their own, and only where the build can have any."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import msgspec
import pytest

from amulet_local.runtime import device_probe
from amulet_local.runtime.device_probe import probe_devices
from amulet_local.runtime.offload import Device

GPU = Device("CUDA0", "a card", "gpu", 1 << 30, 1 << 31, "CUDA")


def build(folder: Path, monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    (folder / "lib").mkdir()
    for name in ("libggml.so", "libggml-base.so.0", "libggml-cpu.so", *libraries):
        (folder / "lib" / name).touch()
    spec = ModuleSpec("llama_cpp", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(device_probe, "find_spec", lambda _: spec)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What processes were started with; each sees a GPU."""
    commands: list[tuple[str, ...]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(tuple(command[4:]))
        return subprocess.CompletedProcess(command, 0, msgspec.json.encode([GPU]))

    monkeypatch.setattr("subprocess.run", run)
    return commands


def test_a_build_for_the_processor_alone_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]
) -> None:
    build(tmp_path, monkeypatch)
    assert probe_devices(["host:1"]) == []
    assert not asked


@pytest.mark.parametrize("library", ["libggml-cuda.so", "libggml-metal.dylib", "ggml-vulkan.dll"])
def test_a_build_for_a_gpu_is_asked(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]
) -> None:
    build(tmp_path, monkeypatch, library)
    assert probe_devices() == [GPU]
    assert asked == [()]


def test_other_machines_are_asked_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]
) -> None:
    build(tmp_path, monkeypatch, "libggml-rpc.so")
    assert probe_devices() == []
    assert probe_devices(["host:1"]) == [GPU]
    assert asked == [("host:1",)]


def test_a_process_that_dies_sees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, monkeypatch, "libggml-cuda.so")
    monkeypatch.setattr("sys.executable", "false")
    assert probe_devices() == []


def test_this_build_sees_what_it_is(tmp_path: Path) -> None:
    """The processor at least, told by the real library in the real process."""
    answer = subprocess.run(
        [sys.executable, "-m", "amulet_local.runtime.device_probe", "127.0.0.1:1"],
        capture_output=True,
        check=True,
    )
    devices = msgspec.json.decode(answer.stdout, type=list[Device])
    assert "cpu" in [device.kind for device in devices]
