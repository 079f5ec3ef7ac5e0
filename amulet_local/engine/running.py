"""One engine process: its pipes, its log, its end.

Nothing here waits for the engine on the thread that asks, but `close`, and that not for long:
commands are written and events are read on threads of their own, so that an engine that is stopped
or stuck, with its pipes full, holds up nobody.
"""

from __future__ import annotations

import io
import os
import queue
import re
import subprocess
import threading
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from amulet_local.chats.prompt_cache_files import kept_folder
from amulet_local.engine.epitaph import epitaph, last_lines
from amulet_local.engine.events import Events
from amulet_local.engine.load_watch import STALLED_S, LoadWatch
from amulet_local.engine.pulse import Pulse
from amulet_local.errors import UsageError, cause
from amulet_local.files import Stamp, clear_remnants, private, private_folder, stamp
from amulet_local.path_text import from_text
from amulet_local.protocol.framing import frame_of, read_event
from amulet_local.protocol.messages import (
    Command,
    Died,
    Event,
    Failed,
    Load,
    Loaded,
    Notice,
    Quit,
    Steer,
    Stop,
)
from amulet_local.settings import engine_log
from amulet_local.system import paths
from amulet_local.system.child_processes import environment, python
from amulet_local.system.parent_process import for_the_child

# What llama.cpp's backends say where a device has no memory left.
NO_MEMORY = re.compile(
    r"out ?of ?(device ?|host ?)?memory|insufficient memory|"
    r"fail\w* to alloc|alloc\w* .*fail|unable to alloc",
    re.IGNORECASE,
)
_PATIENCE_S = 1.7  # for an engine that is to end, and may keep the chat first
_LAST_PATIENCE_S = 0.4  # once it is told to give that up; all in all less than the app has to end
_KILLED_S = 0.2  # in which a killed process is gone, unless the system waits for a disk
_ROOM_S = 0.2
_MOST_WAITING = 64  # commands; one that works takes them at once


class Running:
    """One engine process and the threads at its pipes.

    pulse: whether it is alive. layers_to_try: on devices, once it has died for want of their
    memory.
    """

    def __init__(self, events: Events) -> None:
        self.layers_to_try: int | None = None
        self._card: Loaded | None = None
        self._file = ""  # of the model
        self._stamp: Stamp | None = None  # as it was when it was to be loaded
        self._events = events
        self._closing = False
        self._corrupt = False
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._log = _opened_log(events)
        self._process = subprocess.Popen(
            python("-m", "amulet_local.engine.worker", *for_the_child()),
            bufsize=0,  # a buffer would be locked by the thread that writes when we end
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl+C is for the front end alone
        )
        self.pulse = Pulse(self._process.pid)
        self._load_watch = LoadWatch(self._process.pid, self.pulse, self.kill)
        for act in (self._write, self._read):
            threading.Thread(target=act, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, command: Command) -> bool:
        """Have a command written; False when the process is gone. Raises UsageError where it is
        too long, or too many wait already."""
        if self._process.poll() is not None:
            return False
        frame = frame_of(command)
        one_stop = isinstance(command, Stop) and command.id is not None
        if self._frames.qsize() >= _MOST_WAITING and not one_stop:
            if isinstance(command, Steer | Stop):
                return True  # of which the last one that waits says as much
            raise UsageError("the engine has not accepted earlier requests; restart it.")
        if isinstance(command, Load):
            self._file, self._stamp = command.model, stamp(from_text(command.model))
        self.pulse.beat()
        self._frames.put(frame)
        if isinstance(command, Load):
            self._load_watch.begin()
        return True

    def kill(self) -> None:
        """End the process at once; for any thread."""
        self._process.kill()

    def abandon(self) -> None:
        """End the process at once, and say no more of it."""
        self._closing = True
        self.kill()
        self._frames.put(None)

    def close(self) -> None:
        """See EngineHandle."""
        self._closing = True
        with suppress(UsageError):
            self.send(Stop())
            self.send(Quit())
        for patience in (_PATIENCE_S, _LAST_PATIENCE_S):
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self.send(Stop())  # what it is writing to the disk
            else:
                self._frames.put(None)
                return
        self.abandon()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)
            clear_remnants(paths.matching(kept_folder(), "*.part"))

    # -- on threads of their own --------------------------------------------------------------

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with pipe, suppress(OSError):  # it has ended, which the other thread tells
            while frame := self._frames.get():
                rest = memoryview(frame)
                while rest:
                    rest = rest[os.write(pipe.fileno(), rest) :]

    def _read(self) -> None:
        assert isinstance(self._process.stdout, io.RawIOBase)
        pipe = io.BufferedReader(self._process.stdout)
        try:
            while (read := read_event(pipe)) and not isinstance(read[0], Died):
                self._tell(*read)
            self._corrupt = read is not None  # no engine tells of its own death
        except (ValueError, RecursionError):
            self._corrupt = True
        if self._corrupt:
            self._process.kill()
        status = self._process.wait()
        self._load_watch.over()
        if self._closing:
            clear_remnants(paths.matching(kept_folder(), "*.part"))
        else:
            self._events.put(self._died(status))

    def _tell(self, event: Event, size: int) -> None:
        self.pulse.beat()
        if isinstance(event, Loaded) or (isinstance(event, Failed) and event.id is None):
            self._load_watch.over()
        self._card = event if isinstance(event, Loaded) else self._card
        while not self._closing and not self._events.offer(event, size, _ROOM_S):
            pass

    def _died(self, status: int) -> Died:
        card, lines = self._card, last_lines(self._log)
        if self._corrupt:
            return Died("The engine was stopped because it sent something invalid.")
        if self._load_watch.ended:
            return Died(
                f"The engine was stopped because loading {self._file} made no progress for "
                f"{STALLED_S:.0f} seconds; choose another model."
            )
        # A mapped file must stay what it is.
        if card and stamp(from_text(self._file)) != self._stamp:
            return Died(
                f"The engine stopped because {self._file} changed while in use; fetch or "
                "copy it again, or choose another."
            )
        if not card or not card.gpu_layers or not any(map(NO_MEMORY.search, lines)):
            return Died(epitaph(status, lines))
        self.layers_to_try = fewer = max(0, card.gpu_layers - max(1, card.layers // 4))
        runs = "the model runs on the processor"
        if fewer:
            runs = f"{fewer} of {card.layers} layers run there and the rest on the processor"
        return Died(f"{card.devices} ran out of memory, so from now on {runs}.", lighter=True)


def _opened_log(events: Events) -> IO[bytes] | None:
    """Where the engine's words go: the log, or else a file that goes with the process, which is
    told; None where there can be neither."""
    log = engine_log()
    try:
        private_folder(log.parent)
        return open(log, "w+b", opener=private)
    except OSError as error:
        events.put(Notice(f"The engine's log cannot be saved in {log} ({cause(error)})."))
    with suppress(OSError):
        return TemporaryFile()
    return None
