"""What tests of comparisons say, open and look at."""

from __future__ import annotations

import pytest

from tests.fake_engine import Measured, Script
from tests.tui.running import LARGE, SMALL, Running
from tui.comparison.comparison import Comparison
from tui.screens.compare import CompareScreen

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE])
FIRST: Script = ["Hello."]
BASE: Script = ["Take ", "the ", "coast ", "path, ", "and rest."]
PROMPTED: Script = [Measured("Take "), Measured("the "), Measured("road.")]
REALIGNED: Script = [Measured("Take ", 0.1), Measured("it.", 1.5, True, 2.0)]
ALL = (FIRST, BASE, PROMPTED, REALIGNED)


def screen(running: Running) -> CompareScreen:
    assert isinstance(running.app.screen, CompareScreen)
    return running.app.screen


def comparison(running: Running) -> Comparison:
    return screen(running).comparison


def names(running: Running) -> list[str]:
    return [column.name for column in comparison(running).columns]


def selected(running: Running) -> str:
    return screen(running)._selected.column.name


async def comparing(running: Running) -> None:
    await running.say("Where to?")
    await running.press("ctrl+y")
