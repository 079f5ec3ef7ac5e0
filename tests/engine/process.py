"""What tests ask of an engine process, and how they wait for it."""

from __future__ import annotations

from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Reply

OPTIONS = LoadOptions(context=1024)


def ask(text: str = "Tell me a long story.", **changes: object) -> Reply:
    settings: dict[str, object] = {
        "id": 1,
        "messages": (Message("user", text),),
        "seed": 1,
        "system": "You help.",
        "sampling": Sampling(temperature=0),
        "max_tokens": 200,
    }
    settings |= changes
    steered = {name: settings.pop(name) for name in Alignment.__struct_fields__ if name in settings}
    return Reply(alignment=Alignment(**steered), **settings)  # type: ignore[arg-type]


def until(engine: EngineProcess, *kinds: type[Event]) -> list[Event]:
    """Events up to the first of one of these kinds."""
    events: list[Event] = []
    while not events or not isinstance(events[-1], kinds):
        events.append(engine.events.get(timeout=30))
    return events


def process_of(engine: EngineProcess) -> int:
    assert engine.pid is not None
    return engine.pid


def drain(engine: EngineProcess) -> list[Event]:
    events = []
    while not engine.events.empty():
        events.append(engine.events.get())
    return events
