"""A part of the torture: cases without end, of which each is drawn from a seed and its number."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from random import Random


class Drawn(Random):
    """What a case is drawn from. number: which case it is, for what comes up in turn."""

    number = 0


@dataclass(frozen=True)
class Part:
    """attempt: makes one case in a folder of its own, which is AMULET_HOME's too, and tells in a
    word how it ended; whatever it raises is a fault. quick, full: how many cases the tests have,
    and `make torture`. limit_s: by the clock, after which a case counts as one that hangs."""

    name: str
    attempt: Callable[[Drawn, Path], str]
    quick: int
    full: int
    limit_s: float = 120.0

    def case(self, seed: int, number: int) -> str:
        """How a case ended."""
        drawn = Drawn(f"{seed} {self.name} {number}")
        drawn.number = number
        with _folder() as folder:
            return self.attempt(drawn, folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one case; the environment is as it was, after."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder:
        os.environ["AMULET_HOME"] = str(Path(folder, "home"))
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)


def parts() -> dict[str, Part]:
    """All of them, by name."""
    modules = sorted(module.name for module in iter_modules([str(Path(__file__).parent)]))
    found = [
        part
        for name in modules
        if not name.startswith(("__", "test_"))
        for part in getattr(import_module(f"tests.torture.{name}"), "PARTS", [])
    ]
    names = Counter(part.name for part in found)
    assert set(names.values()) == {1}, f"each needs a name of its own: {names}"
    return {part.name: part for part in found}
