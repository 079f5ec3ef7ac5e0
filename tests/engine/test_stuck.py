"""An engine that is stopped, or hangs: nobody waits for it, it is told of, and it can be ended."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from amulet_local.engine import events, pulse, running
from amulet_local.engine.client import EngineProcess
from amulet_local.engine.events import Events
from amulet_local.engine.pulse import Pulse
from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Died, Finished, Loaded, Notice, Step
from tests.checks import comes
from tests.engine.process import ask, process_of, until
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

LARGE = "word " * 1_000_000  # more than any pipe holds
BUSY = "while True: pass"
ASLEEP = "import time; time.sleep(600)"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProcess]:
    """An engine that writes for long, and whose silence is told of soon."""
    monkeypatch.setattr(pulse, "IDLE_S", 0.5)
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    process = EngineProcess()
    process.load(str(path), LoadOptions(context=4096))
    until(process, Loaded)
    yield process
    process.close()


def stopped(engine: EngineProcess) -> psutil.Process:
    """The engine's process, which the system has stopped while it was writing."""
    engine.reply(ask(max_tokens=4000))
    until(engine, Step)
    process = psutil.Process(process_of(engine))
    process.suspend()
    assert comes(lambda: process.status() == psutil.STATUS_STOPPED)
    return process


def test_a_stopped_engine_holds_up_nobody_who_writes_to_it(engine: EngineProcess) -> None:
    stopped(engine)
    for number in range(2, 6):
        engine.reply(ask(LARGE, id=number))
    engine.stop()


def test_more_than_it_could_ever_take_is_refused(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_MOST_WAITING", 4)
    stopped(engine)
    told: list[str] = []

    def is_refused() -> bool:
        try:
            engine.reply(ask(LARGE, id=2))
        except UsageError as error:
            told.append(str(error))
        return bool(told)

    assert comes(is_refused)
    assert told == ["the engine has not accepted earlier requests; restart it."]
    engine.stop()  # of which one more says nothing new


def test_a_stopped_engine_is_told_of_until_it_goes_on(engine: EngineProcess) -> None:
    process = stopped(engine)
    assert comes(engine.trouble)
    assert "seems to be stuck" in engine.trouble()
    process.resume()
    assert comes(lambda: not engine.trouble())
    engine.stop()
    until(engine, Finished)


def test_after_a_restart_the_next_message_has_another_engine(engine: EngineProcess) -> None:
    process = stopped(engine)
    engine.restart()
    died = until(engine, Died)[-1]
    assert isinstance(died, Died)
    assert died.asked
    assert comes(lambda: not process.is_running())
    engine.reply(ask(id=9, max_tokens=2))
    finished = until(engine, Finished, Died)[-1]
    assert isinstance(finished, Finished)
    assert finished.id == 9


def test_another_model_is_not_asked_of_an_engine_that_is_stuck(
    engine: EngineProcess, tmp_path: Path
) -> None:
    process = stopped(engine)
    assert comes(engine.trouble)
    engine.load(str(tmp_path / "tiny.gguf"), LoadOptions(context=256))
    until(engine, Loaded)
    assert comes(lambda: not process.is_running())


def test_closing_ends_a_stopped_engine(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(running, "_LAST_PATIENCE_S", 0.1)
    process = stopped(engine)
    engine.close()
    assert not process.is_running()


# -- alive or not ---------------------------------------------------------------------------------


@pytest.fixture(params=[BUSY, ASLEEP])
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", request.param])
    yield started
    started.kill()
    started.wait()


@pytest.mark.parametrize("process", [BUSY], indirect=True)
def test_one_that_works_is_given_more_time(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "IDLE_S", 60.0)
    monkeypatch.setattr(pulse, "SILENT_S", 0.5)
    watched = Pulse(process.pid)
    assert watched.trouble() == ""
    assert comes(watched.trouble)
    assert "but it is still working" in watched.trouble()
    watched.beat()
    assert watched.trouble() == ""


@pytest.mark.parametrize("process", [ASLEEP], indirect=True)
def test_one_that_waits_for_ever_is_not(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "IDLE_S", 0.5)
    watched = Pulse(process.pid)
    assert comes(watched.trouble)
    assert "seems to be stuck" in watched.trouble()


@pytest.mark.parametrize("process", [ASLEEP], indirect=True)
def test_after_a_pause_of_our_own_it_is_given_its_time_anew(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "IDLE_S", 0.5)
    watched = Pulse(process.pid)
    assert comes(watched.trouble)
    monkeypatch.setattr(pulse, "_PAUSE_S", 0.0)
    assert watched.trouble() == ""


def test_one_that_has_ended_is_told_of_otherwise() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert Pulse(ended.pid).trouble() == ""


# -- what is not taken ----------------------------------------------------------------------------


def test_what_nobody_takes_is_bounded_by_number_and_by_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "_MOST", 3)
    monkeypatch.setattr(events, "_MOST_BYTES", 100)
    held = Events()
    assert [held.offer(Notice(str(number)), 1, 0) for number in range(4)] == [True] * 3 + [False]
    held.put(Died("what the front end says always comes in"))
    assert [type(event) for event in held.taken(9)] == [Notice] * 3 + [Died]
    assert [held.offer(Notice("large"), 60, 0) for _ in range(3)] == [True, True, False]
    assert len(list(held.taken(1))) == 1
    assert held.offer(Notice("large"), 60, 0)
    with pytest.raises(queue.Empty):
        Events().get(timeout=0.01)


# -- the end with the front end -------------------------------------------------------------------


def test_even_a_stopped_engine_does_not_outlive_its_front_end(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    script = (
        "from amulet_local.engine.client import EngineProcess\n"
        "from amulet_local.protocol.messages import LoadOptions, Loaded\n"
        f"engine = EngineProcess(); engine.load({str(path)!r}, LoadOptions(context=256))\n"
        "while not isinstance(engine.events.get(), Loaded): pass\n"
        "print(engine.pid, flush=True)\n"
        "import time; time.sleep(600)"
    )
    front = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert front.stdout is not None
    worker = int(front.stdout.readline())
    os.kill(worker, signal.SIGSTOP)
    front.kill()
    front.wait()
    front.stdout.close()
    assert comes(lambda: not psutil.pid_exists(worker))
