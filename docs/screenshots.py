"""The pictures in README and docs, from a real chat on the real default model.

python -m docs.screenshots takes all of them; behind it may stand the names of those to take.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from textual.pilot import Pilot

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.engine.client import EngineProcess
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.settings import Settings
from tui.app import AmuletApp
from tui.session.model_store import ModelStore
from tui.session.session import Session
from tui.session.steering import SteeringChoice

_PICTURES = Path(__file__).parent / "pictures"
_QUESTION = "What makes a good walking holiday?"
_SECOND = "And what should I pack?"
_OTHERS = (  # chats of other days, in days before today
    (1, "Explain photosynthesis.", "Plants make sugar from light, water and air."),
    (1, "A name for a grey cat?", "Ash."),
    (4, "Boil eggs: how long?", "Seven minutes for a soft yolk, ten for a hard one."),
)
_TAKEN: dict[str, tuple[tuple[int, int], list[str]]] = {  # width and height; keys to press
    "chat": ((110, 30), []),
    "picker": ((110, 30), ["ctrl+p"]),
    "chats": ((110, 24), ["ctrl+l"]),
    "help": ((110, 30), ["ctrl+g"]),
    "heat": ((110, 30), ["ctrl+f", "n", "n"]),
    "compare": ((130, 30), ["ctrl+y"]),
}


def main() -> None:
    _PICTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or _TAKEN:
        asyncio.run(take(name, *_TAKEN[name]))


async def take(name: str, size: tuple[int, int], keys: list[str]) -> None:
    """Two questions and their answers, then the keys, then a picture."""
    preset = load_presets().get("concise")
    engine = EngineProcess()
    history = History(None)
    keep_others(history)
    session = Session(engine, history, Settings(), LoadOptions(), SteeringChoice.to_preset(preset))
    app = AmuletApp(session, engine, ModelStore())
    try:
        async with app.run_test(size=size) as pilot:
            for question in (_QUESTION, _SECOND):
                await ask(pilot, question, session)
            await pilot.press(*(key_of(key) for key in keys))
            await pilot.pause(8.0 if keys else 0.5)  # what opens may have the engine write
            app.save_screenshot(f"{name}.svg", str(_PICTURES))
    finally:
        engine.close()


def keep_others(history: History) -> None:
    """Some chats to be listed beside the real one."""
    for days, question, reply in _OTHERS:
        made = time.time() - days * 24 * 3600
        asked = Node(new_id(made), None, Message("user", question))
        answer = Node(new_id(made + 1), asked.id, Message("assistant", reply))
        history.add_chat(new_chat_id(), question, Conversation([asked, answer]), made)


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
    return {" ": "space", "?": "question_mark", "/": "slash"}.get(letter, letter)


if __name__ == "__main__":
    main()
