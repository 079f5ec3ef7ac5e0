"""Work on models in a process of its own, for those who keep the native library out of theirs.

A module goes in, with arguments for it; what it finds comes out, as JSON. The process tells how far
it is on standard output, an event a line, and clears away what it began when it is interrupted.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable

import msgspec

from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.files import clear_remnants, parts_in
from amulet_local.settings import models_folder
from amulet_local.system.child_processes import environment, python
from models.fetch import FetchCancelledError, OnProgress, Progress

_POLL_S = 0.1


class _Progressed(msgspec.Struct, tag="progressed"):
    progress: Progress


class _Found(msgspec.Struct, tag="found"):
    result: msgspec.Raw


class _Refused(msgspec.Struct, tag="refused"):
    text: str
    exit_code: int


_decoder = msgspec.json.Decoder(_Progressed | _Found | _Refused)


def run_apart(
    module: str,
    arguments: list[str],
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
    *,
    stopped: str,
    crashed: str,
) -> bytes:
    """Run `python -m module`, whose `main` calls `tell`, and return what it found.

    cancelled: asked several times a second, from a thread. stopped, crashed: the sentences for
    those ends. Raises what the work raised of AmuletError, FetchCancelledError, and NotUsableError
    where the process crashed.
    """
    ended, given_up = threading.Event(), False

    def watch() -> None:
        nonlocal given_up
        while not ended.wait(_POLL_S):
            if cancelled():
                given_up = True
                process.send_signal(signal.SIGINT)
                return

    with subprocess.Popen(
        python("-m", module, *arguments),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,  # so that Ctrl+C in the terminal reaches it once, from here
    ) as process:
        assert process.stdout is not None
        threading.Thread(target=watch, daemon=True).start()
        try:
            for line in process.stdout:
                match _decoder.decode(line):
                    case _Progressed(progress):
                        on_progress(progress)
                    case _Found(result):
                        return bytes(result)
                    case _Refused(text, exit_code):
                        error = UsageError if exit_code == UsageError.exit_code else NotUsableError
                        raise error(text)
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            process.stdout.close()
            process.wait()
            ended.set()
            clear_remnants(parts_in(models_folder()))  # of one that was killed
    if given_up:
        raise FetchCancelledError(stopped)
    raise NotUsableError(crashed)


def tell(work: Callable[[OnProgress], object]) -> None:
    """In the process: do the work, and tell of it on standard output."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells may have had ignored
    try:
        found = work(lambda progress: _say(_Progressed(progress)))
    except AmuletError as error:
        _say(_Refused(str(error), error.exit_code))
    else:
        _say(_Found(msgspec.Raw(msgspec.json.encode(found))))


def _say(event: _Progressed | _Found | _Refused) -> None:
    print(msgspec.json.encode(event).decode(), flush=True)
