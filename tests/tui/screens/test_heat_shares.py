"""Who moved a token: the heat view of a reply to several preferences."""

from __future__ import annotations

from tests.fake_engine import FakeEngine, Measured, Script
from tests.tui.running import LARGE, SMALL, chat
from tests.tui.screens.compare_screen import comparison
from tests.tui.screens.heat_screen import looking, screen, told
from tui.widgets.heat_text import HeatText

WALK: Script = (
    Measured("Take", 0.02, shares=(0.05, 0.0)),
    Measured(" the", 0.3, True, 1.4, shares=(1.25, -0.5)),
    Measured(" coast", 1.26, True, 2.31, shares=(0.5, -2.0)),
    Measured(" path.", 0.6, False, 7.0, shares=(0.25, -0.75)),
)


async def test_who_moved_each_token_is_seen_without_colours() -> None:
    engine = FakeEngine(WALK)
    async with chat(engine, size=LARGE) as running:
        await running.say("/mix formal")
        await looking(running)
        assert "Take the coast path." in running.shown()
        await running.press("s")
        assert "Take the¹ coast² path." in running.shown()
        assert "shifted most by  1 concise  2 formal" in running.shown()
        colours = {screen(running).query_one(HeatText)._tint(token).bgcolor for token in (0, 1, 2)}
        assert len(colours) == 3
        await running.press("s")
        assert "Take the coast path." in running.shown()


async def test_the_card_tells_each_share_and_its_strength() -> None:
    async with chat(FakeEngine(WALK), size=LARGE) as running:
        await running.say("/mix formal")
        await looking(running)
        assert "1 concise +1.25 nats at +3.00 2 formal -0.50 nats at +2.00" in told(running)
    async with chat(FakeEngine(WALK), size=SMALL) as running:
        await running.say("/mix formal")
        await looking(running)
        assert "1 +1.25  2 -0.50" in running.shown()


async def test_of_one_preference_nobody_else_moved_it() -> None:
    async with chat(FakeEngine(WALK), size=SMALL) as running:
        await looking(running)
        await running.press("s")
        assert "follows one preference" in running.notified[-1]


async def test_a_comparison_leaves_each_preference_out() -> None:
    replies = [[f"Reply {number}."] for number in range(9)]
    engine = FakeEngine(*replies)
    async with chat(engine, size=LARGE) as running:
        await running.say("/mix formal")
        await running.say("Where to?")
        await running.press("ctrl+y", "3", "o")
        columns = comparison(running).columns
        assert [column.steering.title for column in columns[2:]] == [
            "Concise + Formal",
            "Formal",
            "Concise",
        ]
        base, pref, *rest = engine.requests[-5:]
        assert (base.alignment.mix, base.alignment.method) == ((), "base")
        assert pref.alignment.method == "pref"
        assert [len([f for f in each.alignment.mix if not f.muted]) for each in rest] == [2, 1, 1]
