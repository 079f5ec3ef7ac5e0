"""How a reply is written, in one word: `pref`, `amulet`, `amulet@s=3,guard=0.1`, `amulet@paper`.

The words of --methods go in, Variants come out. A variant says what differs from a preference's
own strength and guard; it knows no preference itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import STRONGEST
from amulet_local.strengths import AMULET, strength_and_guard
from amulet_local.strengths import METHODS as RULES

Method = Literal["base", "pref", "beam", "la", "amulet"]
METHODS: tuple[Method, ...] = get_args(Method)
PAPER_BEAMS = 16
MOST_BEAMS = 64
MOST_VARIANTS = 1_000  # far more than anybody waits for


class Variant(msgspec.Struct, frozen=True):
    """A method with what was set on it. strength, guard: None for the preference's own."""

    name: str
    method: Method
    strength: float | None = None
    guard: float | None = None
    beams: int = PAPER_BEAMS

    def strength_and_guard(self, strength: float, guard: float) -> tuple[float, float]:
        """What it comes to, for a preference with these of its own."""
        own = strength if self.strength is None else self.strength
        return strength_and_guard(self._rule, own, guard if self.guard is None else self.guard)

    @property
    def streams(self) -> tuple[int, ...]:
        """Those whose prompts it needs."""
        return RULES[self._rule].streams

    @property
    def _rule(self) -> str:
        return "pref" if self.method == "beam" else self.method  # which searches along pref


PAPER = Variant("amulet@paper", "amulet", AMULET, 0.0)


def parse_variants(text: str) -> list[Variant]:
    """Variants of a list with commas between them. Several values of a setting, with / between
    them, make a variant each: amulet@s=2/4,guard=0/0.1 are four.

    Raises UsageError.
    """
    parts: list[str] = []
    for part in text.replace(" ", "").split(","):
        if "=" in part and "@" not in part and parts:
            parts[-1] += f",{part}"  # a further setting of the one before
        elif part:
            parts.append(part)
    variants = {
        variant.name: variant for part in parts for variant in _parse(*part.partition("@")[::2])
    }
    if not variants:
        raise UsageError(f"--methods is empty; choose from {', '.join(METHODS)}.")
    return list(variants.values())


def _parse(method: str, settings: str) -> list[Variant]:
    known = {word: word for word in METHODS}
    if method not in known:
        raise UsageError(f"there is no method {method!r}; choose from {', '.join(METHODS)}.")
    if not settings:
        return [Variant(method, known[method])]
    if (method, settings) == ("amulet", "paper"):
        return [PAPER]
    choices = [_values(method, setting) for setting in settings.split(",")]
    if math.prod(map(len, choices)) > MOST_VARIANTS:
        raise UsageError(
            f"the settings of {method} make more than {MOST_VARIANTS:,} methods; fix --methods."
        )
    return [_variant(known[method], chosen) for chosen in itertools.product(*choices)]


def _values(method: str, setting: str) -> list[tuple[str, float]]:
    """The values of one setting of a method, each with the setting's name."""
    name, _, values = setting.partition("=")
    allowed = {"amulet": ("s", "guard"), "la": ("guard",), "beam": ("beams",)}.get(method, ())
    if name not in allowed:
        known = f"only {' and '.join(allowed)}" if allowed else "none"
        raise UsageError(f"the method {method} takes {known}, not {setting!r}; fix --methods.")
    bounds = {"s": (-STRONGEST, STRONGEST), "guard": (0.0, 1.0), "beams": (1.0, MOST_BEAMS)}
    low, high = bounds[name]
    numbers = []
    for value in values.split("/"):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high or (name == "beams" and number % 1):
            raise UsageError(f"{name} must be from {low:g} to {high:g}, not {value!r}.")
        numbers.append((name, number))
    return numbers


def _variant(method: Method, chosen: Sequence[tuple[str, float]]) -> Variant:
    settings = dict(chosen)
    words = ",".join(f"{name}={value:g}" for name, value in settings.items())
    return Variant(
        f"{method}@{words}",
        method,
        settings.get("s"),
        settings.get("guard"),
        int(settings.get("beams", PAPER_BEAMS)),
    )
