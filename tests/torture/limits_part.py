"""An engine that is refused memory or files while it loads, reads or writes: the app says so and
stays usable, and once there is enough again, the next message is answered.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from tests.checks import comes
from tests.torture.deaths import LEFT, Run, within_three_seconds
from tests.torture.part import Part
from tests.torture.pipe import answered

PHASES = ("loading", "reading", "streaming", "comparing", "looking")
KINDS = {"memory": resource.RLIMIT_AS, "files": resource.RLIMIT_NOFILE}
_TOLD = (b"The engine", b"the engine", b"memory", b"could not", b"cannot", b"Too many")


def trial(phase: str, kind: str, chance: Random, folder: Path) -> list[str]:
    """Let the engine have hardly more than it has at a moment; returns what did not hold."""
    run = Run(folder)
    try:
        run.reach(phase, "")
        before = answered(run.home) if phase in ("comparing", "looking") else 0
        time.sleep(chance.uniform(0.0, 0.4))
        engine, drawn = run.victim("engine"), len(run.opened.output)
        if engine:
            _limit(engine, kind, chance)
        if phase == "looking":
            run.opened.type(LEFT + LEFT)
        if phase == "comparing":  # which may need nothing more, and end without a word
            within_three_seconds(lambda: run.shows(*_TOLD, since=drawn))
        if phase in ("comparing", "looking"):
            run.back()
        if phase in ("comparing", "looking", "loading"):
            run.opened.type(b"Is anybody there?\r")
        found = []
        if not comes(lambda: run.shows(*_TOLD, since=drawn) or answered(run.home) > before):
            found.append("nothing is said of it")
        if run.ended():
            return [*found, "the app has ended"]
        if engine:
            _lift(engine, kind)
        return [*found, *filter(None, [run.ask()]), *run.leave(within_three_seconds)]
    finally:
        run.close()


def _limit(engine: psutil.Process, kind: str, chance: Random) -> None:
    with suppress(psutil.Error):  # it may be gone
        if kind == "memory":
            most = engine.memory_info().vms + chance.choice([0, 1 << 16, 1 << 20, 1 << 24])
        else:
            most = engine.num_fds() + chance.choice([-3, 0, 1])
        _set(engine, kind, most)


def _lift(engine: psutil.Process, kind: str) -> None:
    with suppress(psutil.Error):
        _set(engine, kind, engine.rlimit(KINDS[kind])[1])


def _set(engine: psutil.Process, kind: str, most: int) -> None:
    """The soft limit, which can be taken back."""
    engine.rlimit(KINDS[kind], (most, engine.rlimit(KINDS[kind])[1]))


def _limits(random: Random, folder: Path) -> str:
    if sys.platform != "linux":
        return "not tried: the limits of another process cannot be set here"
    phase, kind = random.choice(PHASES), random.choice(list(KINDS))
    found = trial(phase, kind, random, folder)
    assert not found, (phase, kind, found)
    return f"{kind}, {phase}"


PARTS = [Part("limits", _limits, quick=0, full=200, limit_s=900.0)]
