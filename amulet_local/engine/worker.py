"""The engine in a process of its own: commands from standard input, events to standard output.

A native crash, a log flood or a lack of memory ends this process and nothing else. Everything that
is printed here, by Python or llama.cpp, goes to standard error, which the front end keeps as a log.
One thread reads commands, so that a stop is heard at once; the main thread alone uses llama.cpp.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO

from amulet_local.engine.context_window import TooLongError
from amulet_local.engine.engine import Engine
from amulet_local.errors import INTERRUPTED, AmuletError, EngineDiedError, UsageError
from amulet_local.protocol.framing import ImpossibleCommandError, read_command, write_frame
from amulet_local.protocol.messages import (
    SETTLED,
    Command,
    Compare,
    Event,
    Examine,
    Failed,
    Finished,
    Load,
    Loaded,
    Loading,
    Notice,
    Quit,
    ReadAhead,
    Reply,
    Stats,
    Steer,
    Stop,
    Unload,
    Unloaded,
)
from amulet_local.runtime.llama.errors import AbortedError, NoDeviceMemoryError
from amulet_local.system.heap import give_back_large_blocks
from amulet_local.system.parent_process import end_with

_NO_MODEL = "no model is loaded; choose one first."


class _Job:
    """A command waiting or under way, and whether a Stop came after it."""

    def __init__(self, command: Command | Failed) -> None:
        self.command = command
        self.stopped = False


class _AskedReply:
    """A reply among others that are written at once: see together.Asked."""

    def __init__(
        self, job: _Job, request: Reply, settle: Callable[[_Job, AmuletError | None], None]
    ) -> None:
        self.request = request
        self._job, self._settle = job, settle

    def is_stopped(self) -> bool:
        return self._job.stopped

    def ended(self, error: AmuletError | None) -> None:
        self._settle(self._job, error)


class Worker:
    """Carries out commands in order; `listen` runs beside it and delivers stops."""

    def __init__(self, commands: IO[bytes], events: IO[bytes]) -> None:
        self._commands, self._events = commands, events
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._unfinished: list[_Job] = []
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._next: _Job | None = None  # that ends the replies which are written at once
        self._gives_way = False  # what is under way, to anything that is asked for

    def listen(self) -> None:
        """Read commands until the pipe closes; then the front end is gone, and so are we."""
        try:
            while command := self._next_command():
                self._hear(command)
        finally:
            os._exit(0)

    def _next_command(self) -> Command | Failed | None:
        """The next one, or what is to be said of one that nobody can carry out."""
        try:
            return read_command(self._commands)
        except ImpossibleCommandError as error:
            text = f"the engine cannot do this ({error}); check the settings."
            return Failed(text, UsageError.exit_code, error.request)

    def _hear(self, command: Command | Failed) -> None:
        with self._lock:
            if isinstance(command, Steer):
                if self._engine:
                    self._engine.steer(command.id, command.strengths)
            elif isinstance(command, Stop) and command.id is not None:
                self._stop_one(command.id)
            elif isinstance(command, Stop):
                for job in self._unfinished:
                    job.stopped = True
                if self._engine and self._unfinished:
                    self._engine.stop()
            else:
                self._unfinished.append(job := _Job(command))
                self._jobs.put(job)
                if self._engine and self._gives_way and not isinstance(command, ReadAhead):
                    self._engine.give_way()  # text that is typed on waits for a few rows

    def _stop_one(self, request: int) -> None:
        """One reply; where others are written with it, these go on."""
        for number, job in enumerate(self._unfinished):
            if isinstance(job.command, Reply) and job.command.id == request:
                job.stopped = True
                if self._engine and self._engine.parallel == 1 and number == 0:
                    self._engine.stop()

    def _next_job(self) -> _Job:
        idle = self._engine.idle if self._engine else None
        while self._next is None:
            wanted = idle is not None and idle.wanted
            if idle and wanted:
                idle.begin_waiting()
            try:
                self._next = self._jobs.get(timeout=idle.after_s if idle and wanted else None)
            except queue.Empty:
                assert idle
                self._do_giving_way(partial(idle.use, self._jobs.empty))
        if idle:
            idle.close()
        job, self._next = self._next, None
        return job

    def _do_giving_way(self, work: Callable[[], None]) -> None:
        """Do something that ends as soon as anything else is asked for, if nothing is by now."""
        with self._lock:
            self._gives_way = self._jobs.empty()
        if self._gives_way:
            with suppress(AbortedError):
                work()
        with self._lock:
            self._gives_way = False
            if self._engine:
                self._engine.resume()

    def work(self) -> None:
        """Carry out jobs until told to quit."""
        while not isinstance((job := self._next_job()).command, Quit):
            try:
                self._carry_out(job)
            except AmuletError as error:
                self._refuse(job, error)
            except NoDeviceMemoryError as error:
                logging.error("a device ran out of memory: %s", error)  # noqa: TRY400 - as told
                os._exit(EngineDiedError.exit_code)  # what such a failure leaves is of no use
            except Exception as error:
                logging.exception("while carrying out %s", type(job.command).__name__)
                self._refuse(job, EngineDiedError.of(error))
            logging.info(SETTLED)
            with self._lock:
                self._forget(job)
                if self._engine:
                    self._engine.resume()
        self._unload()

    def _carry_out(self, job: _Job) -> None:
        match job.command:
            case Load():
                self._load(job, job.command)
            case Reply():
                if job.stopped:
                    self._emit(_cancelled(job.command))
                elif self._engine and self._engine.parallel > 1:
                    self._reply_together(self._engine, job)
                elif self._engine:
                    self._engine.reply(job.command, self._emit)
                else:
                    self._fail(job, _NO_MODEL, 3)
            case Compare(replies):
                if job.stopped:
                    for each in replies:
                        self._emit(_cancelled(each))
                elif self._engine:
                    self._engine.compare(replies, self._emit)
                else:
                    self._fail(job, _NO_MODEL, 3)
            case Examine(request, strengths):
                if self._engine and not job.stopped:
                    self._engine.examine(request, strengths, self._emit)
            case ReadAhead():
                if self._engine and not job.stopped:
                    read = partial(self._engine.read_ahead, job.command, self._jobs.empty)
                    self._do_giving_way(read)
            case Unload():
                self._unload()
                self._emit(Unloaded())
            case Failed():
                self._emit(job.command)

    def _reply_together(self, engine: Engine, first: _Job) -> None:
        """Write this reply and those asked for meanwhile, up to a command of another kind."""
        waiting = [first]

        def settle(job: _Job, error: AmuletError | None) -> None:
            if error:
                self._refuse(job, error)
            with self._lock:
                self._forget(job)

        def coming() -> _AskedReply | None:
            while job := waiting.pop() if waiting else self._waiting_reply():
                assert isinstance(job.command, Reply)
                if not job.stopped:
                    return _AskedReply(job, job.command, settle)
                self._emit(_cancelled(job.command))
                settle(job, None)
            return None

        engine.reply_together(coming, self._emit)

    def _waiting_reply(self) -> _Job | None:
        """The next job, where it is a reply and came by now."""
        if self._next is None:
            with suppress(queue.Empty):
                self._next = self._jobs.get_nowait()
        if self._next is None or not isinstance(self._next.command, Reply):
            return None
        return self._next_job()

    def _forget(self, job: _Job) -> None:
        if job in self._unfinished:
            self._unfinished.remove(job)

    def _load(self, job: _Job, command: Load) -> None:
        self._unload()
        reported = -1

        def progress(fraction: float) -> bool:
            nonlocal reported
            if (percent := int(fraction * 100)) > reported:
                reported = percent
                self._emit(Loading(min(max(fraction, 0.0), 1.0)))
            return not job.stopped

        try:
            engine = Engine(command, progress)
        except AbortedError:
            self._fail(job, "loading was stopped.", INTERRUPTED)
            return
        with self._lock:
            self._engine = engine
        for notice in engine.notices():
            self._emit(Notice(notice))
        self._emit(engine.card())

    def _unload(self) -> None:
        """Let go of the engine, which hears of a stop until it is closed: it may be writing."""
        if not self._engine:
            return
        try:
            self._engine.close()
        finally:
            with self._lock:
                self._engine = None

    def _refuse(self, job: _Job, error: AmuletError) -> None:
        too_long = isinstance(error, TooLongError)
        self._emit(Failed(str(error), error.exit_code, _request_of(job.command), too_long))

    def _fail(self, job: _Job, text: str, exit_code: int) -> None:
        self._emit(Failed(text, exit_code, _request_of(job.command)))

    def _emit(self, event: Event) -> None:
        if isinstance(event, Finished | Failed | Loaded | Unloaded):
            logging.info(SETTLED)  # before anybody hears of it, and may end this process
        write_frame(self._events, event)


def _request_of(command: Command | Failed) -> int | None:
    match command:
        case Reply():
            return command.id
        case Compare():
            return command.replies[0].id
        case Examine():
            return command.request.id
    return None


def _cancelled(request: Reply) -> Finished:
    return Finished(request.id, "", (), "cancelled", Stats(0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0))


def main() -> None:
    """Keep the pipes for the protocol alone, and work. The argument, if there is one, is the id of
    the process to end with."""
    if sys.argv[1:]:
        end_with(int(sys.argv[1]))
    faulthandler.enable()
    give_back_large_blocks()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    worker = Worker(commands, events)
    threading.Thread(target=worker.listen, daemon=True).start()
    try:
        worker.work()
    except BrokenPipeError:
        os._exit(0)  # the front end is gone


if __name__ == "__main__":
    main()
