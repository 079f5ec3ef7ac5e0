"""The lock file of the development environment has what pyproject.toml asks for, with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checks import some

HERE = Path(__file__).parent.parent
LOCK = (HERE / "requirements-dev.lock").read_text("utf-8")
PINS = re.findall(r"^(\S+?)==(\S+?)(?: ;.*)? \\\n((?:    --hash=.+\n)+)", LOCK, re.MULTILINE)


def test_every_package_is_pinned_with_its_hashes() -> None:
    named = [line for line in LOCK.splitlines() if re.match(r"\w", line)]
    assert len(some(PINS)) == len(named)
    assert all("sha256:" in hashes for _name, _version, hashes in some(PINS))


def test_the_pins_are_what_the_project_asks_for() -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = map(Requirement, [*project["dependencies"], *extras["dev"], *extras["eval"]])
    for requirement in some(each for each in asked if each.name != "amulet-local"):
        name = canonicalize_name(requirement.name)
        versions = [version for pinned, version, _hashes in PINS if pinned == name]
        assert all(version in requirement.specifier for version in some(versions)), name


def test_it_names_no_server() -> None:
    assert "://" not in LOCK
