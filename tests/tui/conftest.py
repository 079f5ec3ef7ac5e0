"""What tests of several screens stand on."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from textual._compositor import Compositor, LayoutUpdate
from textual._context import visible_screen_stack
from textual.css.model import RuleSet
from textual.geometry import Region
from textual.screen import Screen

from amulet_local.presets.editing import save_preset
from amulet_local.presets.preset import load_presets
from amulet_local.realignment import AMULET


@pytest.fixture(autouse=True)
def _what_nobody_sees_is_not_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, Textual puts together what it drew of the widgets and throws it away;
    tests have it put together when they look. And rules are hashed by what they are, but in Python.
    Both are a sixth of the time of these tests."""

    def update(
        compositor: Compositor,
        full: bool = False,
        screen_stack: list[Screen[object]] | None = None,
        simplify: bool = False,
    ) -> LayoutUpdate | None:
        visible_screen_stack.set(screen_stack or [])
        whole = compositor.size.region
        regions = {whole} if full else compositor._dirty_regions.copy()
        compositor._dirty_regions.clear()
        if not regions:
            return None
        changed = Region.from_union(regions).intersection(whole)
        deque(compositor._get_renders(changed), maxlen=0)
        return LayoutUpdate([], changed)

    monkeypatch.setattr(Compositor, "render_update", update)
    monkeypatch.setattr(RuleSet, "__hash__", object.__hash__)


@pytest.fixture
def strength_of_the_paper() -> None:
    """Built-in strengths follow what was measured; some tests are about one that stays."""
    for name in ("concise", "verbose"):
        preset = load_presets().get(name)
        save_preset(msgspec.structs.replace(preset, strength=AMULET))
