"""The pictures in README and docs, from a real chat on the real default model.

python -m docs.screenshots
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.pilot import Pilot

from amulet_local.client import EngineProcess
from amulet_local.history import History
from amulet_local.presets import load_presets
from amulet_local.protocol import LoadOptions
from amulet_local.settings import Settings
from tui.app import AmuletApp
from tui.changes import Steering
from tui.session import Session
from tui.shelf import Shelf

_PICTURES = Path(__file__).parent / "pictures"
_QUESTION = "What makes a good walking holiday?"
_SECOND = "And what should I pack?"


def main() -> None:
    _PICTURES.mkdir(exist_ok=True)
    asyncio.run(take("chat", (110, 30), []))
    asyncio.run(take("picker", (110, 30), ["ctrl+p"]))
    asyncio.run(take("heat", (110, 30), ["ctrl+f", "n", "n"]))
    asyncio.run(take("compare", (130, 30), ["ctrl+y"]))


async def take(name: str, size: tuple[int, int], keys: list[str]) -> None:
    """Two questions and their answers, then the keys, then a picture."""
    preset = load_presets().get("concise")
    engine = EngineProcess()
    history = History(None)
    session = Session(engine, history, Settings(), LoadOptions(), Steering.to_preset(preset))
    app = AmuletApp(session, engine, Shelf())
    try:
        async with app.run_test(size=size) as pilot:
            for question in (_QUESTION, _SECOND):
                await ask(pilot, question, session)
            await pilot.press(*keys)
            await pilot.pause(8.0 if keys else 0.5)  # what opens may have the engine write
            app.save_screenshot(f"{name}.svg", str(_PICTURES))
    finally:
        engine.close()


async def ask(pilot: Pilot[None], question: str, session: Session) -> None:
    """Type a question, and wait until it is answered."""
    answered = len(session.path) + 2
    await pilot.press(*(key_of(letter) for letter in question), "enter")
    for _ in range(600):
        await pilot.pause(0.1)
        if len(session.path) >= answered and not session.replying:
            break
    await pilot.pause(0.5)


def key_of(letter: str) -> str:
    """Textual's name of the key that types a letter."""
    return {" ": "space", "?": "question_mark"}.get(letter, letter)


if __name__ == "__main__":
    main()
