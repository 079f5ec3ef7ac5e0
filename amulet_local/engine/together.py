"""Replies to several requests at once: each joins the running batch when it comes, and leaves it
when it has ended, whatever becomes of the others.

Requests go in, events come out, interleaved. What a request asks for is known to the engine, how
its tokens are written to generation/batch.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from amulet_local.errors import AmuletError, EngineDiedError
from amulet_local.generation.batch import BatchItem, RunningBatch
from amulet_local.generation.reply import Emit
from amulet_local.protocol.messages import Prefilling, Reply
from amulet_local.realignment import Workspace
from amulet_local.runtime.llama.errors import AbortedError, NoDeviceMemoryError
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_pool import StreamPool


class Asked(Protocol):
    """A request that somebody waits for, while others are carried out."""

    @property
    def request(self) -> Reply:
        """What is asked for."""

    def is_stopped(self) -> bool:
        """Whether nobody waits any more."""

    def ended(self, error: AmuletError | None) -> None:
        """It has been told how the reply ended; or this is why there is none."""


Begin = Callable[[Reply, Emit, ExitStack], BatchItem]


class Together:
    """Writes up to `parallel` replies at once on the streams of a Lockstep.

    begin: makes of a request what is to be written, which is closed with the stack; raises
    AmuletError where it cannot be done.
    """

    def __init__(self, lockstep: Lockstep, work: Workspace, parallel: int, begin: Begin) -> None:
        self._pool = StreamPool(lockstep)
        self._work, self._parallel, self._begin = work, parallel, begin

    def write(self, coming: Callable[[], Asked | None], emit: Emit) -> None:
        """Write until no reply is left; between two steps it is told how far prompts are read, so
        that nobody takes a long one for silence.

        coming: the next request, if there is one; asked before every step while there is room for
        it. Nothing is raised but where a device has no memory left: each hears how it ended.
        """
        batch = RunningBatch(self._pool, self._work, self._parallel)
        most = 0  # tokens of prompts that were to be read
        try:
            while True:
                while len(batch) < self._parallel and (asked := coming()):
                    self._join(batch, asked, emit)
                if batch:
                    batch.step()
                    most = max(most, batch.unread) if batch.unread else 0
                    if most:
                        emit(Prefilling(most - batch.unread, most))
                elif not self._pool.tidy():
                    return
        except AbortedError:
            batch.end("cancelled")
        except NoDeviceMemoryError:
            raise
        except AmuletError as error:
            batch.fail(error)
        except Exception as error:
            logging.exception("while several replies were written")
            batch.fail(EngineDiedError.of(error))

    def _join(self, batch: RunningBatch, asked: Asked, emit: Emit) -> None:
        opened = ExitStack()

        def ended(error: AmuletError | None) -> None:
            opened.close()
            asked.ended(error)

        try:
            item = self._begin(asked.request, emit, opened)
        except AmuletError as error:
            ended(error)
        else:
            batch.join(replace(item, stopped=asked.is_stopped, ended=ended))
