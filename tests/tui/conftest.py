"""What tests of several screens stand on."""

from __future__ import annotations

import msgspec
import pytest
from textual._compositor import Compositor, LayoutUpdate
from textual.css.model import RuleSet
from textual.geometry import Region
from textual.notifications import Notification
from textual.screen import Screen

from amulet_local.presets.editing import save_preset
from amulet_local.presets.preset import load_presets
from amulet_local.strengths import AMULET
from tui.comparison.comparison import Comparison


@pytest.fixture(autouse=True)
def _what_nobody_sees_is_not_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, Textual draws every change and throws it away; tests have it drawn when
    they look (see tests.tui.running.strips). And rules are hashed by what they are, but in Python.
    Both are a fifth of the time of these tests."""

    def update(
        compositor: Compositor,
        full: bool = False,
        screen_stack: list[Screen[object]] | None = None,
        simplify: bool = False,
    ) -> LayoutUpdate | None:
        whole = compositor.size.region
        regions = {whole} if full else compositor._dirty_regions.copy()
        compositor._dirty_regions.clear()
        return LayoutUpdate([], Region.from_union(regions)) if regions else None

    monkeypatch.setattr(Compositor, "render_update", update)
    monkeypatch.setattr(RuleSet, "__hash__", object.__hash__)


@pytest.fixture(autouse=True)
def _notices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice goes after some seconds, in which a busy machine may not get to look at it."""
    monkeypatch.setattr(Notification, "time_left", 3600.0)


@pytest.fixture
def strength_of_the_paper() -> None:
    """Built-in strengths follow what was measured; some tests are about one that stays."""
    for name in ("concise", "verbose"):
        preset = load_presets().get(name)
        save_preset(msgspec.structs.replace(preset, strength=AMULET))


@pytest.fixture
def shuffling_turns_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns of a blind vote come in the other order, whatever chance says."""
    monkeypatch.setattr(Comparison.__init__, "__defaults__", (list.reverse,))
