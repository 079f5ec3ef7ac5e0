"""Which preference streams a request needs: what each reads, and how strongly it counts.

One preference and the wish of a reply share a stream, as do the preferences of a mix where they are
only prompted for. Otherwise each fader of a mix has a stream, and a wish beside them has its own,
as strong as the strongest of them: in every one of them it would count as often as there are some.
The engine evaluates them; stored replies are read by the same rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from msgspec import structs

from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.messages import Reply
from amulet_local.strengths import METHODS, PREF_STREAM, PROMPT, pool, strength_and_guard

Strengths = Sequence[float | None]  # of faders; None is muted

# Without one of these, nothing is recognised that names a word.
_MAY_NAME_A_WORD = re.compile(r"word|[\"“„«‘'`]", re.IGNORECASE)


@dataclass(frozen=True)
class Voice:
    """A preference stream, by its number: what it reads, and its strength."""

    stream: int
    preference: str
    wish: str
    strength: float

    @property
    def words(self) -> tuple[str, ...]:
        """What it follows."""
        return tuple(filter(None, (self.preference, self.wish)))


def voices_of(alignment: Alignment, wish: str) -> tuple[Voice, ...]:
    """All that is heard of a reply's preferences and its wish, by stream; none where there is
    nothing to follow.

    A fader has the same stream whichever others are muted, so that what it has read is kept.
    """
    if not (alignment.heard or wish):
        return ()
    rule = METHODS[alignment.method]
    if len(alignment.faders) < 2 or not rule.guarded:
        joined = " ".join(alignment.preferences)
        strength, _ = strength_and_guard(alignment.method, _strength(alignment), 0.0)
        return (Voice(PREF_STREAM, joined, wish, strength),)
    voices = [
        Voice(PREF_STREAM + place, fader.preference, "", fader.strength)
        for place, fader in enumerate(alignment.faders)
        if not fader.muted
    ]
    if wish:
        strongest = max([PROMPT, *(voice.strength for voice in voices)])
        voices.append(Voice(PREF_STREAM + len(alignment.faders), "", wish, strongest))
    if rule.strength is None:
        return tuple(voices)
    weights = pool([voice.strength for voice in voices])
    return tuple(
        replace(voice, strength=weight * rule.strength)
        for voice, weight in zip(voices, weights, strict=True)
    )


def held_back(alignment: Alignment, wish: str) -> tuple[str, ...]:
    """The words that a reply cannot say: those that it is certainly asked to leave out, by what it
    is led to beyond asking, with a guard."""
    _, guard = strength_and_guard(alignment.method, alignment.strength, alignment.guard)
    voices = [voice for voice in voices_of(alignment, wish) if voice.strength > PROMPT]
    asked = [words for voice in voices for words in voice.words]
    if not guard or not any(map(_MAY_NAME_A_WORD.search, asked)):
        return ()
    return tuple(dict.fromkeys(word for words in asked for word in _avoided(words)))


@lru_cache(maxsize=256)  # what is on the screen is asked for at each change
def _avoided(words: str) -> tuple[str, ...]:
    # Their patterns take a tenth of a second to import.
    from amulet_local.verifiers.recognise import avoided_words

    return avoided_words(words)


def places_of(request: Reply) -> int:
    """How many strengths a step of the reply tells, muted faders and a wish beside them included;
    0 where it is one, or none."""
    alignment = request.alignment
    if len(alignment.faders) < 2 or not METHODS[alignment.method].guarded:
        return 0
    return len(alignment.faders) + bool(request.wish)


def turned_to(request: Reply, strengths: Strengths) -> Reply:
    """The request with its faders at these strengths. Those of a step are taken too, whose last is
    the wish's; a number that is missing leaves its fader as it is."""
    alignment = request.alignment
    if not alignment.mix:
        strength = strengths[0] if strengths and strengths[0] is not None else alignment.strength
        turned = structs.replace(alignment, strength=strength)
        return structs.replace(request, alignment=turned)
    mix = tuple(
        structs.replace(fader, muted=True)
        if strength is None
        else structs.replace(fader, strength=strength, muted=False)
        for fader, strength in zip(alignment.mix, strengths, strict=False)
    )
    mix += alignment.mix[len(mix) :]
    return structs.replace(request, alignment=structs.replace(alignment, mix=mix))


def ever_heard(request: Reply, strengths: Sequence[Strengths]) -> Reply:
    """The request with those faders muted that counted for nothing at any of these strengths."""
    mix = tuple(
        structs.replace(
            fader, muted=not any(each[place] for each in strengths if place < len(each))
        )
        for place, fader in enumerate(request.alignment.mix)
    )
    return structs.replace(request, alignment=structs.replace(request.alignment, mix=mix))


def check_strengths(alignment: Alignment) -> None:
    """Raises UsageError where one is no number."""
    for strength in (alignment.strength, *(fader.strength for fader in alignment.mix)):
        if not math.isfinite(strength):
            raise UsageError("the strength must be a number.")


def _strength(alignment: Alignment) -> float:
    """Of the only fader, or of the wish where there is none."""
    return alignment.mix[0].strength if alignment.mix else alignment.strength
