"""A load that makes no progress is ended and told; one that makes any goes on."""

from __future__ import annotations

import queue
import subprocess
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from amulet_local.engine import load_watch
from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Died, Event, Loaded, Loading
from tests.checks import comes

pytestmark = pytest.mark.slow

# A worker that hears what it is asked, does one of these, and then says that a model is loaded.
_WORKER = """
import sys, time
from amulet_local.protocol.framing import read_command, write_frame
from amulet_local.protocol.messages import Loaded, Loading
read_command(sys.stdin.buffer)
held = []
def say(event): write_frame(sys.stdout.buffer, event)
{deed}
say(Loaded("m", "m", "llama", 256, 9, 3, 0, "CPU", "one-context", 1, True, True, 0.1))
time.sleep(60)
"""
_TURNS = "for turn in range(40):\n    time.sleep(0.1)\n    "
# Half of the time, so that other tests have the rest.
STUCK = {
    "caught in a loop": "while True: sum(range(99_999)); time.sleep(0.005)",
    "waiting for ever": "time.sleep(600)",
}
AT_WORK = {
    "telling how far it is": _TURNS + "say(Loading(turn / 40))",
    "taking memory": _TURNS + "held.append(bytearray(1 << 20))",
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EngineProcess]:
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    monkeypatch.setattr(load_watch, "STALLED_S", 2.0)
    monkeypatch.setattr(load_watch, "_LOOK_S", 0.1)

    def started(deed: str) -> EngineProcess:
        def worker(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
            return popen([*command[:2], "-c", _WORKER.format(deed=deed)], **settings)

        monkeypatch.setattr("amulet_local.engine.running.subprocess.Popen", worker)
        engine = EngineProcess()
        engine.load("m.gguf", LoadOptions())
        return engine

    return started


def outcome(engine: EngineProcess) -> Event:
    while isinstance(event := engine.events.get(timeout=120), Loading):
        pass
    return event


@pytest.mark.parametrize("way", STUCK)
def test_a_load_without_progress_is_ended_and_told(
    way: str, start: Callable[[str], EngineProcess]
) -> None:
    engine = start(STUCK[way])
    pid = engine.pid or 0
    died = outcome(engine)
    assert isinstance(died, Died)
    assert "because loading m.gguf made no progress for 10 seconds; choose another" in died.text
    assert comes(lambda: not psutil.pid_exists(pid))
    engine.close()


@pytest.mark.parametrize("way", AT_WORK)
def test_a_load_with_any_progress_goes_on_and_nothing_is_watched_behind_it(
    way: str, start: Callable[[str], EngineProcess]
) -> None:
    engine = start(AT_WORK[way])
    assert isinstance(outcome(engine), Loaded)
    with pytest.raises(queue.Empty):  # though it says nothing for longer than a load may
        engine.events.get(timeout=4)
    engine.kill()
    engine.close()


@pytest.mark.parametrize(
    ("threads", "counted"),
    [
        ({}, 1.0),  # where the system does not tell
        ({"reader": (0, 0), "loader": (0, 0)}, 1.0),  # waits for ever
        ({"reader": (0, 0), "loader": (1_000_000_000, 0)}, 1.0),  # caught in a loop
        ({"reader": (0, 0), "loader": (100_000_000, 900_000_000)}, 0.1),  # others have processors
        ({"loader": (500_000_000, 600_000_000), "new": (0, 0)}, 0.5),
    ],
)
def test_what_others_take_of_the_processors_does_not_count(
    threads: dict[str, tuple[int, int]], counted: float
) -> None:
    before = {thread: (0, 0) for thread in threads if thread != "new"}
    assert load_watch.had(before, threads, 1.0) == counted
