"""`make test-kernels` runs tests with as many threads of llama.cpp as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import amulet_local

_FOLDERS = (Path(__file__).parents[1] / "threads", Path(amulet_local.__file__).parents[1])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 64])
def test_the_cores_are_as_many_as_are_asked_for(count: int) -> None:
    environment = {
        "AMULET_TEST_THREADS": str(count),
        "PYTHONPATH": os.pathsep.join(map(str, _FOLDERS)),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from amulet_local.runtime.llama import hardware; print(hardware.physical_cores())",
        ],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = count if sys.platform == "linux" else min(count, os.cpu_count() or 1)
    assert int(done.stdout) == expected
