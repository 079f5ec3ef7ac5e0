"""A session on an engine that plays scripts, and what tests ask of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History, history_file
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Died
from amulet_local.settings import Settings
from tests.fake_engine import FakeEngine
from tui.session.changes import (
    Activity,
    Change,
    ChosenModel,
    Noticed,
)
from tui.session.session import Session
from tui.session.steering import SteeringChoice

MODEL = ChosenModel(Path("/models/small.gguf"), "small", "Q4_1")
DEATH = Died("The engine stopped.")
TOLD = Noticed(
    "The engine stopped. The conversation is kept; the next message starts a new engine.",
    serious=True,
)
PRESETS = load_presets().presets


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@contextmanager
def store_open() -> Iterator[None]:
    """The store of the test's own home."""
    global store
    with History(history_file()) as store:
        yield


store: History


def begin(
    engine: FakeEngine,
    steering: SteeringChoice = SteeringChoice(),  # noqa: B008
    settings: Settings = Settings(),  # noqa: B008
    *,
    loaded: bool = True,
) -> Session:
    session = Session(engine, store, settings, LoadOptions(context=512), steering, Clock())
    if loaded:
        session.load(MODEL)
        hear(session, engine)
    return session


def hear(session: Session, engine: FakeEngine) -> list[Change]:
    """What changes by all that the engine has said."""
    changes: list[Change] = []
    while not engine.events.empty():
        changes += session.take(engine.events.get())
    return changes


def activity(session: Session) -> Activity:
    return session.status.activity


def kinds(changes: Sequence[Change]) -> list[type[Change]]:
    return [type(change) for change in changes]


def said(session: Session) -> list[str]:
    """The texts of the messages that are read."""
    return [node.message.text for node in session.path]


def stored(session: Session) -> list[str]:
    """The same, as the store has them."""
    return [node.message.text for node in session.history.load(session.chat.id).path()]


def last(session: Session) -> Node:
    return session.path[-1]


def ask(session: Session, engine: FakeEngine, text: str = "Where to?") -> list[Change]:
    return [*session.ask(text), *hear(session, engine)]
