"""The contracts on imports in pyproject.toml: the tree keeps them, and they catch what they should.

They are tried on a copy of the packages, into which each test writes one wrong import.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
LAYERS = "the wings of amulet_local import only from below"
REALIGNMENT = "realignment is NumPy and the standard library"
LLAMA = "llama.cpp is touched in one place; the bench compares with its high-level interface"
CIRCLE = "no circle"
SCREENS = "only the command line knows the screens"
FOLDER = "only the command line and the screens know the model folder"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with their contracts."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(HERE / "pyproject.toml", copy)
    for package in ("amulet_local", "models", "tui"):
        shutil.copytree(
            HERE / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


@pytest.fixture
def changed(tree: Path) -> Iterator[dict[str, str]]:
    """What is appended to files of the copy, by path; taken out again afterwards."""
    changes: dict[str, str] = {}
    yield changes
    for path in changes:
        original, copied = HERE / path, tree / path
        copied.write_bytes(original.read_bytes()) if original.exists() else copied.unlink()


def broken(tree: Path, changes: dict[str, str]) -> set[str]:
    """The names of the contracts that the copy breaks once it is changed."""
    for path, text in changes.items():
        with (tree / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-logo",
        ],
        cwd=tree,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE)
    names = {name for name, verdict in verdicts if verdict == "BROKEN"}
    assert verdicts, done.stdout + done.stderr
    assert done.returncode == bool(names), done.stdout + done.stderr
    return names


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    assert broken(tree, {}) == set()


@pytest.mark.parametrize(
    "line",
    [
        "import amulet_local.path_text",
        "from amulet_local.path_text import as_text",
        "import msgspec",
        "import scipy.special",
        "def later():\n    import msgspec",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import msgspec",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import amulet_local.path_text",
    ],
)
def test_realignment_imports_numpy_alone(tree: Path, changed: dict[str, str], line: str) -> None:
    changed["amulet_local/realignment.py"] = line
    assert broken(tree, changed) == {REALIGNMENT}


@pytest.mark.parametrize(
    ("line", "also"),
    [
        ("import llama_cpp", LLAMA),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import llama_cpp", LLAMA),
        ("import amulet_local.system", LAYERS),
        ("from amulet_local import system", LAYERS),
        ("from amulet_local.errors import AmuletError", LAYERS),
        ("from amulet_local.engine.engine import Engine", LAYERS),
        ("import models", FOLDER),
    ],
)
def test_realignment_is_held_by_other_contracts_too(
    tree: Path, changed: dict[str, str], line: str, also: str
) -> None:
    changed["amulet_local/realignment.py"] = line
    assert broken(tree, changed) >= {REALIGNMENT, also}


@pytest.mark.parametrize("room", ["amulet_local/attic.py", "amulet_local/attic/__init__.py"])
def test_a_room_must_have_its_layer(tree: Path, changed: dict[str, str], room: str) -> None:
    (tree / room).parent.mkdir(exist_ok=True)
    changed[room] = '"""A room of which the contract does not know."""'
    assert broken(tree, changed) == {LAYERS}


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("amulet_local/settings.py", "import amulet_local.engine.client", LAYERS),
        ("amulet_local/generation/sampling.py", "import llama_cpp", LLAMA),
        ("tui/app.py", "import llama_cpp", LLAMA),
        ("amulet_local/engine/engine.py", "import models.memory", FOLDER),
        ("amulet_local/engine/engine.py", "import tui.themes", SCREENS),
        ("models/memory.py", "import tui.themes", SCREENS),
    ],
)
def test_an_arrow_that_runs_back_up_is_caught(
    tree: Path, changed: dict[str, str], path: str, line: str, contract: str
) -> None:
    changed[path] = line
    assert contract in broken(tree, changed)


@pytest.mark.parametrize(
    "indent", ["", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "]
)
@pytest.mark.parametrize("package", ["amulet_local/system", "models", "tui/widgets"])
def test_a_circle_is_caught(tree: Path, changed: dict[str, str], package: str, indent: str) -> None:
    here = package.replace("/", ".")
    changed[f"{package}/hen.py"] = f"import {here}.egg"
    changed[f"{package}/egg.py"] = f"{indent}import {here}.hen"
    assert broken(tree, changed) == {CIRCLE}
