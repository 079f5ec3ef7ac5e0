"""Heat view and comparison on the real engine and a tiny model of float32 weights, on which a reply
that is read anew says the same as when it was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs
from textual.pilot import Pilot

from amulet_local.chats.history import History, history_file
from amulet_local.chats.provenance import unpack
from amulet_local.engine.client import EngineProcess
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings
from amulet_local.strengths import LINEAR
from tests.checks import some
from tests.tiny_models import write_llama
from tests.tui.running import LARGE, store_with
from tui.app import AmuletApp
from tui.screens.compare import CompareScreen
from tui.screens.heat import HeatScreen
from tui.session import versions
from tui.session.model_store import find_model
from tui.session.session import Session
from tui.session.steering import SteeringChoice
from tui.widgets.heat_text import HeatText
from tui.widgets.prompt import Prompt
from tui.widgets.token_card import TokenCard

pytestmark = pytest.mark.model


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    for _ in range(1200):
        await pilot.pause(0.05)
        if condition():
            return
    raise AssertionError("it does not come")


async def likeliest(app: AmuletApp, pilot: Pilot[None], count: int) -> list[int]:
    """The token that the card says is the likeliest, realigned, at each of the first `count`."""
    look = app.screen
    assert isinstance(look, HeatScreen)
    card, text = look.query_one(TokenCard), look.query_one(HeatText)
    found = []
    for number in range(count):
        text.point(number)
        look.poll()
        await until(pilot, lambda: card.showing and card.showing.candidates)
        assert card.showing
        assert card.showing.candidates
        found.append(card.showing.candidates.realigned[0].token)
    return found


async def test_the_card_names_what_was_written_and_columns_part_where_they_are_marked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    engine, history = EngineProcess(), History(history_file())
    concise = structs.replace(load_presets().get("concise"), sampling=Sampling(temperature=0.0))
    steering = SteeringChoice.to_preset(concise, LINEAR)
    settings = Settings(max_tokens=32)
    options = LoadOptions(context=1024, flash_attention="off")
    session = Session(engine, history, settings, options, steering)
    app = AmuletApp(session, engine, store_with(find_model(str(path))))
    try:
        async with app.run_test(size=LARGE) as pilot:
            app.screen.query_one(Prompt).insert("What makes a good walking holiday?")
            await pilot.press("enter")
            await until(pilot, lambda: len(session.path) == 2 and session.path[1].ending)
            written = session.path[1].message.token_ids

            await pilot.press("ctrl+f")
            assert len(written) == 32
            assert await likeliest(app, pilot, len(written)) == list(written)
            await pilot.press("escape")

            # The same behind words of the user's: the beginning of the reply, changed.
            versions.edit(session, session.path[1].id, "Good boots,")
            versions.go_on(session, session.path[1])
            await until(pilot, lambda: session.path[1].ending)
            ids = session.path[1].message.token_ids
            await pilot.press("ctrl+f")
            measured = len(unpack(session.path[1].measures))
            assert 0 < measured < len(ids)
            assert await likeliest(app, pilot, measured) == list(ids[-measured:])
            await pilot.press("escape")

            await pilot.press("ctrl+y")
            compare = app.screen
            assert isinstance(compare, CompareScreen)
            columns = compare.comparison.columns
            await until(pilot, lambda: all(column.ended for column in columns))
            assert [column.trouble for column in columns] == ["", "", ""]
            base, *others = columns
            for number, column in some(enumerate(others, 1)):
                place = compare.comparison.parting(number)
                assert place is not None
                assert column.text[:place] == base.text[:place]
                assert column.text[place : place + 1] != base.text[place : place + 1]
            await pilot.press("ctrl+q")
    finally:
        engine.close()
        session.replies.end()
        history.close()
