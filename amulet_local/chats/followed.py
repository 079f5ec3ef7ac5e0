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
from amulet_local.chats.provenance import TokenMeasures, known_measures
from amulet_local.protocol.messages import Step
from amulet_local.protocol.voices import held_back
from amulet_local.strengths import BASE

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
    asked for is certain, or the reply did not come to its end. held_back: words that it could not
    say; the checks tell of them too."""

    gain: float | None = None
    checks: tuple[Check, ...] = ()
    held_back: tuple[str, ...] = ()

    @property
    def degree(self) -> Degree | None:
        """The gain in a word."""
        return None if self.gain is None else degree_of(self.gain)

    @property
    def told(self) -> list[str]:
        """All of it, in pieces."""
        gain = [] if self.gain is None else [f"{self.degree} followed {self.gain:+.2f}"]
        held = [told_held_back(self.held_back)] if self.held_back and not self.checks else []
        return [*gain, *held, *map(str, self.checks)]


def followed(node: Node) -> Followed:
    """Of a reply of a chat."""
    if node.origin is None or not node.origin.steered:
        return Followed()
    gain = gain_of(known_measures(node.measures))
    ended = node.ending and node.ending.reason == "stop"
    asked = (node.origin.alignment.preferences, node.origin.wish)
    held = held_back(node.origin.alignment, node.origin.wish)
    return Followed(gain, checks_of(*asked, node.message.text, held) if ended else (), held)


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
def checks_of(
    preferences: tuple[str, ...], wish: str, text: str, held: tuple[str, ...] = ()
) -> tuple[Check, ...]:
    """What these ask for, as far as it is certain, and whether the text has it. Each line of a wish
    is one; a preference is read as a whole. held: words that could not be said, which is told in
    place of their absence."""
    # Their patterns take a tenth of a second to import.
    from amulet_local.verifiers import Verifier, strict
    from amulet_local.verifiers.keywords import ForbiddenWords
    from amulet_local.verifiers.recognise import recognised
    from amulet_local.verifiers.words import in_words

    asked = (*preferences, *wish.split("\n"))
    verifiers = dict.fromkeys(each for words in asked for each in recognised(words))

    def told(each: Verifier) -> str:
        if isinstance(each, ForbiddenWords) and set(each.forbidden_words) <= set(held):
            return told_held_back(each.forbidden_words)
        return in_words(each)

    return tuple(Check(told(each), strict([each], text)) for each in verifiers)


def told_held_back(words: Iterable[str]) -> str:
    """What to say of words that are held back."""
    return f"{', '.join(f'“{word}”' for word in words)} held back"
