"""An engine process, which ends with its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amulet_local.engine.client import EngineProcess


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    process = EngineProcess()
    yield process
    process.close()
