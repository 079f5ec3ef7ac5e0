"""What tests of several screens stand on."""

from __future__ import annotations

import msgspec
import pytest

from amulet_local.own_presets import save_preset
from amulet_local.presets import load_presets
from amulet_local.realignment import AMULET


@pytest.fixture
def strength_of_the_paper() -> None:
    """Built-in strengths follow what was measured; some tests are about one that stays."""
    for name in ("concise", "verbose"):
        preset = load_presets().get(name)
        save_preset(msgspec.structs.replace(preset, strength=AMULET))
