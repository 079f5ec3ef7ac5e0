"""Whether a reply followed what was preferred: by what was measured of it, and by a program.

How much likelier the preference made the words that were written is the gain: the mean over the
tokens of log p_pref - log p_base, in nats a token. What a wish asks for in words that leave no
doubt, a verifier checks. Stored replies and the steps of new ones go in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from amulet_local.chats.conversation import Node
from amulet_local.chats.provenance import TokenMeasures, unpack
from amulet_local.protocol.messages import Step
from amulet_local.realignment import BASE

# Nats a token from which a reply is said to have followed somewhat, and clearly: the quarters of
# replies at strength 2 in docs/instructions.md. How far it went, not whether it did as asked.
SOMEWHAT, CLEARLY = 0.05, 0.20

Degree = Literal["hardly", "somewhat", "clearly"]


@dataclass(frozen=True)
class Check:
    """Something that was asked for, in words, and whether a program finds it in the reply."""

    words: str
    follows: bool

    def __str__(self) -> str:
        return f"{'✓' if self.follows else '✗'} {self.words}"


@dataclass(frozen=True)
class Followed:
    """gain: in nats a token; None where it was not measured. checks: empty where nothing that was
    asked for is certain, or the reply did not come to its end."""

    gain: float | None = None
    checks: tuple[Check, ...] = ()

    @property
    def degree(self) -> Degree | None:
        """The gain in a word."""
        return None if self.gain is None else degree_of(self.gain)

    @property
    def told(self) -> list[str]:
        """All of it, in pieces."""
        gain = [] if self.gain is None else [f"{self.degree} followed {self.gain:+.2f}"]
        return [*gain, *map(str, self.checks)]


def followed(node: Node) -> Followed:
    """Of a reply of a chat."""
    if node.origin is None or not node.origin.steered:
        return Followed()
    try:
        gain = gain_of(unpack(node.measures))
    except ValueError:
        gain = None
    ended = node.ending and node.ending.reason == "stop"
    asked = (node.origin.alignment.preferences, node.origin.wish)
    return Followed(gain, checks_of(*asked, node.message.text) if ended else ())


def gain_of(tokens: Iterable[TokenMeasures | Step]) -> float | None:
    """The mean over those that both streams were measured at, and that were led towards what is
    preferred, at a strength above 0; None where there is none."""
    gains = [
        token.logp_pref - token.logp_base
        for token in tokens
        if token.logp_pref is not None and token.logp_base is not None and token.strength > BASE
    ]
    finite = list(filter(math.isfinite, gains))  # what one stream rules out says nothing of degree
    return math.fsum(finite) / len(finite) if finite else None


def degree_of(gain: float) -> Degree:
    """A gain in nats a token, in a word."""
    return "clearly" if gain >= CLEARLY else "somewhat" if gain >= SOMEWHAT else "hardly"


@lru_cache(maxsize=256)  # what is on the screen is asked for at each change
def checks_of(preferences: tuple[str, ...], wish: str, text: str) -> tuple[Check, ...]:
    """What these ask for, as far as it is certain, and whether the text has it. Each line of a wish
    is one; a preference is read as a whole."""
    from amulet_local.verifiers import strict  # their patterns take a tenth of a second to import
    from amulet_local.verifiers.recognise import recognised
    from amulet_local.verifiers.words import in_words

    asked = (*preferences, *wish.split("\n"))
    verifiers = dict.fromkeys(each for words in asked for each in recognised(words))
    return tuple(Check(in_words(each), strict([each], text)) for each in verifiers)
