"""How a reply came about: what it was asked with, how it ended, and what was measured per token.

All of it is kept with the reply, as MessagePack and as packed numbers. Fields may be added later,
with defaults, so that what is stored stays readable.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import structs

from amulet_local.protocol.alignment import STRONGEST, Alignment, Mix
from amulet_local.protocol.messages import LARGEST_SEED, FinishReason, Reply, Stats, Step

# died: the engine, while it wrote; interrupted: the front end, which could not say how it ended.
Reason = Literal[FinishReason, "died", "interrupted"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply was asked with: enough to write it once more.

    model: its name; file: the path it was loaded from. system: the prompt, as the model read it.
    preset: its name, empty for none. alignment: as asked; each token has its strength as well.
    wish: that it followed; a reply may have been written without the wish of its question.
    """

    model: str
    file: str
    seed: int
    system: str
    preset: str = ""
    alignment: Alignment = Alignment(guard=0.0)
    thinking: bool = False
    wish: str = ""

    @property
    def steered(self) -> bool:
        """Whether there was something to follow: the chat's preference, or a wish."""
        return bool(self.alignment.preference or self.wish)

    @classmethod
    def of(cls, request: Reply, *, model: str, file: str, preset: str = "") -> Origin:
        """What a request to the engine says of it, and what it does not know."""
        return cls(
            model=model,
            file=file,
            preset=preset,
            seed=request.seed,
            system=request.system,
            alignment=request.alignment,
            thinking=request.thinking,
            wish=request.wish,
        )


class _StoredAlignment(Alignment, frozen=True, kw_only=True):
    guard: float = 0.0  # what stands in a file is read, whatever it is, and then bounded
    # Left out where there is none: what has one preference is stored as it was before mixes.
    mix: Mix | msgspec.UnsetType = msgspec.UNSET  # type: ignore[assignment]


class _StoredTail(_StoredAlignment, frozen=True, kw_only=True):
    thinking: bool = False
    wish: str = ""


class StoredOrigin(_StoredTail, frozen=True):
    """An Origin as rows and exported chats have it: the fields of its alignment beside its own.

    Alignment came later than what is stored, and the format stays, in the order of its keys too:
    msgspec puts keyword-only fields last.
    """

    model: str
    file: str
    seed: int
    system: str
    preset: str = ""

    @classmethod
    def of(cls, origin: Origin) -> StoredOrigin:
        """To be stored."""
        fields = structs.asdict(origin)
        alignment = structs.asdict(fields.pop("alignment"))
        alignment["mix"] = alignment["mix"] or msgspec.UNSET
        return cls(**alignment, **fields)

    def origin(self) -> Origin:
        """What was stored, with numbers that a request may have, whatever stands in a file."""
        fields = structs.asdict(self)
        fields["seed"] = min(max(0, self.seed), LARGEST_SEED)
        steered = {name: fields.pop(name) for name in Alignment.__struct_fields__}
        steered["strength"] = _within(-STRONGEST, self.strength, STRONGEST)
        steered["guard"] = _within(0.0, self.guard, 1.0)
        steered["mix"] = steered["mix"] or ()
        return Origin(alignment=Alignment(**steered), **fields)


class Ending(msgspec.Struct, frozen=True):
    """How a reply ended; stats are None where they are not known."""

    reason: Reason
    stats: Stats | None = None


class TokenMeasures(msgspec.Struct, frozen=True):
    """One token of a reply: how much of the text is its, and its measures (see protocol.Step).

    characters: of the text, counted in code points; 0 where the token completes no character.
    """

    characters: int
    strength: float
    shift: float | None = None
    flip: bool | None = None
    flip_strength: float | None = None
    logp_base: float | None = None
    logp_pref: float | None = None
    logp_realigned: float | None = None


def measures_of(step: Step) -> TokenMeasures:
    """What is kept of a step beside its token and text."""
    return TokenMeasures(
        len(step.text),
        step.strength,
        step.shift,
        step.flip,
        step.flip_strength,
        step.logp_base,
        step.logp_pref,
        step.logp_realigned,
    )


# Little endian: strength, shift, flip strength and the log-probabilities of base, pref and
# realigned as float32 (NaN: not measured), characters as uint32, and a byte of flags.
_TOKEN = struct.Struct("<6fIB")
BYTES_A_TOKEN = _TOKEN.size
_FLIPPED, _FLIP_MEASURED = 1, 2
_LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def pack(tokens: Iterable[TokenMeasures]) -> bytes:
    """BYTES_A_TOKEN for each token; numbers are rounded to float32."""
    return b"".join(
        _TOKEN.pack(
            _single(token.strength),
            _single(token.shift),
            _single(token.flip_strength),
            _single(token.logp_base),
            _single(token.logp_pref),
            _single(token.logp_realigned),
            token.characters,
            0 if token.flip is None else _FLIP_MEASURED | (_FLIPPED if token.flip else 0),
        )
        for token in tokens
    )


def unpack(packed: bytes) -> tuple[TokenMeasures, ...]:
    """The tokens again, from first to last. Raises ValueError where the last is not whole."""
    if len(packed) % BYTES_A_TOKEN:
        raise ValueError(f"{len(packed)} bytes are not a whole number of tokens")
    return tuple(
        TokenMeasures(
            characters,
            strength,
            _known(shift),
            bool(flags & _FLIPPED) if flags & _FLIP_MEASURED else None,
            _known(flip_strength),
            _known(base),
            _known(pref),
            _known(realigned),
        )
        for strength, shift, flip_strength, base, pref, realigned, characters, flags in (
            _TOKEN.iter_unpack(packed)
        )
    )


def _within(least: float, number: float, most: float) -> float:
    """A number within bounds; not a number is the least."""
    return min(max(least, number), most) if number == number else least


def _single(number: float | None) -> float:
    """A number that float32 can hold; what is too large becomes infinite."""
    if number is None:
        return math.nan
    return math.copysign(math.inf, number) if abs(number) > _LARGEST else number


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
