"""The contracts on imports in pyproject.toml: the tree keeps them, and they catch what they should.

They are tried on a copy of the packages, into which each test writes one wrong import. Import
Linter runs in a process of its own, once for all: starting it takes longer than looking.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent.parent
LAYERS = "the wings of amulet_local import only from below"
REALIGNMENT = "realignment is NumPy and the standard library"
LLAMA = "llama.cpp is touched in one place; the bench compares with its high-level interface"
CIRCLE = "no circle"
SCREENS = "only the command line knows the screens"
JINJA = "Jinja sees models' templates only in the process with limits; our own page is no model's"
FOLDER = "only the command line and the screens know the model folder"


# Looks once for every line on standard input; each time, a line with the exit code comes last.
_LINTER = """
import sys
from importlinter.cli import lint_imports

for _ in sys.stdin:
    print("exit code:", lint_imports(no_logo=True), flush=True)
"""


@dataclass(frozen=True)
class Tree:
    """A copy of the packages with their contracts, and what looks at it."""

    path: Path
    linter: subprocess.Popen[str]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(HERE / "pyproject.toml", copy)
    for package in ("amulet_local", "models", "tui"):
        shutil.copytree(
            HERE / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    with subprocess.Popen(
        [sys.executable, "-c", _LINTER],
        cwd=copy,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as linter:
        yield Tree(copy, linter)
        linter.communicate()


@pytest.fixture
def changed(tree: Tree) -> Iterator[dict[str, str]]:
    """What is appended to files of the copy, by path; taken out again afterwards."""
    changes: dict[str, str] = {}
    yield changes
    for path in changes:
        original, copied = HERE / path, tree.path / path
        copied.write_bytes(original.read_bytes()) if original.exists() else copied.unlink()


def broken(tree: Tree, changes: dict[str, str]) -> set[str]:
    """The names of the contracts that the copy breaks once it is changed."""
    for path, text in changes.items():
        with (tree.path / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    told = _look(tree.linter)
    verdicts = re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", told, re.MULTILINE)
    names = {name for name, verdict in verdicts if verdict == "BROKEN"}
    assert verdicts, told
    assert told.endswith(f"exit code: {bool(names):d}\n"), told
    return names


def _look(linter: subprocess.Popen[str]) -> str:
    """All that the linter says of the tree as it is now."""
    assert linter.stdin is not None
    assert linter.stdout is not None
    linter.stdin.write("look\n")
    linter.stdin.flush()
    told = ""
    for line in linter.stdout:
        told += line
        if line.startswith("exit code: "):
            break
    return told


def test_the_tree_keeps_every_contract(tree: Tree) -> None:
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
def test_realignment_imports_numpy_alone(tree: Tree, changed: dict[str, str], line: str) -> None:
    changed["amulet_local/realignment.py"] = line
    assert broken(tree, changed) == {REALIGNMENT}


def test_strengths_do_without_numpy(tree: Tree, changed: dict[str, str]) -> None:
    changed["amulet_local/strengths.py"] = "import numpy"
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
    tree: Tree, changed: dict[str, str], line: str, also: str
) -> None:
    changed["amulet_local/realignment.py"] = line
    assert broken(tree, changed) >= {REALIGNMENT, also}


@pytest.mark.parametrize("room", ["amulet_local/attic.py", "amulet_local/attic/__init__.py"])
def test_a_room_must_have_its_layer(tree: Tree, changed: dict[str, str], room: str) -> None:
    (tree.path / room).parent.mkdir(exist_ok=True)
    changed[room] = '"""A room of which the contract does not know."""'
    assert broken(tree, changed) == {LAYERS}


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("amulet_local/settings.py", "import amulet_local.engine.client", LAYERS),
        ("amulet_local/generation/sampling.py", "import llama_cpp", LLAMA),
        ("tui/app.py", "import llama_cpp", LLAMA),
        ("models/preview.py", "import jinja2", JINJA),
        ("models/preview.py", "import amulet_local.prompts.jinja_templates", JINJA),
        ("amulet_local/engine/engine.py", "import models.memory", FOLDER),
        ("amulet_local/engine/engine.py", "import tui.themes", SCREENS),
        ("models/memory.py", "import tui.themes", SCREENS),
    ],
)
def test_an_arrow_that_runs_back_up_is_caught(
    tree: Tree, changed: dict[str, str], path: str, line: str, contract: str
) -> None:
    changed[path] = line
    assert contract in broken(tree, changed)


def test_a_circle_is_caught_where_half_of_it_is_for_types_alone(
    tree: Tree, changed: dict[str, str]
) -> None:
    changed["tui/widgets/hen.py"] = "import tui.widgets.egg"
    types_alone = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
    changed["tui/widgets/egg.py"] = f"{types_alone}import tui.widgets.hen"
    assert broken(tree, changed) == {CIRCLE}
