"""The handle on the process that renders chat templates: start it, ask it, end it.

Requests go in, answers come out, or why there are none, as one line. The process is started when it
is first needed and then used by all; one that takes too long, takes too much memory or dies is
ended, and the next request has another. template_worker.py is what runs there.
"""

from __future__ import annotations

import atexit
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import msgspec

from amulet_local.errors import cause
from amulet_local.prompts.template_worker import (
    COUNTS_TIME,
    MOST_BYTES,
    MOST_MEMORY,
    Answers,
    Request,
)
from amulet_local.protocol.frames import read_body, write_body
from amulet_local.system.child_processes import environment, python
from amulet_local.system.parent_process import for_the_child

_START_S = 60.0  # a start waits for the disk, and for other programs
_END_S = 5.0
_BUSY_S = 8.0  # by the clock, beside its limit: other programs want the processor, too
_LOOK_S = 0.05
_BOUNDS_MEMORY = sys.platform == "linux"  # by itself

_TOO_MUCH = f"it took more than {MOST_MEMORY >> 20} MB of memory"
_decoder = msgspec.msgpack.Decoder(Answers)


class NoAnswersError(Exception):
    """Why a request has no answers, said of its template."""


class TemplateProcess:
    """One process for all templates of this one. For any thread; requests take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._running.process.pid if self._running else None

    def ask(self, request: Request) -> Answers:
        """What comes of a request. Raises NoAnswersError."""
        body = msgspec.msgpack.encode(request)
        if len(body) > MOST_BYTES:
            raise NoAnswersError(f"it and the chat are larger than {MOST_BYTES >> 20} MB")
        with self._lock:
            if self._running and self._running.process.poll() is not None:
                self._end()
            try:
                self._running = running = self._running or _Running()
            except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
                why = cause(error) if isinstance(error, OSError) else str(error)
                raise NoAnswersError(f"no process could be started for it: {why}") from None
            answers = running.ask(body, request.limit_s)
            if answers is None or answers.worn:
                self._end()
        if answers is None:
            raise NoAnswersError(running.why(request.limit_s))
        if answers.memory:
            raise NoAnswersError(_TOO_MUCH)
        return answers

    def end(self) -> None:
        """End the process, if there is one; a later request starts another."""
        with self._lock:
            self._end()

    def kill(self) -> None:
        """End the process at once, whoever uses it; for when this one has no time left."""
        if running := self._running:
            running.process.kill()

    def _end(self) -> None:
        if running := self._running:
            self._running = None
            running.end()


class _Running:
    """One process, and the thread that ends it when a request takes too long or too much memory.

    Raises OSError, RuntimeError where it cannot be started.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadline = time.monotonic() + _START_S
        self._at_work = self._over = False
        self._least_memory = 0
        self._late = self._large = False
        self.process = subprocess.Popen(
            python("-m", "amulet_local.prompts.template_worker", *for_the_child()),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl+C is for the front end alone
        )
        try:
            threading.Thread(target=self._watch, daemon=True).start()
            if self._exchange(b"", _START_S) is None:
                raise RuntimeError("it ended at once")
        except BaseException:
            self.end()
            raise

    def ask(self, body: bytes, limit_s: float) -> Answers | None:
        """The answers to a request; None where the process ended, or is to be."""
        with suppress(msgspec.MsgspecError):
            answers = self._exchange(body, limit_s + (_BUSY_S if COUNTS_TIME else 0))
            return _decoder.decode(answers) if answers else None
        return None

    def why(self, limit_s: float) -> str:
        """What the process ended for, once it is known to have ended."""
        if self._late or (COUNTS_TIME and self.process.returncode == -signal.SIGPROF):
            return f"it did not finish within {limit_s:g} s"
        return _TOO_MUCH if self._large else "the process that renders it crashed"

    def end(self) -> None:
        """Kill the process, and wait for it."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was not sent has no reader
                pipe.close()

    def _exchange(self, body: bytes, limit_s: float) -> bytes | None:
        """The next frame that comes, once one was sent, if there is one to send."""
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None
        assert answers is not None
        with self._changed:
            self._deadline, self._at_work, self._least_memory = time.monotonic() + limit_s, True, 0
            self._changed.notify()
        try:
            if body:
                write_body(requests, body)
            return read_body(answers, MOST_BYTES)
        except (OSError, ValueError):  # it is gone, or no longer itself
            return None
        finally:
            with self._changed:
                self._at_work = False

    def _watch(self) -> None:
        with self._changed:
            while not self._over:
                if not self._at_work:
                    self._changed.wait()
                elif self._large or (left := self._deadline - time.monotonic()) <= 0:
                    self._late = not self._large
                    self.process.kill()
                    self._at_work = False
                elif _BOUNDS_MEMORY:
                    self._changed.wait(left)
                else:
                    self._changed.wait(min(left, _LOOK_S))
                    self._look()

    def _look(self) -> None:
        """See whether it takes too much memory."""
        import psutil

        with suppress(psutil.Error):
            size = psutil.Process(self.process.pid).memory_info().rss
            self._least_memory = min(size, self._least_memory or size)
            self._large = size > self._least_memory + MOST_MEMORY


the_process = TemplateProcess()
atexit.register(the_process.end)
