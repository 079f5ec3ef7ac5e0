"""Repeated measurements: a value with its spread, and a loop in which candidates take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec


class Timing(msgspec.Struct, frozen=True):
    """Measurements of one thing: median and spread, in the unit its owner names."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Timing:
        """From the values of all repetitions."""
        return cls(statistics.median(values), min(values), max(values))


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_ms(work: Callable[[], object], repeat: int) -> float:
    """The median duration of `work` in milliseconds."""
    return statistics.median(seconds(work) for _ in range(repeat)) * 1000
