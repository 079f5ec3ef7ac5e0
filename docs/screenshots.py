"""The pictures in README and docs, from a real chat.

python -m docs.screenshots -m MODEL takes all of them, in one chat; behind it may stand the names of
those to take. Ours are of Qwen2.5-Coder-1.5B-Instruct Q4_K_M (`python -m benchmarks.fetch_models`):
the English of the default model is not what people choose a program by.
"""

from __future__ import annotations

import argparse
import asyncio
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
from tui.screens.compare import CompareScreen
from tui.screens.heat import HeatScreen
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
_WISH = 'Describe autumn in two sentences !! all in lower case, without the word "leaves"'
_MIX = ["ctrl+t", "plus", *"formal", "enter", "plus", *"sycophantic", "enter", "3", "b", "minus"]
_TAKEN: dict[str, tuple[tuple[int, int], list[str]]] = {  # width and height; keys to press
    "chat": ((110, 30), []),
    "picker": ((110, 30), ["ctrl+p"]),
    "chats": ((110, 24), ["ctrl+l"]),
    "help": ((110, 30), ["ctrl+g"]),
    "heat": ((110, 30), ["ctrl+f", "n", "n"]),
    "compare": ((130, 30), ["ctrl+y"]),
    "desk": ((160, 38), [*_MIX, "f", "enter", "ctrl+r", "ctrl+t"]),
    "wish": ((110, 20), []),  # the last
}
_LONGEST = 160  # tokens of a reply
_WAIT_S = 600.0  # for a reply, which a large model on a small machine takes


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the pictures in README and docs.")
    parser.add_argument("-m", "--model", default="default", help="a name, or a GGUF file")
    parser.add_argument("names", nargs="*", choices=[*_TAKEN, []], help="default: all of them")
    args = parser.parse_args()
    _PICTURES.mkdir(exist_ok=True)
    asyncio.run(take(args.names or list(_TAKEN), args.model))


async def take(names: list[str], model: str) -> None:
    """Two questions and their answers; for each picture its keys, and back. A wish has a chat of
    its own, at the end."""
    preset = load_presets().get("concise")
    engine = EngineProcess()
    history = History(None)
    keep_others(history)
    steering = SteeringChoice.to_preset(preset)
    settings = Settings(max_tokens=_LONGEST)
    session = Session(engine, history, settings, LoadOptions(), steering)
    app = AmuletApp(session, engine, ModelStore(), model)
    try:
        async with app.run_test(size=_TAKEN["chat"][0]) as pilot:
            if names != ["wish"]:
                for question in (_QUESTION, _SECOND):
                    await ask(pilot, question, session)
            for name in names:
                size, keys = _TAKEN[name]
                if name == "wish":
                    session.steering = SteeringChoice()
                    await pilot.press("ctrl+n")
                    await ask(pilot, _WISH, session)
                await pilot.resize_terminal(*size)
                await pilot.press(*keys)
                await rest(pilot, session)
                app.save_screenshot(f"{name}.svg", str(_PICTURES))
                while len(app.screen_stack) > 1:
                    await pilot.press("escape")
                    await rest(pilot, session)
    finally:
        engine.close()


async def rest(pilot: Pilot[None], session: Session) -> None:
    """Wait until the engine has nothing more to say, and all of it is drawn."""
    await pilot.pause(0.5)
    for _ in range(int(_WAIT_S / 0.1)):
        await pilot.pause(0.1)
        if not session.replying and not is_at_work(pilot):
            break
    await pilot.pause(1.0)


def is_at_work(pilot: Pilot[None]) -> bool:
    """Whether the screen that was opened still has the engine write or read for it."""
    screen = pilot.app.screen
    if isinstance(screen, CompareScreen):
        return screen.comparison.running
    return isinstance(screen, HeatScreen) and "Reading" in screen._alternatives.why


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
    for _ in range(int(_WAIT_S / 0.1)):
        await pilot.pause(0.1)
        if len(session.path) >= answered and not session.replying:
            break
    await pilot.pause(0.5)


def key_of(letter: str) -> str:
    """Textual's name of the key that types a letter."""
    named = {" ": "space", "?": "question_mark", "/": "slash", "!": "exclamation_mark"}
    named |= {",": "comma", '"': "quotation_mark"}
    return named.get(letter, letter)


if __name__ == "__main__":
    main()
