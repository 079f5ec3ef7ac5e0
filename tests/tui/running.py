"""A chat that runs in a test: without a terminal, on a fake engine, drawn when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.worker import WorkerCancelled

from amulet_local.chats.history import History, history_file
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import NotUsableError
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings
from models.catalogue import Hosted, entries
from models.suggestion import Suggestion
from tui.app import AmuletApp
from tui.screens.chat import ChatScreen
from tui.screens.compare import CompareScreen
from tui.screens.heat import HeatScreen
from tui.session.changes import ChosenModel
from tui.session.model_store import ModelStore, StoredModel
from tui.session.session import Session
from tui.session.steering import SteeringChoice
from tui.system.garbage import forget_drawn
from tui.themes import DARK
from tui.widgets.dial import Dial
from tui.widgets.prompt import Prompt
from tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from models.fetch import Progress

# What screens look like at both sizes is in the snapshots. What keys do is tried at the one where
# least fits, and at both only where the layout is another.
SMALL, LARGE = (60, 18), (120, 40)
MODEL = ChosenModel(Path("/models/small.gguf"), "SmolLM2-135M-Instruct", "Q4_1")
BETTER = next(
    entry for entry in entries() if isinstance(entry, Hosted) and entry.name == "ministral-3-3b"
)
SUGGESTION = Suggestion(BETTER)

# For what threads bring about, mostly in no time; a minute and more where the machine is busy.
_LOOKS, _BETWEEN_LOOKS_S = 5000, 0.02

Fetch = Callable[[Callable[["Progress"], object], Callable[[], bool]], Path]


def no_fetch(on_progress: object, cancelled: object) -> Path:
    raise AssertionError("nothing is to be fetched here")


def store_with(
    model: ChosenModel | None = MODEL,
    fetch: Fetch = no_fetch,
    others: Sequence[StoredModel] = (),
    suggestion: Suggestion = SUGGESTION,
) -> ModelStore:
    """A store with one model, or with none until it is fetched; others are on this disk; what it
    suggests."""
    found = [model] if model else []

    def find(name: str) -> ChosenModel:
        if not found:
            raise NotUsableError("the model small is not here yet; fetch it.")
        return found[0]

    def fetch_it(on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]) -> Path:
        path = fetch(on_progress, cancelled)
        found.append(MODEL)
        return path

    return ModelStore(
        find, lambda: False, fetch_it, lambda options: others, lambda options, speed: suggestion
    )


def strips(screen: Screen[Any]) -> list[Strip]:
    """What a screen shows, row by row, with what is seen of those behind it."""
    visible_screen_stack.set(screen.app._background_screens)
    return screen._compositor.render_strips()


def in_one_line(shown: str) -> str:
    """What is on a screen, without where its lines are broken."""
    return " ".join(shown.replace("▌", "").split())


@dataclass
class Running:
    """The parts of a running chat that tests look at."""

    app: AmuletApp
    pilot: Pilot[None]
    session: Session
    drawn: int = 0  # how many times

    def count(self) -> None:
        """Note that something was drawn."""
        self.drawn += 1

    @property
    def screen(self) -> ChatScreen:
        """The chat, whatever is open over it."""
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    @property
    def said(self) -> list[str]:
        """The texts of the messages that are read."""
        return [node.message.text for node in self.session.path]

    @property
    def prompt(self) -> Prompt:
        return self.screen.query_one(Prompt)

    @property
    def dial(self) -> Dial:
        return self.screen.query_one(Dial)

    @property
    def transcript(self) -> Transcript:
        return self.screen.query_one(Transcript)

    @property
    def notified(self) -> list[str]:
        """What was told in a corner of the screen, the newest last."""
        return [notification.message for notification in self.app._notifications]

    async def rest(self) -> None:
        """Have all run that can run now, and drawing that is due be done.

        `Pilot.pause` comes to the same by a message to every widget and back, which is a third of
        the work of a test.
        """
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while ready:
            await asyncio.sleep(0)
        *behind, front = self.app.screen_stack
        for screen in behind:
            if (
                screen._layout_required
            ):  # what it does then, such as to scroll, is seen around a window
                screen._on_timer_update()
        front._on_timer_update()

    async def settle(self) -> None:
        """Have everything that was said heard and drawn: until nothing is drawn any more."""
        quiet, drawn = -1, self.drawn
        for _ in range(_LOOKS):
            self.screen.poll()
            if isinstance(self.app.screen, HeatScreen | CompareScreen):
                self.app.screen.poll()
            await self.rest()
            quiet, drawn = (quiet + 1 if self.drawn == drawn else 0), self.drawn
            if quiet == 3:
                return
        raise AssertionError("the screen is drawn at every look, though nothing changes")

    async def workers_done(self) -> None:
        """Have all that runs on threads end, by itself or since another took its place."""
        with suppress(WorkerCancelled):
            await self.app.workers.wait_for_complete()

    async def press(self, *keys: str) -> None:
        for key in keys:
            self.app.simulate_key(key)
            await self.rest()
        await self.settle()

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, which the app waits a moment for others to follow."""
        await self.pilot.resize_terminal(width, height)
        self.app._check_resize()
        await self.settle()

    async def say(self, text: str) -> None:
        """Write a message and send it."""
        self.prompt.insert(text)
        await self.press("enter")

    async def until(self, text: str) -> None:
        """Wait for what a thread will bring about, wherever its lines are broken."""
        drawn = -1
        for _ in range(_LOOKS):
            await self.settle()
            if drawn != self.drawn:
                shown, drawn = self.shown(), self.drawn
                if text in shown or text in in_one_line(shown):
                    return
            await asyncio.sleep(_BETWEEN_LOOKS_S)
        raise AssertionError(f"{text!r} is not shown")

    def words(self) -> str:
        """What is on the screen now, in one line."""
        return in_one_line(self.shown())

    def shown(self) -> str:
        """What is on the screen now, row by row."""
        return "\n".join(strip.text.rstrip() for strip in strips(self.app.screen))


@asynccontextmanager
async def chat(
    engine: EngineHandle,
    *,
    size: tuple[int, int] = LARGE,
    preset: str = "concise",
    model_store: ModelStore | None = None,
    model: str = "",
    notices: Sequence[str] = (),
    keys: Mapping[str, str] = MappingProxyType({}),
    theme: str = DARK.name,
    temporary: bool = False,
    **more: Any,
) -> AsyncIterator[Running]:
    """Run a chat; the model, if there is one, is loaded as far as the engine's script goes.

    Chats are kept in the test's own home, so that a second run finds what the first has left.
    """
    steering = SteeringChoice.to_preset(load_presets().get(preset) if preset else None)
    with History(history_file()) as history:
        settings = Settings(**more)
        session = Session(
            engine, history, settings, LoadOptions(), steering, lambda: 0.0, temporary=temporary
        )
        app = AmuletApp(session, engine, model_store or store_with(), model, notices, keys, theme)
        async with app.run_test(size=size, notifications=True) as pilot:
            running = Running(app, pilot, session)
            with patch.object(app, "post_display_hook", running.count):
                await app.workers.wait_for_complete()
                await running.settle()
                yield running
        session.replies.end()
        forget_drawn()  # or the lines of a thousand widgets are looked at in every collection
