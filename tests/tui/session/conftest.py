"""The store of chats that tests of the session write to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.session.sessions import store_open


@pytest.fixture(autouse=True)
def _store(home: Path) -> Iterator[None]:
    """The store of the test's own home."""
    with store_open():
        yield
