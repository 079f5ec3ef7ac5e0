"""What should not have happened, told in a sentence: the traceback goes to a file, the app stays.

An exception goes in, a sentence comes out. Textual ends a widget, and the app with it, at the first
exception that a handler does not catch; `survive` has both go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.message import Message
from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

from amulet_local.errors import AmuletError
from amulet_local.unexpected import told

_DISPATCH = "_dispatch_message"


class UnexpectedError(AmuletError):
    """An error that nobody foresaw, as a sentence."""


def met(error: Exception) -> BaseException:
    """What was raised; Textual wraps what a worker raises."""
    return error.error if isinstance(error, WorkerFailed) else error


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
