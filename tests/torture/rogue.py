"""An engine that does not keep to the protocol, or has to do with less than it needs.

`be` is called in the process of an engine, before anything else: it speaks to the front end like
one, up to the first request, and then does as its kind does.
"""

from __future__ import annotations

import math
import os
import random
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from amulet_local.protocol.framing import MAX_FRAME, frame_of, read_command, write_frame
from amulet_local.protocol.messages import (
    Candidate,
    Candidates,
    Command,
    Compare,
    Died,
    Event,
    Examined,
    Failed,
    Finished,
    Load,
    Loaded,
    Loading,
    Notice,
    Pace,
    Prefilling,
    Reply,
    Stats,
    Step,
    Unloaded,
)

STATS = Stats(3, 0, 3, 1, 0.1, 0.1, 0.1, 9.0, 4, 1)
CARD = Loaded("m", "m", "llama", 256, 9, 3, 0, "CPU", "one-context", 1, True, True, 0.1)
HUGE = (2**63, 2**64 - 1, -1, -(2**63), 2**31)
ODD = (math.nan, math.inf, -math.inf, 1e308, -1e308, -1.0)


def absurd(chance: random.Random, request: int) -> Event:
    """An event that only its numbers betray."""
    whole, odd, text = chance.choice(HUGE), chance.choice(ODD), "x" * chance.choice((0, 1, 10**6))
    return chance.choice(
        (
            Loading(odd),
            Prefilling(whole, 1),
            Prefilling(1, whole),
            Step(request, whole, text, 1.0),
            Step(request, 5, text, odd),
            Step(request, 5, text, 1.0, odd, True, odd, odd, odd, odd),
            Finished(request, text, (whole,), "stop", STATS),
            Finished(request, text, (), "stop", replace(STATS, tokens=whole)),
            Finished(request, text, (), "stop", replace(STATS, decode_s=odd)),
            Examined(request, whole, whole, ()),
            Pace(odd),
            Failed(text, whole, request),
            Died("not for an engine to say", lighter=True),
        )
    )


def unknown(chance: random.Random, request: int) -> Event:
    """An event as it could be, of something that nobody asked for."""
    other = chance.choice((0, request + 1, 10**6, 2**62))
    candidates = (Candidate(5, "x", 0.5),)
    return chance.choice(
        (
            Loading(chance.random()),
            CARD,
            Prefilling(chance.randrange(9), chance.randrange(9)),
            Step(other, 5, "nobody asked\x1b[4242m", 1.0),
            Finished(other, "nobody asked", (), "length", STATS),
            Examined(other, 7, 9, (Candidates(candidates, candidates, candidates),)),
            Pace(3.0),
            Unloaded(),
            Failed("nobody asked", 2, other),
            Notice("nobody asked\x1b]0;4242\x07"),
        )
    )


def _garbage(chance: random.Random, _request: int) -> Iterator[bytes]:
    yield chance.randbytes(chance.randrange(4, 10_000))


def _oversized(chance: random.Random, _request: int) -> Iterator[bytes]:
    yield struct.pack("<I", MAX_FRAME + chance.randrange(1, 2**31)) + chance.randbytes(100)


def _cut(chance: random.Random, request: int) -> Iterator[bytes]:
    frame = frame_of(Step(request, 5, "a word", 1.0))
    yield frame[: chance.randrange(1, len(frame))]
    sys.exit(0)


def _nested(_chance: random.Random, _request: int) -> Iterator[bytes]:
    body = b"\x82\xa4type\xa6notice\xa4odd " + b"\x91" * 1_000_000 + b"\xc0"
    yield struct.pack("<I", len(body)) + body


def _absurd(chance: random.Random, request: int) -> Iterator[bytes]:
    while True:
        yield frame_of(absurd(chance, request))


def _unknown(chance: random.Random, request: int) -> Iterator[bytes]:
    for _ in range(300):
        yield frame_of(unknown(chance, request))
    sys.exit(0)


def _flood(_chance: random.Random, request: int) -> Iterator[bytes]:
    """As many tokens as the front end takes, each in its place, then a large one."""
    frames = frame_of(Step(request, 65, "", 1.0)) * 1000
    for _ in range(100):
        yield frames
    yield frame_of(Step(request, 65, "x" * 1_000_000, 1.0))
    sys.exit(0)


def _silent(_chance: random.Random, _request: int) -> Iterator[bytes]:
    while True:
        time.sleep(60)
        yield b""


KINDS: dict[str, Callable[[random.Random, int], Iterator[bytes]]] = {
    "garbage": _garbage,
    "oversized": _oversized,
    "cut": _cut,
    "nested": _nested,
    "absurd": _absurd,
    "unknown": _unknown,
    "flood": _flood,
    "silent": _silent,
}
LIMITS = ("memory", "files")


def be(kind: str, seed: int) -> None:
    """Be that engine, until the process ends; or only set the limits of a real one."""
    chance = random.Random(seed)
    if kind == "memory":
        most = chance.randrange(300, 1500) << 20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    elif kind == "files":
        most = chance.randrange(4, 40)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    else:
        _serve(KINDS[kind], chance)
        os._exit(0)


def _serve(
    misbehave: Callable[[random.Random, int], Iterator[bytes]], chance: random.Random
) -> None:
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    while command := read_command(commands):
        if isinstance(command, Load):
            write_frame(events, CARD)
        elif isinstance(command, Reply | Compare):
            for data in misbehave(chance, _id(command)):
                events.write(data)
                events.flush()


def _id(command: Command) -> int:
    return command.replies[0].id if isinstance(command, Compare) else getattr(command, "id", 0)
