"""What should not have happened, told in a sentence: the traceback goes to a file, the app stays.

An exception goes in, a sentence comes out. Textual ends a widget, and the app with it, at the first
exception that a handler does not catch; `survive` has both go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from textual.message import Message
from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

from amulet_local.errors import AmuletError
from amulet_local.files import private, private_folder
from amulet_local.settings import log_folder
from amulet_local.system import paths

_LARGEST_LOG = 1 << 20  # bytes, from which on it is begun anew
_DISPATCH = "_dispatch_message"


class UnexpectedError(AmuletError):
    """An error that nobody foresaw, as a sentence."""


def met(error: Exception) -> BaseException:
    """What was raised; Textual wraps what a worker raises."""
    return error.error if isinstance(error, WorkerFailed) else error


def told(error: BaseException) -> str:
    """What to say of an error; one that nobody foresaw goes to the log, with its traceback."""
    if isinstance(error, AmuletError):
        return str(error)
    log = _log()
    with suppress(OSError, AmuletError):
        private_folder(log.parent)
        found = paths.status(log)
        mode = "w" if found and found.st_size > _LARGEST_LOG else "a"
        with open(log, mode, encoding="utf-8", errors="backslashreplace", opener=private) as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}\n")
            file.writelines(traceback.format_exception(error))
    if isinstance(error, OSError):
        return f"the operating system reported an error ({error}); details are in {log}."
    return f"Something went wrong in Amulet; details are in {log}."


def _log() -> Path:
    return log_folder() / "app.log"


@contextmanager
def as_sentences(*foreseen: type[Exception]) -> Iterator[None]:
    """For work on a thread, which tells of an AmuletError: any other exception becomes one, but for
    those that are foreseen."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (AmuletError, *foreseen)):
            raise
        raise UnexpectedError(told(error)) from error


def survive() -> None:
    """From now on, a widget of Textual's or ours goes on after an exception in one of its handlers,
    once the app has handled that."""
    dispatch = MessagePump._dispatch_message  # which all of them go through

    async def guarded(pump: MessagePump, message: Message) -> None:
        try:
            await dispatch(pump, message)
        except Exception as error:
            pump.app._handle_exception(error)

    setattr(MessagePump, _DISPATCH, guarded)
