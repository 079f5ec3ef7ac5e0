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


class TimeLeft:
    """Tells what is being measured, and about how long all of it will still take.

    say: hears it. total: of the work to do, in any unit; how fast it goes is learnt on the way.
    """

    def __init__(self, say: Callable[[str], None], total: float) -> None:
        self._say, self._total, self._done = say, total, 0.0
        self._began = time.perf_counter()

    def next(self, what: str, work: float) -> None:
        """What comes next, and how much of the work it is."""
        left = ""
        if self._done:
            pace = (time.perf_counter() - self._began) / self._done
            left = f", {_duration(pace * max(0.0, self._total - self._done))} left"
        self._say(what + left)
        self._done += work


def _duration(seconds: float) -> str:
    """In words, as exact as an estimate is."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {seconds / 60:.0f} min"


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_ms(work: Callable[[], object], repeat: int) -> float:
    """The median duration of `work` in milliseconds."""
    return statistics.median(seconds(work) for _ in range(repeat)) * 1000
