"""Every screen looks as it did when somebody last looked at it: letters and colours, in a large
window that is then made small, in the dark theme and in the light one.

`make snapshots` writes the files in tests/tui/snapshots anew; look at their diff before keeping it.
"""

from __future__ import annotations

import difflib
import time
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input, TextArea

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.provenance import Origin
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from tests.fake_engine import HOLD, FakeEngine, Measured, Script
from tests.tui.running import LARGE, MODEL, SMALL, Running, chat, store_with, strips
from tests.tui.screens.test_first_run import REPLY, first_run
from tests.tui.snapshots import Look, written
from tui.comparison.comparison import Comparison
from tui.heatmap.contrast import READABLE
from tui.session.changes import ChosenModel
from tui.session.model_store import ModelStore, StoredModel
from tui.session.steering import SteeringChoice
from tui.themes import OWN

FILES = Path(__file__).parent / "snapshots"
SIZES = (LARGE, SMALL)
OPENED_ANEW = ("palette",)  # Textual's own keeps the theme that it was opened in
NARROW = (3, 2)  # a frame, its padding and margins take six columns
RENEW = "`make snapshots` renews it; look at the diff before you keep it."


Scene = Callable[[str], AbstractAsyncContextManager[Running]]  # in a theme
SCENES: dict[str, Scene] = {}
Looks = dict[tuple[int, int], dict[str, Look]]  # by size and theme


def scene(opened: Callable[[str], AsyncIterator[Running]]) -> Scene:
    """A screen to be looked at, which is open while the context lasts."""
    name = opened.__name__.strip("_").replace("_", "-")
    SCENES[name] = asynccontextmanager(opened)
    return SCENES[name]


# -- what is said on the screens ------------------------------------------------------------------

HOLIDAY = "What makes a good walking holiday?"
ADVICE = (
    "A **good walking holiday** needs three things: a *route* that you like, boots that fit, "
    "and a bed at the end of the day. Keep every day under `20 km`.\n\n"
)
MARKDOWN = (
    f"## Before you go\n\n{ADVICE}"
    "1. Choose a path along the [coast](https://example.org/coast).\n"
    "2. Pack light:\n   - a map\n   - rain gear\n\n"
    "> The best weather is the one you are dressed for.\n\n"
    "| day | from | km |\n|:--|:--|--:|\n| 1 | Minehead | 14 |\n| 2 | Porlock Weir | 19.5 |\n\n"
    "```python\ndef hours(km: float, climb: float) -> float:\n"
    '    """Naismith\'s rule."""\n    return km / 5 + climb / 600  # metres\n```\n\n'
    "---\n\nEnjoy ~~the bus~~ the walk."
)
MEASURED: Script = (
    Measured("A"), Measured(" good", 0.07), Measured(" walking", 0.01), Measured(" holiday"),
    Measured(" needs", 0.3, True, 1.4), Measured(" a", 0.12), Measured(" quiet", 1.26, True, 2.31),
    Measured(" path", 0.6, False, 7.0), Measured(",\n", 0.0), Measured("boots", 2.5, True, 1.1),
    Measured(" that", 0.21), Measured(" fit", 0.08), Measured(", and", 0.9, True, 4.2),
    Measured(" a", 0.03), Measured(" bed", 0.55), Measured(".", 0.11),
)  # fmt: skip
COLUMNS: Sequence[Script] = (
    ["A walk."],
    [MARKDOWN[18:170], " There is more to it than that: ", ADVICE[2:]],
    [Measured("A good walking holiday "), Measured("has paths that you like and a bed.")],
    [Measured("A good walking holiday ", 0.1), Measured("is short.", 1.5, True, 2.0)],
)
MODELS = (
    StoredModel(
        str(MODEL.path),
        "SmolLM2-135M-Instruct Q4_1",
        "Needs about 465.9 MB for two streams of 4,096 tokens (weights 156.8 MB, KV 188.7 MB, "
        "compute 43.1 MB); 23.7 GB free.",
        True,
        about="llama, 134,515,008 parameters\n98.1 MB on disk · trained for 8,192 tokens\n"
        "chat template: yes · licence: apache-2.0\nkept by Amulet: /models/small.gguf",
        formats="On this processor a copy in Q4_0 may be faster than Q4_1.",
        unmeasured=True,
    ),
    StoredModel("/models/middle.gguf", "Middle-8B-Instruct Q4_K_M", "Takes 6.1 GB.", True),
    StoredModel("/models/big.gguf", "Big-70B-Instruct Q4_K_M", "Takes 43 GB.", False),
)


def keep_chats() -> None:
    """Some chats of spring 2025, in the store."""
    origin = Origin(model="SmolLM2", file="/models/small.gguf", seed=7, system="You help.")
    chats = (
        (1741944360.0, HOLIDAY, ADVICE, "And what should I pack?", "Rain gear, a map, and socks."),
        (1741940000.0, "Explain photosynthesis.", "Plants make *sugar* from light."),
        (1741850000.0, "A very long question indeed, one that no list of chats has the room to "
         "show from its beginning to its end, however wide it may be", "It is."),
        (1739000000.0, "Wie war das mit dem Wandern?", "日本語でも歩けます。"),
    )  # fmt: skip
    with History(history_file()) as history:
        for made, *texts in chats:
            nodes: list[Node] = []
            for place, text in enumerate(texts):
                message = Message("assistant" if place % 2 else "user", text)
                parent = nodes[-1].id if nodes else None
                kept = origin if place % 2 else None
                nodes.append(Node(new_id(made + place), parent, message, kept))
            history.add_chat(new_chat_id(), texts[0], Conversation(nodes), made)


def model_store() -> ModelStore:
    def find(name: str) -> ChosenModel:
        return MODEL

    def models(options: LoadOptions) -> Sequence[StoredModel]:
        return MODELS

    def prompts(path: str, steering: SteeringChoice) -> str:
        asked = f"<|im_end|>\n<|im_start|>user\n{HOLIDAY}<|im_end|>\n<|im_start|>assistant\n"
        system = "<|im_start|>system\nYou are a capable and friendly assistant."
        return (
            f"What it reads without the preference:\n\n{system}{asked}\n\n"
            f"With it:\n\n{system} {steering.preference}{asked}"
        )

    return ModelStore(find, lambda: True, models=models, prompts=prompts)


# -- the screens ----------------------------------------------------------------------------------


@scene
async def welcome(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        yield running


@scene
async def offer(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme, model_store=store_with(None)) as running:
        yield running


@scene
async def better_model(theme: str) -> AsyncIterator[Running]:
    store, _ = first_run()
    async with chat(FakeEngine(REPLY), theme=theme, model_store=store) as running:
        await running.say(HOLIDAY)
        await running.until("fetches it while you chat")
        yield running


@scene
async def reply(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine([MARKDOWN]), theme=theme) as running:
        await running.say(HOLIDAY)
        yield running


@scene
async def reply_from_its_top(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine([MARKDOWN]), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+up", "g")
        yield running


@scene
async def versions(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine([ADVICE], [ADVICE]), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+r", "ctrl+up")
        yield running


@scene
async def streaming(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine([ADVICE], [ADVICE, "Then, ", HOLD]), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.say("And what\nshould I pack?")
        await running.say("This waits.")
        yield running


@scene
async def troubles(theme: str) -> AsyncIterator[Running]:
    notices = ["presets/mine.toml: strength is no number; mend it.", "config.toml sets no key."]
    async with chat(FakeEngine(["Yes.", HOLD]), theme=theme, notices=notices) as running:
        await running.say(HOLIDAY)
        await running.press("escape")
        yield running


@scene
async def dial(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(["Yes."]), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+t", "l", "left")
        yield running


@scene
async def mixing_desk(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(["Yes."]), theme=theme) as running:
        await running.say(HOLIDAY)
        for name in ("formal", "sycophantic", "uplifting", "creative", "thrifty"):
            await running.say(f"/mix {name}")
        await running.press("ctrl+t", "3", "b", "minus", "4", "m", "2")
        yield running


@scene
async def no_preset(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(["Yes."]), theme=theme, preset="") as running:
        await running.say(HOLIDAY)
        yield running


@scene
async def wish(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(MEASURED), theme=theme, preset="") as running:
        await running.say(
            f"{HOLIDAY}\n!! in words that a child of five would know, and not many of them\n"
            "!! kindly"
        )
        running.prompt.insert("And what should I pack? !! in one line")
        await running.settle()
        yield running


@scene
async def completions(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        running.prompt.insert("/")
        await running.press("down")
        yield running


@scene
async def palette(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+o")
        await running.until("Search")
        yield running


@scene
async def help_(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+g")
        yield running


@scene
async def presets(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+p")
        yield running


@scene
async def preset_form(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+p", "ctrl+e")
        yield running


@scene
async def models(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme, model_store=model_store()) as running:
        await running.say("/model")
        await running.until("reads without the preference")
        await running.workers_done()  # the prompts, which may be below what is seen
        await running.settle()
        yield running


@scene
async def chats(theme: str) -> AsyncIterator[Running]:
    keep_chats()
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+l", "down")
        await running.until("sugar")
        yield running


@scene
async def search(theme: str) -> AsyncIterator[Running]:
    keep_chats()
    async with chat(FakeEngine(), theme=theme) as running:
        await running.say("/search walking")
        await running.until("reply")
        await running.until("20 km")
        yield running


@scene
async def export(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.say(HOLIDAY)
        Path("walk.md").touch()
        await running.say("/export")
        running.app.screen.query_one(Input).value = "walk.md"
        await running.press("enter")
        await running.until("overwrite")
        yield running


@scene
async def import_(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(), theme=theme) as running:
        await running.say("/import")
        yield running


@scene
async def rename(theme: str) -> AsyncIterator[Running]:
    keep_chats()
    async with chat(FakeEngine(), theme=theme) as running:
        await running.press("ctrl+l")
        await running.until("Rain gear")
        await running.press("r")
        yield running


@scene
async def heat(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(MEASURED), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+f", "n", "plus")
        yield running


@scene
async def heat_card(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(MEASURED), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+f")
        await running.press("end", "tab")
        yield running


@scene
async def compare(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(*COLUMNS), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+y")
        yield running


@scene
async def compare_blind(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(*COLUMNS), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+y")
        await running.press("v")
        yield running


@scene
async def compare_voted(theme: str) -> AsyncIterator[Running]:
    async with chat(FakeEngine(*COLUMNS), theme=theme) as running:
        await running.say(HOLIDAY)
        await running.press("ctrl+y")
        await running.press("v")
        await running.press("1")
        yield running


# -- looking --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_by_chance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One time zone, one seed, one order of columns, one folder with nothing in it."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("tui.session.requests.secrets.randbelow", lambda end: 1234567)
    monkeypatch.setattr(Comparison.__init__, "__defaults__", (list.reverse,))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    monkeypatch.undo()
    time.tzset()


async def seen(running: Running) -> Look:
    """What the screen in front looks like, with its cursors standing."""
    for field in running.app.screen.query("Input, TextArea"):
        assert isinstance(field, Input | TextArea)
        field.cursor_blink = False
    before: list[Strip] = []
    while (now := strips(running.app.screen)) != before:
        before = now
        await running.settle()
    return Look.of(before)


async def looks(name: str, themes: Sequence[str]) -> Looks:
    """What a screen looks like, opened in the first theme and turned to the others, in a large
    window that is then made small. Fails where it cannot be read, or where a window in which
    nothing fits ends the app."""
    found: Looks = {size: {} for size in SIZES}
    async with SCENES[name](themes[0]) as running:
        for size in SIZES:
            await running.resize(*size)
            for theme in themes if size == LARGE else reversed(themes):
                running.app.theme = theme
                await running.settle()
                found[size][theme] = await seen(running)
                assert unreadable(found[size][theme], running.app.screen) == {}, (size, theme)
        await running.resize(*NARROW)
        assert len(running.shown().split("\n")) == NARROW[1]
    return found


def unreadable(look: Look, screen: Screen[Any]) -> dict[str, str]:
    """The letters and digits that stand out too little, by how they are painted. What lies behind
    a window is not there to be read."""
    found: dict[str, str] = {}
    for (x, y), letter, paint in look.cells():
        if letter.isalnum() and paint.contrast < READABLE:
            widget, _ = screen.get_widget_at(x, y)
            if widget is not screen:
                told = f"{paint} ({paint.contrast:.1f}:1)"
                found[told] = found.get(told, "") + letter
    return found


def changes(file: Path, found: Mapping[str, Look], *, renew: bool) -> list[str]:
    """What has changed, line by line; nothing, where the file is written anew."""
    before = file.read_text("utf-8") if file.exists() else ""
    now = written({theme.name: found[theme.name] for theme in OWN}, before)
    if renew:
        file.write_text(now, "utf-8")
        return []
    lines = (before.split("\n"), now.split("\n"))
    return [*difflib.unified_diff(*lines, file.name, "now", n=2)]


@pytest.mark.parametrize("name", SCENES)
async def test_a_screen_looks_as_it_did_and_can_be_read(name: str, renew_snapshots: bool) -> None:
    themes = [theme.name for theme in OWN]
    ways = [[theme] for theme in themes] if name in OPENED_ANEW else [themes]
    found = [await looks(name, way) for way in ways]
    told: list[str] = []
    for width, height in SIZES:
        in_themes = dict(ChainMap(*(each[width, height] for each in found)))
        file = FILES / f"{name}-{width}x{height}.txt"
        told += changes(file, in_themes, renew=renew_snapshots)
    if told:
        pytest.fail("\n".join([*told, RENEW]), pytrace=False)


def test_every_snapshot_is_of_a_screen() -> None:
    names = {f"{name}-{width}x{height}.txt" for name in SCENES for width, height in SIZES}
    assert {path.name for path in FILES.iterdir()} == names
