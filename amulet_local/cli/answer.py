"""The answer to one request: the engine's events, followed to the end of the reply and shown.

Text goes to standard output as it comes, where that is wanted; progress and notices go to standard
error. A first Ctrl+C stops the engine, and the reply ends in good order.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from msgspec import structs

from amulet_local.cli.output import StatusLine, say, write
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError, EngineDiedError
from amulet_local.prompts.reasoning import CANNOT
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    Loading,
    Notice,
    Prefilling,
    Reply,
    Step,
)

_HEARING_S = 0.25  # a wait without end would not hear Ctrl+C on Windows
_ONLY_THOUGHT = (
    "thinking used up all the tokens allowed for a reply; allow more with --max-tokens, or "
    "answer without it: --no-thinking"
)


class _EngineError(AmuletError):
    """What the engine could not do, with the exit code that it means."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.text)
        self.exit_code = failed.exit_code


@dataclass
class Answer:
    """A reply as it grows. With show_text it is written to standard output piece by piece.
    to_think: whether it was told to begin with a thought. model: what to call it; the engine knows
    a name where there is none. steps, finished: of the whole reply, whichever engines wrote it; but
    for the number of tokens, the stats are the last engine's."""

    show_text: bool
    to_think: bool
    model: str
    steps: list[Step] = field(default_factory=list)
    finished: Finished = field(init=False)
    _text: str = ""  # as the steps told it
    _begun: Message | None = None  # what the engine at work goes on from
    _written: str = ""
    _notices: list[str] = field(default_factory=list)
    _status: StatusLine = field(default_factory=StatusLine)

    def add(self, event: Event) -> None:
        """Take in, and show, what happened."""
        match event:
            case Loading():
                self._show_status(f"Loading the model: {event.fraction:.0%}")
            case Prefilling():
                self._show_status(f"Reading the prompt: {event.done / max(event.total, 1):.0%}")
            case Loaded():
                self.model = self.model or event.model
                if self.to_think and not event.thinks:
                    self._notices.append(f"{self.model} {CANNOT}")
            case Notice() | Died():
                self._notices.append(event.text)
                if not self._written:
                    self._tell()
            case Step():
                self.steps.append(event)
                self._text += event.text
                if event.thought:
                    self._show_status(f"Thinking: {len(self.steps):,} tokens")
                self._write(event.text)
            case Finished():
                self.finished = whole = self._whole(event)
                if whole.reason == "length" and whole.thought and not whole.text:
                    self._notices.append(_ONLY_THOUGHT)
                self._write(whole.text[len(self._text) :])

    def rest_of(self, request: Reply) -> Reply:
        """The same request, to go on from what was written so far.

        Token ids are handed on unless there was a thought: where the answer begins behind one, the
        engine tells at the end. What was not certain to be answer or thought is written anew.
        """
        if not self._text:
            self.steps.clear()
            self._begun = None
        elif self._thought():
            while not self.steps[-1].text:
                self.steps.pop()
            self._begun = Message("assistant", self._text)
        else:
            token_ids = tuple(step.token for step in self.steps)
            self._begun = Message("assistant", self._text, token_ids)
        left = max(1, request.max_tokens - len(self.steps))
        return structs.replace(request, begun=self._begun, max_tokens=left)

    def _thought(self) -> str:
        return "".join(step.thought for step in self.steps)

    def _whole(self, finished: Finished) -> Finished:
        """The end of a reply with what the engine went on from."""
        if not self._begun:
            return finished
        tokens = len(self.steps)
        return structs.replace(
            finished,
            text=self._begun.text + finished.text,
            token_ids=(self._begun.token_ids or finished.begun_ids) + finished.token_ids,
            thought=self._thought(),
            stats=structs.replace(finished.stats, tokens=tokens),
        )

    def warn(self, trouble: str) -> None:
        """Tell at once that the engine seems stuck, even in the middle of the text."""
        self._status.clear()
        say(f"{trouble} Press Ctrl+C twice to give up, or wait.")

    def close(self) -> None:
        """End the line, and tell what would have been in the way of the text."""
        self._status.clear()
        if self._written and not self._written.endswith("\n"):
            write("\n")
        self._tell()

    def _write(self, text: str) -> None:
        if self.show_text and text:
            self._status.clear()
            write(text)
            self._written += text

    def _show_status(self, text: str) -> None:
        if not self._written:  # else it would wipe the line that is being written
            self._status.show(text)

    def _tell(self) -> None:
        self._status.clear()
        while self._notices:
            say(self._notices.pop(0))


def follow(
    engine: EngineHandle, request: Reply, model: str, *, show_text: bool, to_think: bool
) -> Answer:
    """Send the request and follow it to its end, showing what happens."""
    answer = Answer(show_text, to_think, model)
    engine.reply(request)
    try:
        with _stopped_by_interrupt(engine):
            for event in _events(engine, answer.warn):
                answer.add(event)
                if isinstance(event, Died):  # of what the next engine is spared
                    engine.reply(answer.rest_of(request))
    finally:
        answer.close()
    return answer


@contextmanager
def _stopped_by_interrupt(engine: EngineHandle) -> Iterator[None]:
    """A first Ctrl+C stops the engine, whose reply then ends in good order; a second is as ever.

    Where Ctrl+C is ignored, as in a shell's background jobs, it stays so.
    """
    usual = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        engine.stop()

    if usual is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _events(engine: EngineHandle, warn: Callable[[str], None]) -> Iterator[Event]:
    """Events to the end of the reply. warn: hears, once, why the engine seems stuck.

    Raises AmuletError where the engine fails, EngineDiedError where it dies.
    """
    warned = False
    while True:
        try:
            event = engine.events.get(timeout=_HEARING_S)
        except queue.Empty:
            trouble = engine.trouble()
            if trouble and not warned:
                warn(trouble)
            warned = bool(trouble)
            continue
        if isinstance(event, Failed):
            raise _EngineError(event)
        if isinstance(event, Died) and not event.lighter:
            raise EngineDiedError(event.text)
        yield event
        if isinstance(event, Finished):
            return
