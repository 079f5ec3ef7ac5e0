"""Fetches take turns, whatever becomes of the one whose turn it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from amulet_local.system.child_processes import environment, python
from models.fetch import FetchCancelledError, turn

HOLDER = """
import pathlib, sys, time
from models.fetch import turn
with turn(pathlib.Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is fetching into the folder."""
    command = python("-c", HOLDER, str(tmp_path))
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_another_process_is_waited_for_until_it_is_gone(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    waited = []

    def waiting() -> None:
        waited.append(1)
        if len(waited) == 3:
            holder.kill()

    with turn(tmp_path, waiting):
        assert len(waited) >= 3
        assert holder.wait() != 0


def test_waiting_can_be_given_up(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    def stop() -> None:
        raise FetchCancelledError

    with pytest.raises(FetchCancelledError), turn(tmp_path, stop):
        raise AssertionError("two at once")
    assert holder.poll() is None


def test_a_turn_ends_with_what_was_raised_in_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), turn(tmp_path, lambda: None):
        raise ZeroDivisionError
    with turn(tmp_path, lambda: pytest.fail("it was free")):
        assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}  # which is no model
