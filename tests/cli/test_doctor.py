"""`amulet doctor`: what it finds, and what it says of what it does not find."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from amulet_local.cli import backend_probe, doctor
from amulet_local.presets.preset import load_presets
from amulet_local.settings import autotune_file, config_folder, presets_folder
from tests.checks import some
from tests.cli.conftest import Amulet
from tests.tiny_models import write_llama

BACKEND = (
    '{"version": "0.3.36", "features": "CPU : AVX = 1 | AVX2 = 1 | FMA = 0 |", '
    '"gpu_offload": false, "threads": 2, "backends": ["CPU"], '
    '"devices": [{"name": "CPU", "description": "A \\u001b[2J processor", "kind": "cpu", '
    '"backend": "CPU", "memory_free": 1000000000, "memory_total": 2000000000}]}'
)


def probe(
    monkeypatch: pytest.MonkeyPatch, status: int = 0, out: str = BACKEND, err: str = ""
) -> None:
    """Let the examination of llama.cpp end like this."""
    done = subprocess.CompletedProcess([], status, out, err)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing is missing; returns the model that the config names."""
    probe(monkeypatch)
    monkeypatch.setattr(backend_probe, "gpus", list)
    model = tmp_path / "tiny.gguf"
    write_llama(model)
    configure(f'model = "{model}"')
    autotune_file(str(model)).parent.mkdir(parents=True)
    autotune_file(str(model)).touch()
    return model


def configure(text: str) -> None:
    config_folder().mkdir(parents=True, exist_ok=True)
    (config_folder() / "config.toml").write_text(text, "utf-8")


def test_a_machine_that_has_all_is_usable(amulet: Amulet, well: Path) -> None:
    result = amulet("doctor")
    assert (result.code, result.err) == (0, "")
    for told in (
        "AVX AVX2\n",
        str(well),
        f"{len(load_presets().presets)} built in",
        "Everything needed is installed.",
    ):
        assert told in result.out
    assert "\x1b" not in result.out
    assert "FMA" not in result.out


def test_the_document_holds_every_finding(amulet: Amulet, well: Path) -> None:
    document = amulet("doctor", "--json").document
    assert document["usable"] is True
    assert document["missing"] == document["advice"] == []
    assert set(document["versions"]) == {
        "amulet",
        "python",
        "llama-cpp-python",
        "textual",
        "numpy",
    }
    assert document["backend"]["devices"][0]["name"] == "CPU"
    assert document["model"]["path"] == str(well)
    assert document["model"]["context"] == 2048
    assert document["model"]["memory"] > well.stat().st_size / 2
    assert document["presets"] == {"built_in": len(load_presets().presets), "own": 0, "broken": 0}
    assert set(document["folders"]) == {"config", "presets", "data", "models", "log"}
    assert document["memory"]["total"] > document["memory"]["available"] > 0


@pytest.mark.usefixtures("well")
class TestWhatIsMissing:
    def found(self, amulet: Amulet) -> dict[str, Any]:
        result = amulet("doctor", "--json")
        assert result.code == 3
        document: dict[str, Any] = result.document
        assert document["usable"] is False
        return document

    def only_sentence(self, amulet: Amulet) -> str:
        (sentence,) = self.found(amulet)["missing"]
        assert f"missing: {sentence}" in amulet("doctor").out
        return str(sentence)

    def test_the_default_model_comes_with_the_command_to_get_it(self, amulet: Amulet) -> None:
        configure("")
        assert self.only_sentence(amulet).endswith("amulet models pull default")

    def test_a_config_that_is_not_valid(self, amulet: Amulet) -> None:
        configure("threads = 2")
        assert any("config.toml is not valid" in s for s in self.found(amulet)["missing"])

    def test_a_package(self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
        version = metadata.version

        def without_textual(package: str) -> str:
            if package == "textual":
                raise metadata.PackageNotFoundError
            return version(package)

        monkeypatch.setattr(metadata, "version", without_textual)
        assert "-m pip install textual" in self.only_sentence(amulet)
        assert self.found(amulet)["versions"]["textual"] is None

    def test_a_llama_cpp_that_cannot_be_imported(
        self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
        probe(monkeypatch, 1, "", "Traceback\nModuleNotFoundError: No module named 'llama_cpp'")
        sentence = self.only_sentence(amulet)
        assert "(ModuleNotFoundError: No module named 'llama_cpp')" in sentence
        assert sentence.endswith(f'--no-cache-dir "{backend_probe.REQUIREMENT}"')
        assert "compiler" not in sentence
        assert self.found(amulet)["backend"] is None

    def test_a_build_that_does_not_suit_the_processor(
        self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        probe(monkeypatch, -signal.SIGILL)
        assert "it crashed with SIGILL" in self.only_sentence(amulet)

    def test_a_compiler_is_asked_for_where_there_is_none(
        self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        probe(monkeypatch, 1, "", "ImportError: no")
        assert "first" not in self.only_sentence(amulet)
        assert "install a C++ compiler (" in self.only_sentence(amulet)

    def test_a_probe_that_never_answers(
        self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def endless(*_: object, **__: object) -> None:
            raise subprocess.TimeoutExpired("python", 60)

        monkeypatch.setattr(subprocess, "run", endless)
        assert "did not answer within 60 s" in self.only_sentence(amulet)

    def test_a_folder_that_cannot_be_written_to(
        self, amulet: Amulet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        blocked = tmp_path / "a file"
        blocked.write_text("not a folder")
        monkeypatch.setenv("AMULET_MODELS", str(blocked / "models"))
        assert "the models folder" in self.only_sentence(amulet)
        assert "(not writable)" in amulet("doctor").out


def test_what_cannot_be_kept_in_a_read_only_home_is_advice_only(
    amulet: Amulet, well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = amulet("doctor", "--json")
    assert result.code == 0
    assert result.document["usable"]
    advice = result.document["advice"]
    assert [words.split()[1] for words in advice] == list(result.document["folders"])
    assert all("is not writable, so" in words for words in some(advice))
    assert "so chats and calibration results cannot be saved; make it writable" in advice[2]


def test_a_broken_preset_is_advice_only(amulet: Amulet, well: Path) -> None:
    presets_folder().mkdir(parents=True)
    (presets_folder() / "bad.toml").write_text("x")
    result = amulet("doctor", "--json")
    assert result.code == 0
    (advice,) = result.document["advice"]
    assert "bad.toml" in advice
    assert "advice: " in amulet("doctor").out


def test_a_build_that_may_crash_is_advice(
    amulet: Amulet, well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe(monkeypatch, out=BACKEND.replace("FMA = 0", "AMX_INT8 = 1"))
    (sentence,) = amulet("doctor", "--json").document["advice"]
    assert "-DCMAKE_CXX_FLAGS=-U__AMX_INT8__" in sentence


def test_a_gpu_that_the_build_cannot_use_is_advice(
    amulet: Amulet, well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = backend_probe.Gpu("NVIDIA", "CUDA", "-DGGML_CUDA=on")
    monkeypatch.setattr(backend_probe, "gpus", lambda: [gpu])
    (advice,) = amulet("doctor", "--json").document["advice"]
    assert f'with: CMAKE_ARGS="-DGGML_CUDA=on" {backend_probe.INSTALL}' in advice
    probe(monkeypatch, out=BACKEND.replace('["CPU"]', '["CUDA", "CPU"]'))
    (advice,) = amulet("doctor", "--json").document["advice"]
    assert "CUDA backend sees no device; check the driver" in advice


def test_a_server_that_cannot_be_reached_is_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    advice: list[str] = []
    assert backend_probe.examine_servers([address], advice) == {address: []}
    assert f"the RPC server {address} cannot be reached" in advice[0]


def test_what_can_be_no_address_is_advice() -> None:
    advice: list[str] = []
    assert backend_probe.examine_servers(["a\0:1"], advice) == {"a\0:1": []}
    assert advice == ["'a\\x00:1' is not the address of an RPC server; write host:port."]


@pytest.mark.usefixtures("well")
def test_a_folder_of_models_that_cannot_be_is_missing(amulet: Amulet) -> None:
    configure('model = "tiny"\nmodel_folders = ["~nosuchuser/m"]')
    (missing,) = amulet("doctor", "--json").document["missing"]
    assert missing.startswith("model_folders in ")


def test_servers_devices_are_told(
    amulet: Amulet, well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = [{"name": "RPC0", "description": "far", "kind": "gpu"}]
    lent[0] |= {"memory_free": 1000, "memory_total": 2000}  # type: ignore[dict-item]
    monkeypatch.setattr(
        doctor, "examine_servers", lambda addresses, _: dict.fromkeys(addresses, lent)
    )
    assert "RPC0: far (gpu, 1.0 kB free of 2.0 kB)" in amulet("doctor", "--rpc", "far:1,near:2").out


def test_the_version_it_asks_for_is_the_one_that_the_project_asks_for() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    required = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    assert Requirement(backend_probe.REQUIREMENT) in map(Requirement, required)


def test_without_an_installation_it_asks_for_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert backend_probe._required("llama-cpp-python") == "llama-cpp-python"


def test_the_examination_itself_runs_here() -> None:
    missing: list[str] = []
    backend = backend_probe.examine_backend(missing, [])
    assert missing == []
    assert backend is not None
    assert backend["version"] == metadata.version("llama-cpp-python")
    assert backend["threads"] >= 1
    assert sys.executable in backend_probe.INSTALL


def test_a_model_without_calibration_is_offered_one(well: Path) -> None:
    autotune_file(str(well)).unlink()
    report = doctor.examine()
    assert report["usable"]
    assert any("amulet bench --calibrate" in advice for advice in report["advice"])


def test_a_model_larger_than_the_free_memory_is_told(
    well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type("Memory", (), {"available": 1000, "total": 2000})()
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert any("which is more than is free" in advice for advice in doctor.examine()["advice"])
