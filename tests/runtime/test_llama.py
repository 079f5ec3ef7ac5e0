"""The room that touches llama.cpp: what only it can see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amulet_local.runtime.llama.context import Context
from amulet_local.runtime.llama.model import Model
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


def test_ctrl_c_stops_a_load_under_way_and_what_follows_works(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    heard: list[float] = []

    def interrupt(fraction: float) -> bool:
        heard.append(fraction)
        signal.raise_signal(signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt):
        Model(str(path), on_progress=interrupt)
    assert len(heard) == 1  # it went no further
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    model = Model(str(path))
    Context(model, length=64).close()
    model.close()


@pytest.mark.parametrize(
    "module", ["engine.worker", "runtime.llama.log", "cli.doctor", "evaluation.subject"]
)
def test_threads_spin_shortly_whatever_loads_llama_cpp_first(module: str) -> None:
    """GNU's OpenMP reads it from the environment, once: when it is loaded."""
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    told = "lambda name, *_: name == 'llama_cpp' and print(os.getenv('GOMP_SPINCOUNT')) or None"
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os, sys, types; found = types.SimpleNamespace(find_spec={told}); "
            f"sys.meta_path.insert(0, found); import amulet_local.{module}, llama_cpp",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout == "1000\n"
