"""How a request is steered: its fields, or the name of its model for clients that can only choose
one, become an Alignment.

    NAME@concise      NAME@concise:2.5      NAME@system:2

A client's own system message can be the preference, so that any persona or house rule is made to
hold: base is then our plain system prompt (after arXiv 2601.06403). docs/server.md has the fields,
and what guidance_scale and negative_prompt come to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH, Preset, Presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import (
    MOST_FADERS,
    STRONGEST,
    USUAL_GUARD,
    Alignment,
    Fader,
    Sampling,
)
from amulet_local.protocol.loading import LONGEST_CONTEXT
from amulet_local.server.bodies import Body
from amulet_local.server.failures import ApiError

USUAL_GUIDANCE = 1.5  # where there is a negative prompt and no scale
BY_SYSTEM = "system"  # what stands for the client's own system message in a model's name


@dataclass(frozen=True)
class House:
    """What a server is set to. model: what clients call it. presets: read anew for each request.
    usual_strength: of a preset on the model, or of words. system: where clients send none. usual:
    what all requests are steered towards that say nothing else."""

    model: str
    presets: Callable[[], Presets]
    usual_strength: Callable[[Preset | None], float]
    system: str = DEFAULT_SYSTEM
    usual: tuple[str, ...] = ()
    strength: float | None = None


@dataclass(frozen=True)
class Steering:
    """An alignment, and the system prompt of all streams."""

    alignment: Alignment
    system: str


def model_names(house: House) -> list[str]:
    """The model, plain and with each preset."""
    presets = list(house.presets().presets)
    return [house.model, *(f"{house.model}@{name}" for name in (*presets, BY_SYSTEM))]


def steering_of(body: Body, system: str, house: House) -> Steering:
    """What a request asks for. system: the client's own, "" for none. Raises ApiError."""
    named = _NamedModel(body.model or "", house)
    presets = house.presets()
    found: list[Preset | None] = []
    faders: list[Fader] = []

    def add(words: str, strength: float | None) -> None:
        preset = presets.presets.get(words)
        usual = body.strength if body.strength is not None else house.strength
        if usual is None:
            usual = house.usual_strength(preset)
        text = preset.words() if preset else words.strip()
        if text:
            found.append(preset)
            name = preset.name if preset else ""
            faders.append(Fader(text, usual if strength is None else strength, name))

    if isinstance(body.preference, str):
        add(body.preference, None)
    elif body.preference is not None:
        for each in body.preference:
            words, own = (each, None) if isinstance(each, str) else (each.preference, each.strength)
            add(words, own)
    elif named.preset:
        add(named.preset, named.strength)
    else:
        for name in house.usual:
            add(name, None)

    by_system = body.system_strength if body.system_strength is not None else named.by_system
    scale = body.guidance_scale
    if scale is not None and body.negative_prompt is None:  # of whatever there is to follow
        if faders:
            faders = [msgspec.structs.replace(fader, strength=scale) for fader in faders]
        else:
            by_system = scale if by_system is None else by_system
    if by_system is not None and system.strip():
        faders.append(Fader(system.strip(), by_system, BY_SYSTEM))
        found.append(None)
        system = house.system
    if body.negative_prompt and body.negative_prompt.strip():
        away = 1 - (USUAL_GUIDANCE if scale is None else scale)
        faders.append(Fader(body.negative_prompt.strip(), away, "negative_prompt"))
        found.append(None)
    if len(faders) > MOST_FADERS:
        raise ApiError(f"A reply follows at most {MOST_FADERS} preferences.", param="preference")
    return Steering(_alignment(body, faders, found), system or _system_of(found, house))


def _system_of(found: list[Preset | None], house: House) -> str:
    """Where the client sent none: the only preset's own, if it has one."""
    only = found[0] if len(found) == 1 else None
    return (only.system if only else "") or house.system


def _alignment(body: Body, faders: list[Fader], found: list[Preset | None]) -> Alignment:
    only = found[0] if len(found) == 1 else None
    steered = bool(faders or body.wishes)
    usual = only.sampling if only else USUAL_SAMPLING if steered else Sampling()
    alignment = Alignment(
        method="amulet" if steered else "base",
        guard=only.guard if only else USUAL_GUARD,
        placement=only.placement if only else "system",
        sampling=_sampling(body, usual),
        mix=tuple(faders),
    )
    if not faders and steered:  # towards a wish alone
        strength = body.strength if body.strength is not None else USUAL_STRENGTH
        alignment = msgspec.structs.replace(alignment, strength=strength)
    if body.guard is not None:
        alignment = msgspec.structs.replace(alignment, guard=body.guard)
    if body.placement is not None:
        alignment = msgspec.structs.replace(alignment, placement=body.placement)
    return alignment


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
        self.preset = ""
        self.strength: float | None = None
        self.by_system: float | None = None
        plain, _, behind = name.partition("@")
        if plain.casefold() not in ("", "default", "amulet", house.model.casefold()):
            raise _no_model(house)
        words, colon, number = behind.partition(":")
        if colon:
            try:
                self.strength = float(number)
            except ValueError:
                raise _no_model(house) from None
            if not math.isfinite(self.strength) or abs(self.strength) > STRONGEST:
                raise _no_model(house)
        if words == BY_SYSTEM:
            self.by_system = house.usual_strength(None) if self.strength is None else self.strength
        elif words in house.presets().presets:
            self.preset = words
        elif behind:
            raise _no_model(house)


def _no_model(house: House) -> ApiError:
    return ApiError(
        f"There is no such model here; use {house.model}, or {house.model}@PRESET:STRENGTH "
        "(GET /v1/models lists them).",
        status=404,
        code="model_not_found",
        param="model",
    )
