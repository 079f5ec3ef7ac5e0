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
from amulet_local.protocol.messages import (
    LARGEST_SEED,
    FinishReason,
    Reply,
    Stats,
    Step,
    UsedStrength,
)

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
        return bool(self.alignment.heard or self.wish)

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
    strengths, shares: of the faders of a mix; shares are empty where they were not measured.
    """

    characters: int
    strength: float
    shift: float | None = None
    flip: bool | None = None
    flip_strength: float | None = None
    logp_base: float | None = None
    logp_pref: float | None = None
    logp_realigned: float | None = None
    strengths: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def used(self) -> UsedStrength:
        """Its strength, or those of all faders, to be examined with (see protocol.Examine)."""
        return self.strengths or self.strength


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
        step.strengths,
        step.shares,
    )


# Little endian: strength, shift, flip strength and the log-probabilities of base, pref and
# realigned as float32 (NaN: not measured), characters as uint32, and a byte of flags, which has the
# number of a mix's faders from its third bit on. Strength and share of each follow as float32.
_TOKEN = struct.Struct("<6fIB")
BYTES_A_TOKEN = _TOKEN.size
_FADER = struct.Struct("<2f")
_FLIPPED, _FLIP_MEASURED = 1, 2
_FADERS = 2  # bits that come before their number
_LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def pack(tokens: Iterable[TokenMeasures]) -> bytes:
    """So many bytes a token, and more for the faders of a mix; numbers are rounded to float32."""
    return b"".join(map(_packed, tokens))


def _packed(token: TokenMeasures) -> bytes:
    flip = 0 if token.flip is None else _FLIP_MEASURED | (_FLIPPED if token.flip else 0)
    fixed = _TOKEN.pack(
        _single(token.strength),
        _single(token.shift),
        _single(token.flip_strength),
        _single(token.logp_base),
        _single(token.logp_pref),
        _single(token.logp_realigned),
        token.characters,
        flip | len(token.strengths) << _FADERS,
    )
    shares = token.shares or (None,) * len(token.strengths)
    faders = zip(token.strengths, shares, strict=True)
    return fixed + b"".join(_FADER.pack(*map(_single, fader)) for fader in faders)


def unpack(packed: bytes) -> tuple[TokenMeasures, ...]:
    """The tokens again, from first to last. Raises ValueError where one is not whole."""
    tokens, at = [], 0
    while at < len(packed):
        faders = at + _TOKEN.size
        if faders > len(packed):
            raise ValueError(f"{len(packed)} bytes are not a whole number of tokens")
        *numbers, characters, flags = _TOKEN.unpack_from(packed, at)
        strength, shift, flip_strength, base, pref, realigned = numbers
        at = faders + (flags >> _FADERS) * _FADER.size
        if at > len(packed):
            raise ValueError(f"{len(packed)} bytes end within the faders of a token")
        pairs = list(_FADER.iter_unpack(packed[faders:at]))
        shares = tuple(share for _, share in pairs)
        tokens.append(
            TokenMeasures(
                characters,
                strength,
                _known(shift),
                bool(flags & _FLIPPED) if flags & _FLIP_MEASURED else None,
                _known(flip_strength),
                _known(base),
                _known(pref),
                _known(realigned),
                tuple(strength for strength, _ in pairs),
                () if any(map(math.isnan, shares)) else shares,
            )
        )
    return tuple(tokens)


def known_measures(packed: bytes) -> tuple[TokenMeasures, ...]:
    """The same; none of what is damaged."""
    try:
        return unpack(packed)
    except ValueError:
        return ()


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
