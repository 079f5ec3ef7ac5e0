"""How a request is steered: its fields, or the name of its model for clients that can only choose
one, become an Alignment.

    NAME@concise      NAME@concise:2.5      NAME@system:2

A client's own system message can be the preference, so that any persona or house rule is made to
hold: base is then our plain system prompt (after arXiv 2601.06403). docs/server.md has the fields,
and what guidance_scale and negative_prompt come to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from amulet_local.errors import AmuletError
from amulet_local.presets.calibrated import usual_strength
from amulet_local.presets.mixes import load_mixes
from amulet_local.presets.mixing import Chosen, Together, scaled, without_doubles
from amulet_local.presets.preset import BY_SYSTEM, Presets, load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import (
    MOST_FADERS,
    STRONGEST,
    Alignment,
    Fader,
    Sampling,
    Strength,
)
from amulet_local.protocol.loading import LONGEST_CONTEXT
from amulet_local.server.bodies import Body
from amulet_local.server.failures import ApiError

USUAL_GUIDANCE = 1.5  # where there is a negative prompt and no scale
_RECENT_S = 2.0


class RecentPresets:
    """All presets, as they were a moment ago: reading their files takes longer than a request
    should."""

    def __init__(self) -> None:
        self._read_s = -math.inf
        self._presets = Presets({}, {})

    def __call__(self) -> Presets:
        """Read anew at most every other second."""
        now = time.monotonic()
        if now - self._read_s > _RECENT_S:
            self._read_s, self._presets = now, load_presets()
        return self._presets


@dataclass(frozen=True)
class House:
    """What a server is set to. model: what clients call it. path: its file, "" for none; what was
    calibrated depends on it. presets: all there are. system: where clients send none.
    usual, together, strength: what requests are steered by that say nothing else."""

    model: str
    path: str = ""
    presets: Callable[[], Presets] = field(default_factory=RecentPresets)
    system: str = DEFAULT_SYSTEM
    usual: tuple[Chosen, ...] = ()
    together: Together = field(default_factory=Together)
    strength: float | None = None


@dataclass(frozen=True)
class Steering:
    """An alignment, and the system prompt of all streams."""

    alignment: Alignment
    system: str


def model_names(house: House) -> list[str]:
    """The model, plain, with each preset and mix, and with the client's system message."""
    presets = house.presets()
    names = dict.fromkeys((*presets.presets, *load_mixes(presets).mixes, BY_SYSTEM))
    return [house.model, *(f"{house.model}@{name}" for name in names)]


def steering_of(body: Body, system: str, house: House) -> Steering:
    """What a request asks for. system: the client's own, "" for none. Raises ApiError."""
    named = _NamedModel(body.model or "", house)
    chosen, together, strength = _preferences(body, named, house)
    by_system = body.system_strength if body.system_strength is not None else named.by_system
    scale = body.guidance_scale
    if scale is not None and body.negative_prompt is None:  # of whatever there is to follow
        if chosen:
            strength = scale
        elif by_system is None:
            by_system = scale
    faders = _faders(chosen, strength, house.path)
    if by_system is not None and system.strip():
        faders.append(Fader(system.strip(), by_system, BY_SYSTEM))
        system = ""
    if body.negative_prompt and body.negative_prompt.strip():
        away = 1 - (USUAL_GUIDANCE if scale is None else scale)
        faders.append(Fader(body.negative_prompt.strip(), away, "negative_prompt"))
    if len(faders) > MOST_FADERS:
        raise ApiError(f"A reply follows at most {MOST_FADERS} preferences.", param="preference")
    steered = bool(faders or body.wishes)
    usual = together.sampling if steered else Sampling()
    alignment = Alignment(
        method="amulet" if steered else "base",
        strength=_of_wish(body, house),  # which counts where there are no faders
        guard=together.guard if body.guard is None else body.guard,
        placement=body.placement or together.placement,
        sampling=_sampling(body, usual),
        mix=tuple(faders),
    )
    return Steering(alignment, system or together.system or house.system)


def _preferences(
    body: Body, named: _NamedModel, house: House
) -> tuple[tuple[Chosen, ...], Together, float | None]:
    """What is to be followed, with what, and the strength of all, where one was given. Fields count
    before the name of the model, and that before what the house prefers."""
    presets = house.presets()
    if isinstance(body.preference, str):
        chosen, together = _called(body.preference, presets)
        return chosen, together, body.strength
    if body.preference is not None:
        listed = []
        for each in body.preference:
            words, own = (each, None) if isinstance(each, str) else (each.preference, each.strength)
            found, _ = _called(words, presets)
            for one in found:
                listed.append(one if own is None else _at(one, own))
        left = _without_doubles(listed)
        return left, Together.of(left), body.strength
    if named.preference:
        chosen, together = _called(named.preference, presets)
        return chosen, together, named.strength if body.strength is None else body.strength
    strength = house.strength if body.strength is None else body.strength
    return house.usual, house.together, strength


def _called(text: str, presets: Presets) -> tuple[tuple[Chosen, ...], Together]:
    """A preset or a mix of this name; else words."""
    if preset := presets.presets.get(text):
        chosen: tuple[Chosen, ...] = (Chosen(preset),)
    elif mix := load_mixes(presets).mixes.get(text):
        return mix.faders, mix.together
    else:
        chosen = (Chosen(words=text.strip()),) if text.strip() else ()
    return chosen, Together.of(chosen)


def _at(chosen: Chosen, strength: float) -> Chosen:
    return Chosen(chosen.preset, chosen.words, strength, chosen.muted)


def _without_doubles(chosen: Sequence[Chosen]) -> tuple[Chosen, ...]:
    try:
        return tuple(without_doubles(chosen)[0])
    except AmuletError as error:
        raise ApiError(f"{error}", param="preference") from None


def _faders(chosen: Sequence[Chosen], strength: float | None, path: str) -> list[Fader]:
    """Of preferences on a model; several are turned together, as `amulet ask --strength` does."""
    faders = [each.on(path) for each in chosen]
    if strength is None or not faders:
        return faders
    if len(faders) > 1:
        return list(scaled(faders, strength))
    return [msgspec.structs.replace(faders[0], strength=strength)]


def _of_wish(body: Body, house: House) -> float:
    """The strength of a wish that stands alone."""
    given = house.strength if body.strength is None else body.strength
    return usual_strength(house.path, None) if given is None else given


def _sampling(body: Body, usual: Sampling) -> Sampling:
    given: dict[str, float] = {
        name: value
        for name in ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty")
        if (value := getattr(body, name)) is not None
    }
    if body.top_k is not None:
        given["top_k"] = max(0, body.top_k)
    if body.frequency_penalty or body.presence_penalty:
        given["penalty_last_n"] = LONGEST_CONTEXT  # of the whole reply, as OpenAI has it
    return msgspec.structs.replace(usual, **given)


class _NamedModel:
    """The name of a model, with what it says of steering. Raises ApiError for one that is not
    here."""

    def __init__(self, name: str, house: House) -> None:
        self.preference = ""
        self.strength: float | None = None
        self.by_system: float | None = None
        plain, _, behind = name.partition("@")
        if plain.casefold() not in ("", "default", "amulet", house.model.casefold()):
            raise _no_model(house)
        words, colon, number = behind.partition(":")
        if words != BY_SYSTEM and behind and f"{house.model}@{words}" not in model_names(house):
            raise _no_model(house)
        if colon:
            self.strength = _strength(number)
        if words == BY_SYSTEM:
            usual = usual_strength(house.path, None)
            self.by_system = usual if self.strength is None else self.strength
        else:
            self.preference = words


def _strength(number: str) -> float:
    try:
        return msgspec.convert(number.strip(), Strength, strict=False)
    except msgspec.ValidationError:
        raise ApiError(
            "The strength behind the model's name must be a number from "
            f"{-STRONGEST:g} to {STRONGEST:g}.",
            param="model",
        ) from None


def _no_model(house: House) -> ApiError:
    return ApiError(
        f"There is no such model here; use {house.model}, or {house.model}@PRESET:STRENGTH "
        "(GET /v1/models lists them).",
        status=404,
        code="model_not_found",
        param="model",
    )
