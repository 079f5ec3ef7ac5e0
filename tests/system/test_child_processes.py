"""Modules that lie in the user's folder run in no process of Amulet's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amulet_local.cli import backend_probe
from amulet_local.engine.client import EngineProcess
from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Failed
from amulet_local.runtime import device_probe
from amulet_local.system import child_processes
from amulet_local.system.child_processes import environment, python
from models.quantisation import quantise_apart
from tests.checks import tortures

pytestmark = pytest.mark.slow

ROOT = Path(child_processes.__file__).parents[2]
MODULES = (
    *("queue", "json", "random", "typing", "logging", "argparse", "runpy", "__future__", "signal"),
    *("msgspec", "numpy", "llama_cpp", "psutil", "platformdirs", "gguf", "pip"),
    *("models", "tui", "sitecustomize", "usercustomize"),
)
_HOSTILE = (
    "from os.path import dirname, join\n"
    "open(join(dirname(__file__), 'ran'), 'a').write(__name__ + ' ')\n"
)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules of well-known names that leave a file `ran` behind."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(_HOSTILE)
    (folder / "amulet_local").mkdir()
    (folder / "amulet_local" / "__init__.py").write_text(
        _HOSTILE.replace("dirname(__file__)", "dirname(dirname(__file__))")
    )
    monkeypatch.chdir(folder)
    return folder


def ran(folder: Path) -> str:
    return (folder / "ran").read_text() if (folder / "ran").exists() else ""


def test_the_folder_would_be_searched_first_by_any_other_python(hostile: Path) -> None:
    everything = f"import {', '.join(MODULES[:9])}, amulet_local"
    subprocess.run([sys.executable, "-c", everything], capture_output=True, check=False)
    assert {"queue", "json", "amulet_local"} <= set(ran(hostile).split())


@pytest.mark.parametrize(
    "separators", ["", "/nowhere{0}{0}/there", *tortures("{0}", "{0}{0}", "{0}/nowhere")]
)
def test_a_child_finds_none_of_them(
    separators: str, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty element of PYTHONPATH means the current folder."""
    monkeypatch.setenv("PYTHONPATH", separators.format(os.pathsep))
    everything = "import importlib, sys\nfor each in sys.argv[1:]: importlib.import_module(each)"
    names = set(MODULES) - {"sitecustomize", "usercustomize"}
    done = subprocess.run(
        python("-c", everything, "amulet_local.engine.worker", "amulet_local.cli.ask", *names),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ran(hostile) == ""


@pytest.mark.model
def test_the_engine_runs_none_of_them(hostile: Path) -> None:
    engine = EngineProcess()
    try:
        engine.load("nowhere.gguf", LoadOptions())
        event = engine.events.get(timeout=30)
    finally:
        engine.close()
    assert isinstance(event, Failed)
    assert ran(hostile) == ""


def test_who_looks_for_devices_runs_none_of_them(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_probe, "_backends", lambda: {"cuda"})
    assert "cpu" in [device.kind for device in device_probe.probe_devices()]
    assert ran(hostile) == ""


@pytest.mark.model
def test_the_quantiser_runs_none_of_them(hostile: Path) -> None:
    source = hostile / "model.gguf"
    source.write_bytes(b"no model")
    with pytest.raises(NotUsableError, match="could not be quantised"):
        quantise_apart(source, "q4_0", lambda _: None, lambda: False)
    assert ran(hostile) == ""


def test_the_doctor_runs_none_of_them(hostile: Path) -> None:
    probe = backend_probe.run_apart(backend_probe.PROBE)
    assert probe.returncode == 0, probe.stderr
    assert ran(hostile) == ""


@pytest.mark.parametrize("module", ["amulet_local", "amulet_local.runtime.rpc_server"])
def test_a_module_that_is_started_in_that_folder_leaves_it_first(
    module: str, hostile: Path
) -> None:
    """All but a package amulet_local, which Python itself then takes for ours."""
    (hostile / "amulet_local" / "__init__.py").unlink()
    (hostile / "amulet_local").rmdir()
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ran(hostile) == ""


def test_in_a_checkout_that_is_not_installed_the_modules_beside_are_found(tmp_path: Path) -> None:
    for name in ("amulet_local", "models", "tui"):
        (tmp_path / name).symlink_to(ROOT / name)
    tell = (
        "import models, sys; from amulet_local.system.child_processes import environment; "
        "print(models.__file__, environment().get('PYTHONPATH'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(tmp_path)!r}; {tell}"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "models" / "__init__.py"), str(tmp_path)]


def test_what_the_user_put_on_the_path_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/mine", "", "sub", ""]))
    paths = environment()["PYTHONPATH"].split(os.pathsep)
    assert [path for path in paths if path != str(ROOT)] == ["/mine", "sub"]


def test_a_folder_that_is_gone_is_none_to_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ["/first", "/second"]
    monkeypatch.setattr(sys, "path", list(before))
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    child_processes.leave_current_folder()
    assert sys.path == before


def test_every_process_is_started_so() -> None:
    """Python's own path stands beside, where it is told to a user, in a string."""
    files = [
        file for room in ("amulet_local", "models", "tui") for file in ROOT.glob(f"{room}/**/*.py")
    ]
    started = [
        file.relative_to(ROOT).as_posix()
        for file in files
        if re.search(r"(?<![{\w.])sys\.executable", file.read_text("utf-8"))
    ]
    assert len(files) > 100
    assert started == ["amulet_local/system/child_processes.py"]
