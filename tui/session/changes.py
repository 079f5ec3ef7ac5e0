"""What a session tells of: the changes of a chat one by one, and how things stand.

Plain values, which the session makes and the screens show.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from amulet_local.chats.conversation import Node
from tui.session.steering import SteeringChoice


@dataclass(frozen=True)
class ChosenModel:
    """A model's file, and what to call it."""

    path: Path
    name: str
    quantisation: str


# -- what changes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class BranchChanged:
    """The messages that are read are others now, or what waits behind them is."""


@dataclass(frozen=True)
class Wrote:
    """The reply under way has grown by this text."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """The reply under way thinks before it answers: this much more, so many tokens and seconds so
    far. over: it has come to its answer."""

    text: str
    tokens: int
    seconds: float
    over: bool = False


@dataclass(frozen=True)
class Ended:
    """The reply that was under way is complete, and stands like this."""

    node: Node


@dataclass(frozen=True)
class GivenBack:
    """A message came to nothing; its text is the user's again."""

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


Change = BranchChanged | Wrote | Thinking | Ended | GivenBack | Noticed | Unusable


# -- what is the case -----------------------------------------------------------------------------


class Activity(Enum):
    """What the engine is at."""

    NO_MODEL = "no model"
    LOADING = "loading"
    READY = "ready"
    READING = "reading the prompt"
    THINKING = "thinking"
    WRITING = "writing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STUCK = "not responding"
    DIED = "engine stopped"


@dataclass(frozen=True)
class Status:
    """Where things stand. done, total: of what is being loaded (total 1) or read (in tokens).

    steering: of the reply under way, else of the next one. pace: the speed against a plain chat's
    on this machine; 0 while it is not known. device: where the layers are, in words. thinks:
    whether the next reply begins with a thought. temporary: whether the chat is never stored;
    unsaved: or cannot be just now.
    wish: of the reply under way.
    """

    activity: Activity
    steering: SteeringChoice
    done: float
    total: float
    model: ChosenModel | None
    tokens_per_s: float
    pace: float
    context_used: int
    context: int
    device: str
    thinks: bool = False
    temporary: bool = False
    wish: str = ""
    unsaved: bool = False
