"""Somebody who presses any key and types any command, with anything behind it, in the app with an
engine that plays any script: the app stays, and what it told it tells in sentences.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random

from amulet_local.protocol.messages import Died, Failed
from tests.fake_engine import HOLD, REPLY, FakeEngine, Item, Measured, Thinks
from tests.torture.part import Part
from tests.torture.text import BOMBS, CHARACTERS, PLAIN, SEQUENCES, hostile
from tests.tui.running import SMALL, Running, chat
from tui.actions import HELP, PLACES, commands

_ACTS = 25
_LONGEST = 80  # characters of an act that are told
_PLACES = (*PLACES.values(), HELP)
_KEYS = sorted(
    {key.strip() for place in _PLACES for each in place for key in each.keys.split(",")} - {""}
)
_MOVES = ["up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape"]
_MOVES += [
    "tab",
    "shift+tab",
    "backspace",
    "delete",
    "space",
    "ctrl+up",
    "ctrl+down",
    "a",
    "1",
    "/",
]
_NUMBERS = ["0", "-1", "1e999", "nan", "inf", "2,5", "9" * 400, "1_0", "٣", "-0", "0x1", "½"]
_WORDS = ["", "concise", "none", "Answer in rhymes.", "own", "light", "system", "md", "json", "?"]
_PATHS = ["/", ".", "~", "~nobody/x", "/dev/null", "/dev/full", "/proc/self/mem", "a\0b", "\udcff"]
_PATHS += [
    "x" * 300,
    "/nowhere/x.json",
    "own.json",
    "own.md",
    "pipe",
    "loop",
    "folder",
    "half.json",
]
_SIZES = [(1, 1), (2, 80), (200, 2), SMALL, (300, 100)]


def _words(random: Random) -> str:
    """What somebody types or pastes."""
    kinds = [_NUMBERS, _WORDS, _PATHS, list(SEQUENCES), list(CHARACTERS), list(PLAIN), list(BOMBS)]
    word = random.choice(random.choice(kinds))
    return random.choice(
        [word, word, f"{word} {random.choice(_WORDS)}", f"@{word}", hostile(random)]
    )


def _script(random: Random) -> list[Item]:
    """What an engine does for one reply."""
    script: list[Item] = list(random.choice([REPLY, (), ("",)]))
    for _ in range(random.randrange(4)):
        text = random.choice([hostile(random), "plain ", "\n", "\ud7ff"])
        measured = Measured(text, random.choice([0.0, 1e308]), random.random() < 0.5)
        items: list[Item] = [text, measured, Thinks(text), Died("gone", lighter=True)]
        script.append(random.choice([*items, Failed("refused.", 2, 1)]))
    return [*script, HOLD] if random.random() < 0.3 else script


async def _act(running: Running, engine: FakeEngine, random: Random) -> str:
    """One thing that somebody does; what it was."""
    match random.randrange(7):
        case 0 | 1:
            command = random.choice(sorted(commands().keys() - {"quit"}))
            typed = f"/{command} {_words(random)}"
            running.prompt.insert(typed)
            await running.press("enter")
            return typed
        case 2:
            typed = _words(random)
            running.prompt.insert(typed)
            await running.press("enter")
            return typed
        case 3:
            size = random.choice(_SIZES)
            await running.resize(*size)
            return str(size)
        case 4:
            keys = random.choices(_MOVES, k=random.randrange(1, 5))
            await running.press(*keys)
            return " ".join(keys)
        case 5:
            engine.go_on()
            await running.settle()
            return "the engine goes on"
    key = random.choice([each for each in _KEYS if each != "ctrl+q"])
    await running.press(key)
    return key


async def _walk(random: Random, done: list[str]) -> None:
    engine = FakeEngine(*(_script(random) for _ in range(_ACTS)))
    async with chat(engine, size=SMALL) as running:
        for _ in range(_ACTS):
            done.append(await _act(running, engine, random))
            if not running.app.is_running:
                return
        engine.go_on()


def _files() -> None:
    """What is there to be attached, imported or overwritten."""
    Path("own.md").write_text("# A title\n", "utf-8")
    Path("half.json").write_text('{"format": "amulet-chat", "version": 1', "utf-8")
    Path("own.json").write_bytes(b"\xff\xfe\0")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")


def _monkey(random: Random, folder: Path) -> str:
    here, done = Path.cwd(), list[str]()
    os.environ |= {"HOME": str(folder), "BROWSER": "true", "EDITOR": "true", "VISUAL": "true"}
    os.chdir(folder)
    try:
        _files()
        asyncio.run(_walk(random, done))
    except BaseException as error:
        error.add_note(f"after {[act[:_LONGEST] for act in done[-6:]]}")
        raise
    finally:
        os.chdir(here)
    return "it stays"


PARTS = [Part("monkey", _monkey, quick=0, full=1_000, limit_s=300.0)]
