"""Full collections come while nothing happens, and only where there may be much to find."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import pytest
from rich.color import ColorSystem
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from tui.system.garbage import Leftovers, forget_drawn

USUALLY, A_SCREEN = 400_000, 20_000  # blocks


@pytest.mark.parametrize(
    ("blocks", "collected"),
    [
        pytest.param([A_SCREEN, A_SCREEN], 1, id="a screen was left"),
        pytest.param([A_SCREEN // 4, A_SCREEN // 4], 0, id="hardly anything"),
        pytest.param([A_SCREEN, 2 * A_SCREEN, 3 * A_SCREEN], 0, id="something happens"),
        pytest.param([A_SCREEN] * 5, 1, id="all of it is still used"),
        pytest.param([A_SCREEN, A_SCREEN, 0, 0], 1, id="less than there was"),
        pytest.param([A_SCREEN] * 2 + [2 * A_SCREEN] * 2, 2, id="another screen was left"),
    ],
)
def test_when_all_is_collected(
    blocks: Sequence[int], collected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, collections = [0], []
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: USUALLY + now[0])
    monkeypatch.setattr(gc, "collect", lambda: collections.append(now[0]))
    leftovers = Leftovers()
    for now[0] in blocks:
        leftovers.look()
    assert len(collections) == collected


def test_styles_that_were_drawn_are_not_held() -> None:
    """Each line that can be selected from has styles of its own, which know where it stands."""

    def held() -> int:
        return len([each for each in gc.get_objects() if type(each) is Style])

    forget_drawn()
    first = held()
    for line in range(100):
        style = Style(bold=True, meta={"offset": (0, line)})
        assert "x" in Strip.render_style(style, "x", ColorSystem.TRUECOLOR)
    assert held() >= first + 100
    forget_drawn()
    assert held() < first + 10


def test_what_was_laid_out_is_not_held() -> None:
    region = Region(3, 5, 7, 11)
    assert region.intersection(Region(0, 0, 9, 9)) == Region(3, 5, 6, 4)
    assert Region.intersection.cache_info().currsize > 0
    forget_drawn()
    assert Region.intersection.cache_info().currsize == 0
