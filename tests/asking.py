"""Requests to an engine and what came of them, for tests of everything that an engine does."""

from __future__ import annotations

from amulet_local.engine.engine import Engine
from amulet_local.presets.preset import BUILT_IN, read_preset
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Finished, Reply, Step
from amulet_local.strengths import AMULET

CONCISE = "Your answer should be concise as much as possible."
HOLIDAY = Message("user", "What makes a good walking holiday?")


def built_in_strength(name: str) -> float:
    """The strength of a built-in preset, which follows what was measured."""
    return read_preset(BUILT_IN / f"{name}.toml").usual_strength


def ask(*messages: Message, **changes: object) -> Reply:
    settings: dict[str, object] = {
        "id": 1,
        "messages": messages or (HOLIDAY,),
        "seed": 1,
        "system": DEFAULT_SYSTEM,
        "preference": CONCISE,
        "strength": AMULET,
        "guard": 0.0,
        "sampling": Sampling(temperature=0),
        "max_tokens": 128,
    }
    settings |= changes
    steered = {name: settings.pop(name) for name in Alignment.__struct_fields__ if name in settings}
    return Reply(alignment=Alignment(**steered), **settings)  # type: ignore[arg-type]


def collect(engine: Engine, request: Reply) -> list[Event]:
    events: list[Event] = []
    engine.reply(request, events.append)
    return events


def reply(engine: Engine, request: Reply) -> Finished:
    return end(collect(engine, request))


def end(events: list[Event]) -> Finished:
    """The one end of a reply; the first on a model is followed by its pace, once."""
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished


def steps(events: list[Event]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]
