"""An engine that plays scripts: it stands in for the real one in tests of screen and command line.

A script is what happens during one load or one reply, item by item:

    "text"      a step that adds this text
    Measured(…) the same, with what realignment did to it
    Thinks(…)   a step of a thought before the text, or of its marks, where it has no text
    an event    is put as it is; a Failed or Died ends the script
    0.2         a pause of so many seconds
    HOLD        a pause until the test calls `go_on` (or somebody stops the engine)

A reply that comes to its end is Finished, a load is Loaded. Without pauses all events are there
when `load` and `reply` return, in order, so a test that reads them never waits. What is asked of
the engine is recorded: `loads`, `requests`, `read` (ahead), `turns`, `examined`, `stops`, `closed`.
Replies that are compared play their scripts one after the other.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from msgspec import structs

from amulet_local.engine.events import Events
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Candidate,
    Candidates,
    Died,
    Event,
    Examined,
    Failed,
    Finished,
    FinishReason,
    Loaded,
    Loading,
    Prefilling,
    Reply,
    Stats,
    Step,
    UsedStrength,
)


class Hold(Enum):
    """The type of HOLD."""

    HOLD = "hold"


@dataclass(frozen=True)
class Measured:
    """A step's text and measures."""

    text: str
    shift: float = 0.0
    flip: bool = False
    flip_strength: float = math.inf
    logp: tuple[float, float, float] = (-2.0, -1.0, -0.5)
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Thinks:
    """A step's part of a thought."""

    text: str


HOLD: Final = Hold.HOLD
Item = str | float | Event | Hold | Measured | Thinks
Script = Sequence[Item]

LOADED = Loaded(
    model="SmolLM2-135M-Instruct.Q4_1",
    description="llama 135M Q4_1",
    architecture="llama",
    context=2048,
    vocabulary=49152,
    layers=31,
    gpu_layers=0,
    devices="CPU",
    streams="one-context",
    threads=2,
    can_rewind=True,
    template=True,
    load_s=0.5,
)
LOADING: Script = (Loading(0.0), Loading(0.43), Loading(1.0))
REPLY: Script = (Prefilling(0, 60), Prefilling(60, 60), "Take ", "the ", "coast ", "path.")

CANDIDATES = Candidates(
    base=(Candidate(100, "Take ", 0.6), Candidate(200, "Well, ", 0.2)),
    pref=(Candidate(100, "Take ", 0.5), Candidate(300, "Walk ", 0.4)),
    realigned=(Candidate(300, "Walk ", 0.7), Candidate(100, "Take ", 0.3)),
)

_FIRST_TOKEN = 100
_FIRST_OF_BEGUN = 900  # where a reply begins with words that came without tokens: one a word


def everywhere(request: Reply) -> Iterator[Event]:
    """The same candidates at every place of a reply."""
    total = len(request.begun.token_ids) if request.begun else 0
    yield Examined(request.id, 0, total, (CANDIDATES,) * total)


class FakeEngine:
    """See EngineHandle. One script a reply, in order; when they are used up, each plays REPLY."""

    def __init__(self, *replies: Script, loading: Script = LOADING, loaded: Loaded = LOADED):
        self.events = Events()
        self.loads: list[tuple[str, LoadOptions]] = []
        self.requests: list[Reply] = []
        self.read: list[tuple[Message, Message]] = []
        self.turns: list[tuple[int, tuple[float | None, ...]]] = []
        self.examined: list[tuple[Reply, tuple[UsedStrength, ...]]] = []
        self.examining: Callable[[Reply], Iterable[Event]] = everywhere
        self.stops = 0
        self.closed = False
        self.alive = True
        self.in_trouble = ""
        self.loading = loading
        self._loaded = loaded
        self._replies = deque(replies)
        self._jobs: deque[_Job] = deque()
        self._pause: threading.Timer | None = None
        self._lock = threading.RLock()

    def load(self, model: str, options: LoadOptions) -> None:
        self.loads.append((model, options))
        self.alive = True
        self._begin(_Job(self.loading, None))

    def reply(self, request: Reply) -> None:
        self.requests.append(request)
        if not self.alive:
            self.load(*self.loads[-1])
        self._begin(_Job(self._replies.popleft() if self._replies else REPLY, request))

    def read_ahead(self, request: Reply, more: Message) -> None:
        self.read.append((request.messages[-1], more))

    def steer(self, request: int, strengths: tuple[float | None, ...]) -> None:
        self.turns.append((request, strengths))

    def compare(self, replies: tuple[Reply, ...]) -> None:
        for request in replies:
            self.reply(request)

    def examine(self, request: Reply, strengths: tuple[UsedStrength, ...]) -> None:
        self.examined.append((request, strengths))
        for event in self.examining(request):
            self.events.put(event)

    def stop(self, request: int | None = None) -> None:
        with self._lock:
            self.stops += 1
            jobs, self._jobs = self._jobs, deque()
            self._cancel_pause()
            for job in jobs:
                self._end(job, "cancelled")

    def trouble(self) -> str:
        return self.in_trouble

    def restart(self) -> None:
        with self._lock:
            self.in_trouble = ""
            self.alive = False
            self._jobs.clear()
            self._cancel_pause()
            self.events.put(Died("The engine was stopped.", asked=True))

    def close(self) -> None:
        with self._lock:
            self.closed = True
            self._jobs.clear()
            self._cancel_pause()

    def go_on(self) -> None:
        """Play on after a HOLD (or cut a pause short)."""
        with self._lock:
            self._cancel_pause()
            self._play()

    # -- playing ------------------------------------------------------------------------------

    def _begin(self, job: _Job) -> None:
        with self._lock:
            self._jobs.append(job)
            if len(self._jobs) == 1:
                self._play()

    def _play(self) -> None:
        """Play jobs until one pauses."""
        while self._jobs:
            job = self._jobs[0]
            for item in job.items:
                match item:
                    case Hold():
                        return
                    case float():
                        self._pause = threading.Timer(item, self.go_on)
                        self._pause.daemon = True
                        self._pause.start()
                        return
                    case str() | Measured() | Thinks():
                        self.events.put(job.step(item))
                    case Died():
                        self.alive = False
                        self._jobs.clear()
                        self.events.put(item)
                        return
                    case Failed():
                        self.events.put(item)
                        break
                    case _:
                        self.events.put(item)
            else:
                self._end(job, "stop")
            self._jobs.popleft()

    def _end(self, job: _Job, reason: FinishReason) -> None:
        if job.request:
            self.events.put(job.finished(job.request, reason))
        elif reason == "cancelled":
            self.events.put(Failed("loading was stopped.", 130))
        else:
            self.events.put(self._loaded)

    def _cancel_pause(self) -> None:
        if self._pause:
            self._pause.cancel()
            self._pause = None


class _Job:
    """A load (without a request) or a reply under way."""

    def __init__(self, script: Script, request: Reply | None) -> None:
        self.request = request
        self.items: Iterator[Item] = iter(script)
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    def step(self, item: str | Measured | Thinks) -> Step:
        assert self.request is not None, "a load writes no text"
        token = _FIRST_TOKEN + len(self._texts) + len(self._thoughts)
        if isinstance(item, Thinks):
            self._thoughts.append(item.text)
            return Step(
                self.request.id, token, "", self.request.alignment.strength, thought=item.text
            )
        self._texts.append(item if isinstance(item, str) else item.text)
        step = Step(self.request.id, token, self._texts[-1], self.request.alignment.strength)
        if isinstance(item, str):
            return step
        measures = (item.shift, item.flip, item.flip_strength, *item.logp)
        faders = self.request.alignment.mix
        strengths = tuple(0.0 if fader.muted else fader.strength for fader in faders)
        step = Step(step.id, token, step.text, step.strength, *measures)
        return structs.replace(step, strengths=strengths, shares=item.shares) if faders else step

    def finished(self, request: Reply, reason: FinishReason) -> Finished:
        before = len(self._thoughts)
        tokens = before + len(self._texts)
        stats = Stats(
            prompt_tokens=30,
            cached_tokens=0,
            evaluated_tokens=60,
            tokens=tokens,
            prefill_s=0.1,
            first_token_s=0.12,
            decode_s=tokens / 25,
            tokens_per_s=25.0 if tokens else 0.0,
            context_tokens=30 + tokens,
            streams=2 if request.steered else 1,
            blocks=tokens,
            thought_tokens=before,
            thought_s=before / 25,
        )
        token_ids = tuple(range(_FIRST_TOKEN + before, _FIRST_TOKEN + tokens))
        text, thought = "".join(self._texts), "".join(self._thoughts)
        begun = request.begun
        words = begun.text.split() if begun and not begun.token_ids else []
        read_as = tuple(range(_FIRST_OF_BEGUN, _FIRST_OF_BEGUN + len(words)))
        return Finished(request.id, text, token_ids, reason, stats, thought, read_as)
