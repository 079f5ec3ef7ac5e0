"""Amulet as a library: a loaded model, and replies as iterators of text.

`load` starts an engine process, as the chat does, so that neither a native crash nor llama.cpp's
log touches the program that calls. What is public here is what `amulet_local` offers.
"""

from __future__ import annotations

import queue
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from amulet_local.engine.client import EngineProcess
from amulet_local.errors import AmuletError, EngineDiedError, NotUsableError, UsageError
from amulet_local.path_text import as_text
from amulet_local.presets.preset import USUAL_STRENGTH
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import USUAL_GUARD, Alignment, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message, wishing
from amulet_local.protocol.messages import Died, Event, Failed, Finished, Loaded, Reply, Step
from amulet_local.system.text_files import decoder_reason

T = TypeVar("T", Reply, LoadOptions)

_ERRORS = {error.exit_code: error for error in (UsageError, NotUsableError, EngineDiedError)}


def load(path: str | Path, options: LoadOptions | None = None) -> LoadedModel:
    """Load a GGUF file, and wait until it can reply; close what is returned.

    options: context, threads, layers on a GPU and the like. Raises NotUsableError where the file
    is missing or is no model, UsageError for options that do not go together, and EngineDiedError.
    """
    return LoadedModel(path, options or LoadOptions())


class LoadedModel:
    """A model in an engine process of its own, for one thread; a context manager that closes it.

    card: what was loaded, and how. finished: the end of the last reply (its whole text, token ids,
    why it ended, what it cost); None before there is one.
    """

    card: Loaded

    def __init__(self, path: str | Path, options: LoadOptions) -> None:
        self.finished: Finished | None = None
        self._request = 0
        self._replying = False
        self._engine = EngineProcess()
        try:
            self._engine.load(as_text(Path(path).absolute()), _checked(options))
            self.card = self._loaded()
        except BaseException:
            self._engine.close()
            raise

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and free its memory, in less than two and a half seconds."""
        self._engine.close()

    def reply(
        self,
        question: str | Sequence[Message],
        preference: str = "",
        strength: float = USUAL_STRENGTH,
        *,
        wish: str = "",
        guard: float = USUAL_GUARD,
        system: str = DEFAULT_SYSTEM,
        sampling: Sampling | None = None,
        seed: int | None = None,
        max_tokens: int = 2048,
        stop: Sequence[str] = (),
    ) -> Iterator[str]:
        """The reply, piece by piece, as it is written. Leaving the iterator early stops it.

        question: a text, or a chat that ends with one. preference: in words, such as "Be concise.";
        empty for none. strength: 0 ignores it, 1 is what prompting does, more goes further, below
        0 away from it. wish: what this reply alone should be like, in words; followed like the
        preference, and beside it. guard: 0..1, the plausibility floor; 0 for none. seed: the same
        one gives the same reply to the same request on the same machine; by chance where there is
        none. Raises UsageError, also while another reply of this model is not read to its end, and
        EngineDiedError; the next reply then loads the model once more.
        """
        if self._replying:
            raise UsageError("read the reply that is being written to its end first, or close it.")
        chat = (Message("user", question),) if isinstance(question, str) else tuple(question)
        chat = wishing(chat, wish) if wish else chat
        self._request += 1
        request = _checked(
            Reply(
                id=self._request,
                messages=chat,
                seed=secrets.randbits(31) if seed is None else seed,
                system=system,
                alignment=Alignment(
                    preference=preference,
                    strength=strength,
                    guard=guard,
                    sampling=sampling or Sampling(),
                ),
                max_tokens=max_tokens,
                stop=tuple(stop),
            )
        )
        self._replying = True
        self._forget()
        self._engine.reply(request)
        told = 0
        try:
            for event in self._events():
                match event:
                    case Step(text=text) if text:
                        told += len(text)
                        yield text
                    case Finished(text=text) if text[told:]:
                        yield text[told:]
        except (GeneratorExit, KeyboardInterrupt):
            self._engine.stop()
            with suppress(AmuletError):
                for _ in self._events():  # so that the next reply begins with its own
                    pass
            raise
        finally:
            self._replying = False

    def _forget(self) -> None:
        """Drop what came between replies, such as that the engine died: another one is started."""
        with suppress(queue.Empty):
            while True:
                self._engine.events.get_nowait()

    def _events(self) -> Iterator[Event]:
        """Events to the end of the reply."""
        while True:
            event = self._next()
            if isinstance(event, Step | Finished) and event.id != self._request:
                continue  # of a reply that its reader gave up when the engine seemed dead
            if isinstance(event, Finished):
                self.finished = event
            yield event
            if isinstance(event, Finished):
                return

    def _loaded(self) -> Loaded:
        while not isinstance(event := self._next(), Loaded):
            pass
        return event

    def _next(self) -> Event:
        event = self._engine.events.get()
        if isinstance(event, Failed):
            raise _ERRORS.get(event.exit_code, AmuletError)(event.text)
        if isinstance(event, Died):
            raise EngineDiedError(event.text)
        return event


def _checked(request: T) -> T:
    """The same, with the bounds of its numbers checked. Raises UsageError, with the field."""
    try:
        return msgspec.convert(msgspec.to_builtins(request), type(request))
    except msgspec.ValidationError as error:
        raise UsageError(f"{decoder_reason(error)}.") from None
