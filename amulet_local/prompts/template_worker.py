"""The process in which chat templates are compiled and rendered, and nowhere else.

Requests come in on standard input and answers go out on standard output, as MessagePack in frames;
an empty frame tells that the process is ready. A template may be hostile: this process ends once a
request has had its time of the processor, memory is bounded where the system can do that, and where
the parent is gone, nothing goes on. template_process.py is the parent's side.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from amulet_local.protocol.frames import read_body, write_body
from amulet_local.system.parent_process import end_with

if TYPE_CHECKING:
    from amulet_local.prompts.jinja_templates import CompiledTemplate

MOST_BYTES = 16 << 20  # of a request, or of its answers
MOST_TEXT = 1 << 19  # characters of a prompt, in which contents are a few characters each
MOST_MEMORY = 256 << 20  # bytes, beside what the process has when it is ready
COUNTS_TIME = hasattr(signal, "setitimer")  # the system ends us after our time of the processor
_WORN = MOST_MEMORY // 8  # bytes that may be kept from one request to the next
_LONGEST_REASON = 200
_COMPILED = 8

# invalid: it is no template. failed: it cannot render these messages. memory, long: a bound was
# met. Where it could be compiled or rendered, the text is told.
Outcome = Literal["text", "invalid", "failed", "memory", "long"]


class Rendering(msgspec.Struct, frozen=True):
    """What to render. messages: MessagePack of a list of maps."""

    messages: bytes
    thinking: bool


class Request(msgspec.Struct, frozen=True):
    """A template, and what to render with it, within so many seconds of the processor's time."""

    source: str
    bos_token: str
    eos_token: str
    limit_s: float
    renderings: tuple[Rendering, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What came of one rendering, or of compiling. text: the prompt, or why there is none, as one
    line."""

    outcome: Outcome
    text: str = ""


class Answers(msgspec.Struct, frozen=True):
    """What came of a request: of compiling, then of each rendering.

    spent_s: of the processor's time. worn: this process has kept too much to go on.
    """

    compiled: Answer
    rendered: tuple[Answer, ...] = ()
    spent_s: float = 0.0
    worn: bool = False

    @property
    def memory(self) -> bool:
        """Whether memory ran out."""
        return any(answer.outcome == "memory" for answer in (self.compiled, *self.rendered))


_decoder = msgspec.msgpack.Decoder(Request)


@lru_cache(_COMPILED)
def _compiled(source: str, bos_token: str, eos_token: str) -> CompiledTemplate:
    from amulet_local.prompts.jinja_templates import CompiledTemplate

    return CompiledTemplate(source, bos_token, eos_token)


def answers_to(request: Request) -> Answers:
    """Compile and render, whatever that raises."""
    try:
        template = _compiled(request.source, request.bos_token, request.eos_token)
    except Exception as error:  # whatever untrusted code raises
        return Answers(_failure("invalid", error))
    return Answers(Answer("text"), tuple(_rendered(template, each) for each in request.renderings))


def _rendered(template: CompiledTemplate, rendering: Rendering) -> Answer:
    try:
        messages: list[dict[str, Any]] = msgspec.msgpack.decode(rendering.messages)
        text = template.render(messages, thinking=rendering.thinking)
        text.encode()  # a lone surrogate is no text
    except Exception as error:  # whatever untrusted code raises
        return _failure("failed", error)
    return Answer("text", text) if len(text) <= MOST_TEXT else Answer("long")


def _failure(outcome: Outcome, error: Exception) -> Answer:
    if isinstance(error, MemoryError):
        return Answer("memory")
    if isinstance(error, RecursionError):
        return Answer(outcome, "it is nested too deeply")
    said = str(error)[: 2 * _LONGEST_REASON] or type(error).__name__
    line = " ".join(said.encode("utf-8", "replace").decode().split())
    return Answer(outcome, line[:_LONGEST_REASON])


def _size() -> int:
    """Bytes of address space that this process has; 0 where that is not known."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - the system's, not ours
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _limit_memory(start: int) -> None:
    """Bound the address space, where the system counts it; elsewhere the parent looks after us."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if start:
            most = start + MOST_MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time(limit_s: float, nothing: IO[bytes]) -> None:
    """End this process once it has had its time, even amid one long operation; 0 for never."""
    if COUNTS_TIME:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
    elif limit_s:  # by the clock, a while after the parent would have ended us
        faulthandler.dump_traceback_later(2 * limit_s, exit=True, file=nothing)
    else:
        faulthandler.cancel_dump_traceback_later()


def main() -> None:
    """Answer requests until the pipe closes; then the parent is gone, and so are we: at once, where
    its id is the argument."""
    if sys.argv[1:]:
        end_with(int(sys.argv[1]))
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = open(os.devnull, "r+b")  # noqa: PTH123, SIM115 - a device, as long as we live
    for standard in (0, 1, 2):
        os.dup2(nothing.fileno(), standard)
    if COUNTS_TIME:  # whoever started us may ignore or block it
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    answers_to(Request("", "", "", 0))  # which imports what is needed
    start = _size()
    _limit_memory(start)
    write_body(answers, b"")
    while body := read_body(requests, MOST_BYTES):
        request = _decoder.decode(body)
        before = time.process_time()
        _limit_time(request.limit_s, nothing)
        found = answers_to(request)
        _limit_time(0, nothing)
        spent, worn = time.process_time() - before, _size() > start + _WORN
        found = msgspec.structs.replace(found, spent_s=spent, worn=worn or found.memory)
        write_body(answers, msgspec.msgpack.encode(found))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # the parent is gone
