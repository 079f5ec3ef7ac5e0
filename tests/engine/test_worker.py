"""The engine process: it answers, it stops, it dies alone, and it never outlives its front end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from amulet_local.chats.prompt_cache_files import kept_folder
from amulet_local.engine.client import EngineProcess
from amulet_local.engine.epitaph import epitaph, last_lines
from amulet_local.engine.events import Events
from amulet_local.engine.running import _opened_log
from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.framing import MAX_FRAME
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    SETTLED,
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    Loading,
    Notice,
    Reply,
    Step,
)
from amulet_local.system.child_processes import python
from tests.checks import comes
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

OPTIONS = LoadOptions(context=1024)


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    process = EngineProcess()
    yield process
    process.close()


def ask(text: str = "Tell me a long story.", **changes: object) -> Reply:
    settings: dict[str, object] = {
        "id": 1,
        "messages": (Message("user", text),),
        "seed": 1,
        "system": "You help.",
        "sampling": Sampling(temperature=0),
        "max_tokens": 200,
    }
    settings |= changes
    steered = {name: settings.pop(name) for name in Alignment.__struct_fields__ if name in settings}
    return Reply(alignment=Alignment(**steered), **settings)  # type: ignore[arg-type]


def until(engine: EngineProcess, *kinds: type[Event]) -> list[Event]:
    """Events up to the first of one of these kinds."""
    events: list[Event] = []
    while not events or not isinstance(events[-1], kinds):
        events.append(engine.events.get(timeout=30))
    return events


def process_of(engine: EngineProcess) -> int:
    assert engine.pid is not None
    return engine.pid


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


def test_after_a_kill_the_next_message_starts_a_new_engine(
    engine: EngineProcess, default_model: Path
) -> None:
    engine.load(str(default_model), OPTIONS)
    until(engine, Loaded)
    engine.reply(ask())
    until(engine, Step)
    os.kill(process_of(engine), signal.SIGKILL)
    died = until(engine, Died)[-1]
    assert isinstance(died, Died)
    assert "memory" in died.text
    engine.reply(ask("Say hello.", max_tokens=4))
    events = until(engine, Finished)
    assert any(isinstance(event, Loaded) for event in events)


def test_a_native_crash_is_told_with_its_signal(engine: EngineProcess, default_model: Path) -> None:
    engine.load(str(default_model), OPTIONS)
    until(engine, Loaded)
    os.kill(process_of(engine), signal.SIGSEGV)
    died = until(engine, Died)[-1]
    assert isinstance(died, Died)
    assert "SIGSEGV" in died.text or "Segmentation" in died.text


def test_a_file_that_changes_while_a_reply_is_written_is_named(
    engine: EngineProcess, default_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "copy.gguf"
    path.write_bytes(default_model.read_bytes())
    engine.load(str(path), OPTIONS)
    until(engine, Loaded)
    engine.reply(ask())
    until(engine, Step)
    os.truncate(path, 1 << 20)
    died = until(engine, Died, Finished)[-1]
    assert isinstance(died, Died)
    assert f"because {path} changed while in use; fetch or copy" in died.text


_ABORTED = ["process_ubatch: failed to compute graph", "llama_decode: failed to decode, ret = 2"]
_ASSERTION = "ggml.c:7: GGML_ASSERT(a == b) failed"
_BEHIND = ["ptrace: operation failed.", "Fatal Python error: Aborted", '  File "errors.py"']


@pytest.mark.parametrize(
    ("status", "lines", "reason"),
    [
        (-signal.SIGABRT, [_ASSERTION, *_BEHIND], f"it crashed with SIGABRT: {_ASSERTION}"),
        (
            -signal.SIGABRT,
            ["CUDA error: out of memory"],
            "it crashed with SIGABRT: CUDA error: out",
        ),
        (
            -signal.SIGABRT,
            ["terminate called", "  what():  bad_alloc"],
            "SIGABRT: what():  bad_all",
        ),
        (-signal.SIGABRT, ["ggml-cuda.cu:9: no kernel", *_ABORTED], "ggml-cuda.cu:9: no kernel)"),
        (-signal.SIGSEGV, _BEHIND[1:], "(it crashed with SIGSEGV)"),
        (-signal.SIGSEGV, [], "(it crashed with SIGSEGV)"),
        (-signal.SIGTERM, _ABORTED, "(it was terminated by SIGTERM)"),
        (-signal.SIGHUP, [_ASSERTION], "(it was terminated by SIGHUP)"),
        (-40, _ABORTED, "(it was terminated by signal 40)"),
        (-signal.SIGKILL, _ABORTED, "(it was killed, most likely because memory ran out)"),
        (4, ["a device ran out of memory: no"], "(a device ran out of memory: no)"),
        (1, ["Traceback", "ImportError: no llama."], "(ImportError: no llama)"),
        (3, ["fine"], "(exit status 3)"),
    ],
)
def test_the_reason_for_a_death_is_its_signal_and_the_line_that_tells_it(
    status: int, lines: list[str], reason: str
) -> None:
    assert reason in epitaph(status, lines)


def test_what_was_settled_before_is_no_reason_for_a_death(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("\n".join([*_ABORTED, SETTLED, _ASSERTION, SETTLED, "told later"]))
    with log.open("rb") as file:
        assert last_lines(file) == ["told later"]
    log.write_bytes(b"\xff" * (1 << 20) + f"\n{_ASSERTION}\n".encode())
    with log.open("rb") as file:
        assert last_lines(file)[-1] == _ASSERTION


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_after_a_stop_a_death_is_not_laid_on_it(number: int, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    engine = EngineProcess()
    engine.load(str(path), LoadOptions(context=4096))
    until(engine, Loaded)
    engine.reply(ask("again and " * 300, max_tokens=4000))
    until(engine, Step)
    engine.stop()
    finished = until(engine, Finished)[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "cancelled"
    os.kill(process_of(engine), number)
    died = until(engine, Died)[-1]
    assert isinstance(died, Died)
    assert signal.Signals(number).name in died.text
    assert "decode" not in died.text
    engine.close()


# A worker whose engine needs a GPU with room for 16 of 31 layers; with more, it runs out while it
# writes: as llama.cpp's backends do, who end the process, or by the status of llama_decode.
_SHORT_OF_MEMORY = """
import os, sys
from amulet_local.engine import worker
from amulet_local.runtime.llama.errors import NoDeviceMemoryError
from amulet_local.protocol.messages import Finished, Loaded, Stats, Step

class Engine:
    def __init__(self, command, progress):
        asked = command.options.gpu_layers
        self.layers = 31 if asked == "auto" else asked
    def card(self):
        where = (31, self.layers, "CUDA0", "one-context")
        return Loaded("m", "m", "llama", 256, 9, *where, 1, True, True, 0.1)
    def notices(self): return []
    def resume(self): pass
    def close(self): pass
    def reply(self, request, emit):
        emit(Step(request.id, 5, "One.", 1.0))
        if self.layers > 16 and sys.argv[1] == "abort":
            print("CUDA error: out of memory", file=sys.stderr, flush=True)
            os.abort()
        if self.layers > 16:
            raise NoDeviceMemoryError("failed to allocate compute buffers")
        stats = Stats(0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0)
        emit(Finished(request.id, "One.", (5,), "stop", stats))

worker.Engine = Engine
worker.main()
"""


@pytest.mark.parametrize("way", ["abort", "status"])
def test_where_a_devices_memory_runs_out_the_next_engine_puts_fewer_layers_there(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen

    def short_of_memory(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        assert command[:4] == python("-m", "amulet_local.engine.worker")
        return start([command[0], "-c", _SHORT_OF_MEMORY, way], **settings)

    monkeypatch.setattr("amulet_local.engine.running.subprocess.Popen", short_of_memory)
    engine = EngineProcess()
    engine.load("m.gguf", LoadOptions())
    until(engine, Loaded)
    told = []
    for left in (24, 17, 10):
        engine.reply(ask())
        *_, last = until(engine, Died, Finished)
        assert isinstance(last, Died)
        assert last.lighter
        told.append(last.text)
        assert (
            f"from now on {left} of 31 layers run there and the rest on the processor" in last.text
        )
        if left <= 16:
            break
    assert len(told) == 3
    engine.reply(ask())
    events = until(engine, Finished)
    assert [e.gpu_layers for e in events if isinstance(e, Loaded)] == [10]
    engine.load("m.gguf", LoadOptions())  # and it is not forgotten
    (loaded,) = (e for e in until(engine, Loaded) if isinstance(e, Loaded))
    assert loaded.gpu_layers == 10
    engine.close()


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
    def stop(self):
        if sys.argv[1] == "hears": self.told.set()
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
    assert started[0].returncode == status
    assert list(kept_folder().glob("*")) == []


def drain(engine: EngineProcess) -> list[Event]:
    events = []
    while not engine.events.empty():
        events.append(engine.events.get())
    return events


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


def test_the_last_words_of_an_engine_are_read_from_its_log_wherever_it_is(home: Path) -> None:
    events = Events()
    for kept in (True, False):
        if not kept:
            shutil.rmtree(home)
            home.write_text("a file where the folder should be")
        with _opened_log(events) or pytest.fail("there is a folder for temporary files") as log:
            log.write(b"before\n" * 100_000 + b"GGML_ASSERT(x) failed\n\xff")
            log.flush()
            assert last_lines(log)[-2:] == ["GGML_ASSERT(x) failed", "\ufffd"]
            assert len(last_lines(log)) < 40_000
    assert last_lines(None) == []
    assert isinstance(events.get_nowait(), Notice)
    assert events.empty()
