"""The front end's handle on the engine process: start it, send commands, receive events.

Works the same for the command line (which blocks on `events.get()`) and the chat screen (which
drains `events` several times a second). It knows nothing of terminals.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from tempfile import TemporaryFile
from typing import IO, Protocol

from msgspec.structs import replace

from amulet_local.chats.prompt_cache_files import kept_folder
from amulet_local.errors import cause
from amulet_local.files import Stamp, clear_remnants, private, private_folder, stamp
from amulet_local.path_text import from_text
from amulet_local.protocol.framing import read_event, write_frame
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.protocol.messages import (
    SETTLED,
    Command,
    Compare,
    Died,
    Event,
    Examine,
    Load,
    Loaded,
    Notice,
    Quit,
    Reply,
    Steer,
    Stop,
)
from amulet_local.settings import log_folder
from amulet_local.system.child_processes import environment, python

# What llama.cpp's backends say where a device has no memory left.
NO_MEMORY = re.compile(
    r"out ?of ?(device ?|host ?)?memory|insufficient memory|"
    r"fail\w* to alloc|alloc\w* .*fail|unable to alloc",
    re.IGNORECASE,
)
_PATIENCE_S = 2.0  # for an engine that is to end, and may keep the chat first
_LAST_PATIENCE_S = 0.5  # once it is told to give that up
_LOG_END = 256 * 1024  # bytes that are looked through for a reason
_CRASHES = {
    getattr(signal, name, 0)
    for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")
}
# llama.cpp ends a process with "file.c:line: why", C++ with what(), Python's report comes behind.
_FATAL = re.compile(r"GGML_(ASSERT|ABORT)|what\(\):|^\S+\.(c|cc|cpp|cu|cuh|h|hpp|m|mm):\d+: ")
_ERROR = re.compile(r"error|failed|out of memory", re.IGNORECASE)
_REPORT = re.compile(r"Fatal Python error: ")


class EngineHandle(Protocol):
    """What a front end needs of an engine; a fake one stands here in tests of the screen.

    Every method but `close` returns at once; what happens is told by events, in order.
    """

    events: queue.SimpleQueue[Event]

    def load(self, model: str, options: LoadOptions) -> None:
        """Start the process if needed and load a model; Loading…, then Loaded or Failed."""

    def reply(self, request: Reply) -> None:
        """Write a reply; after a death, a new process is started and the model loaded first."""

    def steer(self, request: int, strength: float) -> None:
        """Turn the dial of a reply under way, by the id of its request; no event tells of it."""

    def compare(self, replies: tuple[Reply, ...]) -> None:
        """Write replies side by side; else as `reply`."""

    def examine(self, request: Reply, strengths: tuple[float, ...]) -> None:
        """Tell what could have been said at each token of a reply (see protocol.Examine)."""

    def stop(self) -> None:
        """Stop the load or reply under way."""

    def close(self) -> None:
        """End the process and wait for it, two and a half seconds at most, then kill it.

        Within two it may keep the chat that is open; then it is told to give that up.
        """


Needs = Callable[[str, LoadOptions], tuple[Memory, ...]]


class EngineProcess:
    """The real engine. For one thread of the front end; close it, also on the way out of errors.

    needs: tells what a model will take (models/memory.needs_of); without it, a model is loaded
    whether it fits or not.
    """

    def __init__(self, needs: Needs = lambda _model, _options: ()) -> None:
        self._needs = needs
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running: _Running | None = None
        self._latest: _Running | None = None  # the same, but kept while it is closed
        self._load: Load | None = None
        self._most_layers: dict[str, int] = {}  # on devices, by model

    def load(self, model: str, options: LoadOptions) -> None:
        """See EngineHandle."""
        self._learn()
        self._load = self._spared(Load(model, options, self._needs(model, options)))
        if not self._send(self._load):
            self._start()

    def reply(self, request: Reply) -> None:
        """See EngineHandle."""
        self._insist(request)

    def steer(self, request: int, strength: float) -> None:
        """See EngineHandle."""
        self._send(Steer(request, strength))

    def compare(self, replies: tuple[Reply, ...]) -> None:
        """See EngineHandle."""
        self._insist(Compare(replies))

    def examine(self, request: Reply, strengths: tuple[float, ...]) -> None:
        """See EngineHandle."""
        self._insist(Examine(request, strengths))

    def stop(self) -> None:
        """See EngineHandle."""
        self._send(Stop())

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._running.pid if self._running else None

    def close(self) -> None:
        """See EngineHandle."""
        if running := self._running:
            self._running = None
            running.close()

    def kill(self) -> None:
        """End the process at once; for another thread, when there is no time left to close it."""
        if latest := self._latest:
            latest.kill()

    def _start(self) -> None:
        """A new process, with the model that the last one had."""
        self._learn()
        self.close()
        self._running = self._latest = _Running(self.events)
        if self._load:
            self._load = self._spared(self._load)
            self._send(self._load)

    def _learn(self) -> None:
        """Remember where devices lacked memory while a model was in use."""
        if self._running and self._load and self._running.layers_to_try is not None:
            self._most_layers[self._load.model] = self._running.layers_to_try

    def _spared(self, load: Load) -> Load:
        """With fewer layers on devices, for a model of which they have lacked the memory."""
        layers = self._most_layers.get(load.model)
        if layers is None:
            return load
        return replace(load, options=replace(load.options, gpu_layers=layers))

    def _insist(self, command: Command) -> None:
        """Send to a new process where there is none."""
        if not self._send(command):
            self._start()
            self._send(command)

    def _send(self, command: Command) -> bool:
        return self._running is not None and self._running.send(command)


class _Running:
    """One engine process and the thread that reads its events.

    layers_to_try: on devices, once it has died for want of their memory.
    """

    def __init__(self, events: queue.SimpleQueue[Event]) -> None:
        self.layers_to_try: int | None = None
        self._card: Loaded | None = None
        self._file = ""  # of the model
        self._stamp: Stamp | None = None  # as it was when it was to be loaded
        self._events = events
        self._closing = False
        self._log = _opened_log(events)
        self._process = subprocess.Popen(
            python("-m", "amulet_local.engine.worker"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl+C is for the front end alone
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, command: Command) -> bool:
        """False when the process is gone."""
        pipe = self._process.stdin
        assert pipe is not None
        if self._process.poll() is not None:
            return False
        if isinstance(command, Load):
            self._file, self._stamp = command.model, stamp(from_text(command.model))
        try:
            write_frame(pipe, command)
        except OSError:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._closing = True
        if self.send(Stop()):
            self.send(Quit())
        for patience in (_PATIENCE_S, _LAST_PATIENCE_S):
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self.send(Stop())  # what it is writing to the disk
            else:
                return
        self._process.kill()
        self._process.wait()
        clear_remnants(kept_folder().glob("*.part"))

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        try:
            while event := read_event(pipe):
                self._card = event if isinstance(event, Loaded) else self._card
                self._events.put(event)
        except ValueError:
            self._process.kill()  # a frame that is not ours: the stream is corrupt
        status = self._process.wait()
        if not self._closing:
            self._events.put(self._died(status))

    def _died(self, status: int) -> Died:
        card, lines = self._card, _last_lines(self._log)
        # A mapped file must stay what it is.
        if card and stamp(from_text(self._file)) != self._stamp:
            return Died(
                f"The engine stopped because {self._file} changed while in use; fetch or "
                "copy it again, or choose another."
            )
        if not card or not card.gpu_layers or not any(map(NO_MEMORY.search, lines)):
            return Died(_epitaph(status, lines))
        self.layers_to_try = fewer = max(0, card.gpu_layers - max(1, card.layers // 4))
        runs = "the model runs on the processor"
        if fewer:
            runs = f"{fewer} of {card.layers} layers run there and the rest on the processor"
        return Died(f"The memory of {card.devices} ran out, so from now on {runs}.", lighter=True)


def _opened_log(events: queue.SimpleQueue[Event]) -> IO[bytes] | None:
    """Where the engine's words go: the log, or else a file that goes with the process, which is
    told; None where there can be neither."""
    log = log_folder() / "engine.log"
    try:
        private_folder(log.parent)
        return open(log, "w+b", opener=private)
    except OSError as error:
        events.put(Notice(f"The engine's log cannot be saved in {log} ({cause(error)})."))
    with suppress(OSError):
        return TemporaryFile()
    return None


def _last_lines(log: IO[bytes] | None) -> list[str]:
    """The end of what the engine said, from where all that stands above is settled; once it has
    ended, since it writes where this reads."""
    if log is None:
        return []
    try:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_END))
        lines = log.read().decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []
    settled = [number for number, line in enumerate(lines) if line == SETTLED]
    return lines[settled[-1] + 1 :] if settled else lines


def _epitaph(status: int, lines: Sequence[str]) -> str:
    """One sentence on why the process ended, from its exit status and the end of its log.

    Whoever sends a signal that is no crash has reasons of their own: no line is quoted then.
    """
    said = _last_words(lines)
    if status == -signal.SIGKILL:
        reason = "it was killed, most likely because memory ran out"
    elif status < 0 and -status not in _CRASHES:
        reason = f"it was terminated by {_signal_name(-status)}"
    elif status < 0:
        reason = f"it crashed with {_signal_name(-status)}" + (f": {said}" if said else "")
    else:
        reason = said or f"exit status {status}"
    return f"The engine stopped ({reason})."


def _last_words(lines: Sequence[str]) -> str:
    """The line that tells why: the one that llama.cpp ends the process with, else the last that
    tells of an error. Python's own report of a crash, and what follows, say no more."""
    words = [line.strip() for line in takewhile(lambda line: not _REPORT.match(line), lines)]
    fatal, errors = (list(filter(each.search, words)) for each in (_FATAL, _ERROR))
    return (fatal[:1] or errors[-1:] or [""])[0][:200].rstrip(".")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
