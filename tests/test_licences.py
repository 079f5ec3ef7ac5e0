"""The list of licences is that of the lock file, and complete."""

from __future__ import annotations

from docs.licences import PAGE, pins
from tests.checks import some

ROWS = [
    line.strip("|").split("|") for line in PAGE.read_text("utf-8").splitlines() if "|" in line[:1]
]


def test_each_package_of_the_lock_file_is_listed_with_its_versions_and_a_licence() -> None:
    listed = {name.strip(): version.strip() for name, version, _ in ROWS[2:]}
    assert listed == {name: ", ".join(versions) for name, versions in some(pins().items())}
    assert all(stated.strip() for _name, _version, stated in some(ROWS[2:]))
