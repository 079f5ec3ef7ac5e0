"""An engine process that dies: why, as it is told, and what the next one does otherwise."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amulet_local.engine.client import EngineProcess
from amulet_local.engine.epitaph import epitaph, last_lines
from amulet_local.engine.events import Events
from amulet_local.engine.running import _opened_log
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import SETTLED, Died, Finished, Loaded, Notice, Step
from amulet_local.system.child_processes import python
from tests.engine.process import OPTIONS, ask, process_of, until
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


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
        (
            -signal.SIGABRT,
            [f"/tmp/build/ggml/{_ASSERTION}"],
            f"it crashed with SIGABRT: {_ASSERTION}",
        ),
        (
            -signal.SIGABRT,
            ["/a file/b: x", "free(): invalid size", *_BEHIND],
            "free(): invalid size",
        ),
        (-signal.SIGABRT, ["double free or corruption (out)", *_BEHIND], "double free or corrup"),
        (
            -signal.SIGABRT,
            ["terminate called without an active exception", *_BEHIND],
            "SIGABRT: terminate called without",
        ),
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
WAY = sys.argv.pop()  # which is not for the worker
from amulet_local.engine import worker
from amulet_local.runtime.llama.errors import NoDeviceMemoryError
from amulet_local.protocol.messages import Finished, Loaded, Stats, Step

class Engine:
    parallel = 1
    def __init__(self, command, progress):
        asked = command.options.gpu_layers
        self.layers = 31 if asked == "auto" else asked
    def card(self):
        where = (31, self.layers, "CUDA0", "one-context")
        return Loaded("m", "m", "llama", 256, 9, *where, 1, True, True, 0.1)
    def notices(self): return []
    def resume(self): pass
    idle = type("Idle", (), {"wanted": False, "close": staticmethod(lambda: None)})
    def close(self): pass
    def reply(self, request, emit):
        emit(Step(request.id, 5, "One.", 1.0))
        if self.layers > 16 and WAY == "abort":
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
