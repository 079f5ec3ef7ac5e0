"""The quick part of deaths, pipe and text: one run of each kind of trouble; `make torture` has the
rest."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.checks import comes
from tests.torture import deaths, pipe, text

pytestmark = [pytest.mark.model, pytest.mark.slow]

# From what was sent before, through the chat before it, to its question in the prompt.
SHORT_WALK = (text.UP, text.ESCAPE, text.BACK, b"\x1b[1;5A", text.UP, b"e", b"\x0c", text.ESCAPE)


def test_hostile_text_is_nowhere_raw(tmp_path: Path) -> None:
    assert text.trial(Random(0), tmp_path, SHORT_WALK, settle_s=0.3) == []


@pytest.mark.parametrize("kind", ["absurd", "cut"])
def test_an_engine_that_does_not_keep_to_the_protocol_is_told_of(kind: str, tmp_path: Path) -> None:
    assert pipe.trial(kind, 0, tmp_path) == []


def test_a_killed_engine_is_told_of_and_the_next_message_is_answered(tmp_path: Path) -> None:
    assert deaths.trial("streaming", "engine", "KILL", Random(0), tmp_path, comes) == []
