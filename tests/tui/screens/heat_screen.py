"""The heat view of a reply that plays a script, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator

from amulet_local.protocol.messages import Event, Reply
from tests.fake_engine import Measured, Script
from tests.tui.running import Running
from tui.screens.heat import HeatScreen
from tui.widgets.heat_text import HeatText
from tui.widgets.token_card import TokenCard

WALK: Script = (
    Measured("Take", 0.02),
    Measured(" the", 0.3, True, 1.4),
    Measured(" coast", 1.26, True, 2.31),
    Measured(" path", 0.6, False, 7.0),
    Measured(".\n", 0.0),
    Measured("Rest.", 2.5, True, 1.1),
)
TEXT = "Take the coast path.\nRest."


def screen(running: Running) -> HeatScreen:
    assert isinstance(running.app.screen, HeatScreen)
    return running.app.screen


def cursor(running: Running) -> int:
    return screen(running).query_one(HeatText).cursor


def told(running: Running) -> str:
    """What the card says."""
    lines = screen(running).query_one(TokenCard)._lines(40)
    return " ".join(" ".join(line.plain for line in lines).split())


async def looking(running: Running, key: str = "ctrl+f") -> None:
    """A measured reply, and the view of it."""
    await running.say("Where to?")
    await running.press(key)


def no_answer(request: Reply) -> Iterator[Event]:
    yield from ()
