"""What a session tells of: the changes of a chat one by one, and how things stand.

Plain values, which the session makes and the screens show.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from amulet_local.chats.conversation import Node
from amulet_local.presets.preset import USUAL_GUARD, USUAL_SAMPLING, USUAL_STRENGTH, Preset
from amulet_local.protocol.alignment import Placement, Sampling
from amulet_local.realignment import BASE

GUARDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)  # one after the other, by key


@dataclass(frozen=True)
class ChosenModel:
    """A model's file, and what to call it."""

    path: Path
    name: str
    quantisation: str


@dataclass(frozen=True)
class SteeringChoice:
    """What replies are realigned to, and how strongly; without a preference, not at all.

    words: a preference of this chat's own, in place of a preset. given: whether somebody chose the
    strength; else it is the usual one, which hangs on the model (see Session.steering).
    """

    preset: Preset | None = None
    words: str = ""
    strength: float = BASE
    guard: float = USUAL_GUARD
    placement: Placement = "system"
    given: bool = field(default=True, compare=False)

    @classmethod
    def to_preset(cls, preset: Preset | None, strength: float | None = None) -> SteeringChoice:
        """As the preset says, at its usual strength or another; no preset steers nowhere."""
        if preset is None:
            return cls()
        given = strength is not None
        strength = preset.strength if strength is None else strength
        return cls(preset, "", strength, preset.guard, preset.placement, given)

    def at(self, strength: float) -> SteeringChoice:
        """The same at a strength that somebody chose."""
        return replace(self, strength=strength, given=True)

    @classmethod
    def to_words(cls, words: str) -> SteeringChoice:
        """A preference in the user's own words; none leaves the model as it is."""
        return cls(words=words, strength=USUAL_STRENGTH) if words else cls()

    @property
    def preference(self) -> str:
        """What the model reads of it; empty for none."""
        return self.words or (self.preset.words() if self.preset else "")

    @property
    def title(self) -> str:
        """What to call it."""
        if self.words:
            return "In your words"
        return (self.preset.title or self.preset.name) if self.preset else "No preset"

    @property
    def system(self) -> str:
        """A system prompt in place of the usual one; empty for that."""
        return self.preset.system if self.preset else ""

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        if self.words:
            return USUAL_SAMPLING
        return self.preset.sampling if self.preset else Sampling()


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
    DIED = "engine stopped"


@dataclass(frozen=True)
class Status:
    """Where things stand. done, total: of what is being loaded (total 1) or read (in tokens).

    steering: of the reply under way, else of the next one. pace: the speed against a plain chat's
    on this machine; 0 while it is not known. device: where the layers are, in words. thinks:
    whether the next reply begins with a thought.
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
