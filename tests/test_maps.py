"""ARCHITECTURE.md and CONTRIBUTING.md lead to files and rooms that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.checks import some

HERE = Path(__file__).parent.parent
ROOMS = {path.stem for path in (HERE / "amulet_local").iterdir() if path.suffix in ("", ".py")}
ROOMS -= {"__init__", "__main__", "__pycache__"}
NAMED = re.compile(r"`((?:[\w*]+/)*(?:[\w*]+\.(?:py|toml|md|lock|tcss))|(?:\w+/)+)`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_it_names_is_there(page: str) -> None:
    for name in some(NAMED.findall((HERE / page).read_text("utf-8"))):
        places = [HERE, HERE / "amulet_local", HERE / "docs"]
        found = [match for place in places for match in place.glob(name.rstrip("/"))]
        assert found or name == "config.toml", name


def test_the_picture_has_every_room() -> None:
    picture = (HERE / "ARCHITECTURE.md").read_text("utf-8").split("```")[1]
    named = re.findall(r"^  (\w+)\b", picture.split("amulet_local/")[1], re.MULTILINE)
    assert set(named) == ROOMS
