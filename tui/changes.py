"""What a session tells of: the changes of a chat one by one, and how things stand.

Plain values, which the session makes and the screen shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from amulet_local.presets import Preset
from amulet_local.protocol import FinishReason, Stats
from amulet_local.realignment import BASE

EndReason = FinishReason | Literal["died"]


@dataclass(frozen=True)
class ChosenModel:
    """A model's file, and what to call it."""

    path: Path
    name: str
    quantisation: str


@dataclass(frozen=True)
class Steering:
    """What replies are realigned to, and how strongly; without a preset, not at all."""

    preset: Preset | None = None
    strength: float = BASE

    @property
    def title(self) -> str:
        """What to call it."""
        return (self.preset.title or self.preset.name) if self.preset else "No preset"


# -- what changes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A message was taken; it may have to wait."""

    id: int
    text: str


@dataclass(frozen=True)
class Began:
    """The engine has the message now."""

    id: int


@dataclass(frozen=True)
class Wrote:
    """The reply has grown by this text."""

    id: int
    text: str


@dataclass(frozen=True)
class Ended:
    """The reply is complete: how it ended, how it came about, and what it cost (where known)."""

    id: int
    text: str
    reason: EndReason
    steering: Steering
    seed: int
    stats: Stats | None


@dataclass(frozen=True)
class TakenBack:
    """A message got no answer and is not part of the conversation; its text is the user's again."""

    id: int
    text: str


@dataclass(frozen=True)
class Noticed:
    """Something the user should know."""

    text: str
    serious: bool = False


@dataclass(frozen=True)
class Unusable:
    """The model could not be loaded; why."""

    text: str


Change = Asked | Began | Wrote | Ended | TakenBack | Noticed | Unusable


# -- what is the case -----------------------------------------------------------------------------


class Activity(Enum):
    """What the engine is at."""

    NO_MODEL = "no model"
    LOADING = "loading"
    READY = "ready"
    READING = "reading the prompt"
    WRITING = "writing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DIED = "engine stopped"


@dataclass(frozen=True)
class Status:
    """Where things stand. done, total: of what is being loaded (total 1) or read (in tokens).

    steering: of the reply under way, else of the next one.
    """

    activity: Activity
    steering: Steering
    done: float
    total: float
    model: ChosenModel | None
    tokens_per_s: float
    context_used: int
    context: int
