"""How soon a reply begins once its message is sent, with and without reading it while it is typed.

    python -m benchmarks.ahead [-m MODEL] [--repeat 3] [--words-per-minute 60] [--pause-every 5]
                               [--chat-tokens 1000]

The next turn of a chat: 60 words typed at an even pace, with a pause long enough to
be read ahead behind every few of them. Plain chats and realigned ones, with the preference in the
system prompt and in the newest message, take turns. From Enter to the first token: seconds, the
engine's CPU seconds, and the rows that were evaluated, which do not depend on what else the machine
does; medians. A Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field

import psutil
from msgspec import structs

from amulet_local.engine.client import EngineProcess
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Placement, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Loaded, Reply, Step
from models.lookup import resolve
from tui.widgets.prompt import PAUSE_S

_PREFERENCE = "Your answer should be concise as much as possible."
_TURN = (
    "Tell me more about how people in small harbour towns spend the long evenings of autumn, and "
    "what they cook, what they read to each other, and which of their boats they mend. "
)
_TOKENS_A_TURN = 45  # of both messages, about
_TYPED = (
    "I would like to plan a week by the sea in late autumn with two friends who do not walk far, "
    "and who would rather read in a warm kitchen than stand in the rain on a pier. Where should we "
    "go, what should we bring, and what could we cook in the evenings with what the shops there "
    "sell?"
)


@dataclass
class Arm:
    """One way to chat, and what was measured of it."""

    name: str
    alignment: Alignment
    ahead: bool
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)

    @property
    def measured(self) -> tuple[list[float], list[float], list[float]]:
        """All three."""
        return self.seconds, self.cpu_s, self.rows


def steered(placement: Placement) -> Alignment:
    return Alignment(
        preference=_PREFERENCE, strength=3.0, placement=placement, sampling=Sampling(temperature=0)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading a message while it is typed")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--words-per-minute", type=float, default=60.0)
    parser.add_argument("--pause-every", type=int, default=5, help="words")
    parser.add_argument("--chat-tokens", type=int, default=1000)
    arguments = parser.parse_args()
    plain = Alignment(method="base", sampling=Sampling(temperature=0))
    arms = [Arm("plain", plain, ahead=False)]
    for placement in ("system", "turn"):
        for ahead in (False, True):
            name = f"realigned, {placement} placement{', read ahead' * ahead}"
            arms.append(Arm(name, steered(placement), ahead))
    with closing(EngineProcess()) as engine:
        engine.load(str(resolve(arguments.model)), LoadOptions(context=2048))
        until(engine, Loaded)
        for turn in range(arguments.repeat + 1):
            for number, arm in enumerate(arms):
                chat = f"{turn}.{number}"  # so that none finds what another has read
                said = chat_of(arguments.chat_tokens, chat)
                word_s = 60 / arguments.words_per_minute
                measured = first_token(engine, arm, said, word_s, arguments.pause_every)
                if turn:  # the first is to warm up
                    for record, value in zip(arm.measured, measured, strict=True):
                        record.append(value)
    plain_s, plain_cpu_s, _ = map(statistics.median, arms[0].measured)
    print("| next turn, 60 words | first token, s | / plain | CPU, s | / plain | rows |")
    print("|---" * 6 + "|")
    for arm in arms:
        seconds, cpu_s, rows = map(statistics.median, arm.measured)
        print(
            f"| {arm.name} | {seconds:.2f} | {seconds / plain_s:.2f} | {cpu_s:.2f} "
            f"| {cpu_s / plain_cpu_s:.2f} | {rows:.0f} |"
        )


def chat_of(tokens: int, name: str) -> tuple[Message, ...]:
    """A chat of about so many tokens that ends with a question; each message has the name in it."""
    return tuple(
        Message("assistant" if number % 2 else "user", f"{name} {number}: {_TURN}")
        for number in range(tokens // _TOKENS_A_TURN // 2 * 2 + 1)
    )


def first_token(
    engine: EngineProcess,
    arm: Arm,
    messages: tuple[Message, ...],
    word_s: float,
    pause_every: int,
) -> tuple[float, float, int]:
    """Seconds and CPU seconds from Enter to the first token of a next turn, and the rows that were
    read in them."""
    request = Reply(1, messages, 1, DEFAULT_SYSTEM, arm.alignment, max_tokens=16)
    engine.reply(request)
    written = until(engine, Finished)[1]
    assert isinstance(written, Finished)
    said = (*messages, Message("assistant", written.text, written.token_ids))
    words = _TYPED.split()
    if arm.ahead:
        for end in range(1, len(words)):
            time.sleep(word_s)
            if end % pause_every == 0:
                typed, more = (" ".join(words[: end - last]) for last in (1, 0))
                time.sleep(PAUSE_S)
                ahead = (*said, Message("user", typed))
                engine.read_ahead(structs.replace(request, messages=ahead), Message("user", more))
    asked = structs.replace(request, messages=(*said, Message("user", _TYPED)), max_tokens=2)
    began, cpu_s = time.perf_counter(), cpu_seconds(engine)
    engine.reply(asked)
    seconds = until(engine, Step)[0] - began
    cpu_s = cpu_seconds(engine) - cpu_s
    finished = until(engine, Finished)[1]
    assert isinstance(finished, Finished)
    return seconds, cpu_s, finished.stats.evaluated_tokens


def cpu_seconds(engine: EngineProcess) -> float:
    """What the engine's process has used so far."""
    times = psutil.Process(engine.pid).cpu_times()
    return times.user + times.system


def until(engine: EngineProcess, kind: type[Loaded | Step | Finished]) -> tuple[float, object]:
    """When the next event of a kind came, and the event."""
    while not isinstance(event := engine.events.get(), kind):
        assert not isinstance(event, Died | Failed), event
    return time.perf_counter(), event


if __name__ == "__main__":
    main()
