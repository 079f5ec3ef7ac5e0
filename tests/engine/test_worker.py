"""The engine process: it answers, it stops, and it never outlives its front end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from amulet_local.chats.prompt_cache_files import kept_folder
from amulet_local.engine.client import EngineProcess
from amulet_local.engine.worker import Worker
from amulet_local.errors import UsageError
from amulet_local.protocol.framing import MAX_FRAME, read_event
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import (
    Died,
    Failed,
    Finished,
    Load,
    Loaded,
    Loading,
    Notice,
    Quit,
    Step,
)
from tests.checks import comes
from tests.engine.process import OPTIONS, ask, drain, process_of, until
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


def test_it_loads_with_progress_and_streams_a_reply(
    engine: EngineProcess, default_model: Path
) -> None:
    engine.load(str(default_model), OPTIONS)
    loading = until(engine, Loaded)[:-1]
    fractions = [event.fraction for event in loading if isinstance(event, Loading)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    engine.reply(ask("Say hello.", max_tokens=8))
    events = until(engine, Finished)
    assert sum(isinstance(event, Step) for event in events) in range(1, 9)


def test_a_stop_is_heard_at_once_and_keeps_what_was_written(
    engine: EngineProcess, default_model: Path
) -> None:
    engine.load(str(default_model), OPTIONS)
    until(engine, Loaded)
    engine.reply(ask(max_tokens=800))
    until(engine, Step)
    engine.stop()
    rest = until(engine, Finished)
    finished = rest[-1]
    assert sum(isinstance(event, Step) for event in rest) < 200  # one or two, on a machine at rest
    assert isinstance(finished, Finished)
    assert finished.reason == "cancelled"
    assert finished.text
    engine.reply(ask("Say hello.", max_tokens=4))
    finished = until(engine, Finished)[-1]
    assert isinstance(finished, Finished)
    assert finished.reason != "cancelled"


def test_a_stop_right_behind_a_request_is_not_lost(
    engine: EngineProcess, default_model: Path
) -> None:
    engine.load(str(default_model), OPTIONS)
    engine.reply(ask())
    engine.stop()
    last = until(engine, Finished, Failed)[-1]
    if isinstance(last, Failed):  # the load itself was stopped, then the reply
        last = until(engine, Finished)[-1]
    assert isinstance(last, Finished)
    assert last.reason == "cancelled"


def test_a_file_that_is_no_model_fails_in_a_sentence_and_the_process_lives(
    engine: EngineProcess, default_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(default_model.read_bytes()[: 1 << 20])
    engine.load(str(path), OPTIONS)
    failed = until(engine, Failed, Died)[-1]
    assert isinstance(failed, Failed)
    assert failed.exit_code == 3
    assert "cut.gguf" in failed.text
    engine.reply(ask(id=7))
    failed = until(engine, Failed, Died)[-1]
    assert isinstance(failed, Failed)
    assert failed.id == 7
    assert "no model is loaded" in failed.text


def test_closing_ends_the_process_even_while_it_writes(
    engine: EngineProcess, default_model: Path
) -> None:
    engine.load(str(default_model), OPTIONS)
    until(engine, Loaded)
    engine.reply(ask())
    until(engine, Step)
    process = process_of(engine)
    engine.close()
    assert not psutil.pid_exists(process)
    assert not [event for event in drain(engine) if isinstance(event, Died)]


# A worker whose engine writes to the disk when it is closed: until it is told to stop, or whatever
# it is told. It is ready once it says so.
_KEEPS_LONG = """
import sys, threading
WAY = sys.argv.pop()  # which is not for the worker
from amulet_local.engine import worker
from amulet_local.chats.prompt_cache_files import kept_file
from amulet_local.files import part_of
from amulet_local.protocol.messages import Loaded

class Engine:
    def __init__(self, command, progress):
        self.told = threading.Event()
    def card(self):
        return Loaded("m", "m", "llama", 256, 9, 3, 0, "CPU", "one-context", 1, True, True, 0.1)
    def notices(self): return []
    def resume(self): pass
    idle = type("Idle", (), {"wanted": False, "close": staticmethod(lambda: None)})
    def stop(self):
        if WAY == "hears": self.told.set()
    def close(self):
        part = part_of(kept_file("long"))
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"half of it")
        self.told.wait()
        part.unlink()

worker.Engine = Engine
worker.main()
"""


@pytest.mark.parametrize(("way", "status"), [("hears", 0), ("does not hear", -signal.SIGKILL)])
def test_an_engine_that_keeps_a_chat_for_too_long_is_told_to_give_up_then_killed(
    way: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    started = []

    def keeps_long(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        started.append(start([*command[:2], "-c", _KEEPS_LONG, way], **settings))
        return started[0]

    monkeypatch.setattr("amulet_local.engine.running.subprocess.Popen", keeps_long)
    monkeypatch.setattr("amulet_local.engine.running._PATIENCE_S", 0.3)
    monkeypatch.setattr(
        "amulet_local.engine.running._LAST_PATIENCE_S", 10.0 if way == "hears" else 0.1
    )
    engine = EngineProcess()
    engine.load("m.gguf", LoadOptions())
    until(engine, Loaded)
    engine.close()
    assert started[0].wait(60) == status
    assert list(kept_folder().glob("*")) == []


def test_the_engine_does_not_outlive_its_front_end(default_model: Path) -> None:
    script = (
        "from amulet_local.engine.client import EngineProcess\n"
        "from amulet_local.protocol.messages import LoadOptions\n"
        f"engine = EngineProcess(); engine.load({str(default_model)!r}, LoadOptions(context=256))\n"
        "engine.events.get(); print(engine.pid, flush=True)\n"
        "engine.events.get(); import time; time.sleep(60)"
    )
    front = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert front.stdout is not None
    worker = int(front.stdout.readline())
    front.kill()
    front.wait()
    front.stdout.close()
    assert comes(lambda: not psutil.pid_exists(worker))


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x01\x00\x00\x00\xc1"])
def test_garbage_on_its_input_ends_the_process_without_a_reply(garbage: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "amulet_local.engine.worker"],
        input=garbage,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == b""


def test_a_message_over_the_bound_is_refused_before_it_is_sent(engine: EngineProcess) -> None:
    engine.load("nowhere.gguf", OPTIONS)
    until(engine, Failed)
    with pytest.raises(UsageError, match="exceeds the limit"):
        engine.reply(ask("x" * (MAX_FRAME + 1)))


def test_without_a_log_it_works_and_says_so(
    engine: EngineProcess, home: Path, tmp_path: Path
) -> None:
    model = tmp_path / "tiny.gguf"
    write_llama(model)
    home.write_text("a file where the folder should be")
    engine.load(str(model), OPTIONS)
    engine.reply(ask(max_tokens=2))
    first, *_, last = until(engine, Finished, Failed, Died)
    assert isinstance(first, Notice)
    assert (
        first.text
        == f"The engine's log cannot be saved in {home}/log/engine.log (Not a directory)."
    )
    assert isinstance(last, Finished)


def test_one_of_several_replies_is_stopped_and_the_others_go_on(tmp_path: Path) -> None:
    write_llama(tmp_path / "tiny.gguf")
    engine = EngineProcess(parallel=3)
    engine.load(str(tmp_path / "tiny.gguf"), OPTIONS)
    until(engine, Loaded)
    for number in (1, 2, 3):
        engine.reply(ask(id=number, max_tokens=900 if number == 2 else 300))
    until(engine, Step)
    engine.stop(2)
    ends = [until(engine, Finished)[-1] for _ in range(3)]
    engine.close()
    reasons = {end.id: end.reason for end in ends if isinstance(end, Finished)}
    assert reasons == {1: "length", 2: "cancelled", 3: "length"}


def test_a_stop_of_one_that_waits_or_is_written_alone_is_heard(tmp_path: Path) -> None:
    write_llama(tmp_path / "tiny.gguf")
    engine = EngineProcess()
    engine.load(str(tmp_path / "tiny.gguf"), OPTIONS)
    until(engine, Loaded)
    for number in (1, 2, 3):
        engine.reply(ask(id=number, max_tokens=900))
    engine.stop(2)
    until(engine, Step)
    engine.stop(1)
    ends = [until(engine, Finished)[-1] for _ in range(3)]
    engine.close()
    reasons = {end.id: end.reason for end in ends if isinstance(end, Finished)}
    assert reasons == {1: "cancelled", 2: "cancelled", 3: "length"}


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (MemoryError(), "the engine has too little memory; close other programs, or choose"),
        (OSError(24, "Too many open files"), r".* \(Too many open files\); close other programs"),
        (KeyError("odd"), r"the engine hit an error \(KeyError\('odd'\)\); its log has details"),
    ],
)
def test_what_nobody_foresaw_is_told_and_the_engine_goes_on(
    raised: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr("amulet_local.engine.worker.Engine", fails)
    (tmp_path / "commands").touch()
    with (tmp_path / "commands").open("rb") as commands, (tmp_path / "events").open("wb") as events:
        worker = Worker(commands, events)
        worker._hear(Load("m.gguf", OPTIONS))
        worker._hear(Quit())
        worker.work()
    with (tmp_path / "events").open("rb") as written:
        told_event, _ = read_event(written) or (None, 0)
    assert isinstance(told_event, Failed)
    assert re.match(told, told_event.text)
