"""Reads what is being typed before it is sent, so that a reply begins with less to read.

What a prompt will begin with is certain where it is the same with one more word: templates, turns,
and where a preference or wish stands need not be known. That much is evaluated into the streams, a
few rows at a time; the reply's prompt then finds it there. Whatever was never sent is forgotten
before a chat is kept on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import structs

from amulet_local.engine.context_window import ContextWindow
from amulet_local.engine.model_file import ModelFile
from amulet_local.engine.requests import Prompts, checked
from amulet_local.errors import AmuletError
from amulet_local.protocol.messages import ReadAhead
from amulet_local.runtime.llama.errors import AbortedError, NoDeviceMemoryError
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.prefix_tree import common_prefix

_ROWS = 32  # at once: what a newer text has to wait for, and what is lost where a command comes


class Ahead:
    """file, window, vocabulary: of the model that is loaded; the last is its size."""

    def __init__(
        self, lockstep: Lockstep, file: ModelFile, window: ContextWindow, vocabulary: int
    ) -> None:
        self._lockstep, self._file = lockstep, file
        self._window, self._vocabulary = window, vocabulary
        self._sent: dict[int, int] = {}  # tokens of each stream that are of what was sent

    def read(
        self, command: ReadAhead, switch: Callable[[str], None], is_free: Callable[[], bool]
    ) -> None:
        """Read for as long as nothing else is asked for, which is_free tells. switch: has the
        streams hold a chat (see PromptCache).

        Nobody waits for this, so what cannot be read is not, and the log has no word of the text.
        Raises AbortedError, NoDeviceMemoryError.
        """
        if not self._lockstep.can_rewind:  # a word taken back would cost the whole chat
            return

        def go_on() -> None:
            if not is_free():
                raise AbortedError

        try:
            self._file.check()
            beginnings = self._beginnings(command)
            go_on()
            switch(command.request.chat)
            self._lockstep.open(max(beginnings, default=0) + 1)
            self._note_sent(beginnings)
            self._lockstep.read_ahead(beginnings, _ROWS, go_on)
        except (AbortedError, NoDeviceMemoryError):
            raise
        except AmuletError:
            pass  # the reply will say so
        except Exception as error:
            logging.error("while reading ahead: %s", type(error).__name__)  # noqa: TRY400 - a traceback may quote it

    def sent(self) -> None:
        """A message was sent, of which the streams now hold the prompts."""
        self._sent.clear()

    def forget(self) -> None:
        """Have the streams hold what was sent, and no more."""
        for number, length in self._sent.items():
            stream = self._lockstep.all_streams[number]
            stream.cut(min(length, len(stream.tokens)))
        self._sent.clear()

    def _beginnings(self, command: ReadAhead) -> Prompts:
        """What the prompts of all streams will begin with, whatever is typed behind it."""
        request = checked(command.request, self._vocabulary)
        more = (*request.messages[:-1], command.more)
        prompts = self._window.prompts_for(request)
        longer = self._window.prompts_for(structs.replace(request, messages=more))
        certain = {
            stream: prompt[: common_prefix(prompt, longer.get(stream, ()))]
            for stream, prompt in prompts.items()
        }
        return {stream: tokens for stream, tokens in certain.items() if tokens}

    def _note_sent(self, beginnings: Prompts) -> None:
        for number, stream in enumerate(self._lockstep.all_streams):
            held = self._sent.get(number, len(stream.tokens))
            kept = common_prefix(stream.tokens, beginnings.get(number, stream.tokens))
            self._sent[number] = min(held, kept)
