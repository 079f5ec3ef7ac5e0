"""What a token costs in a long chat, by where the preference stands and whose the cells are.

    python -m benchmarks.long_chats [-m MODEL] [--flash-attention on] [--lengths 1024,8192]

In turn: a plain step, a step of two streams with all of the chat in common ("turn"), and with
nothing ("system") in one pool of cells, in a pool each, and in a context each. Nothing but
llama_decode is timed, on one thread: its processor time, so that other programs on the machine
count little, and the time that passes. What a cell holds does not matter to that, so few tokens are
read and their cells repeated. Medians in milliseconds, in brackets relative to plain: a Markdown
table on standard output. 16,384 tokens take 3 GB of memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial

from amulet_local.path_text import as_text
from amulet_local.runtime.autotune import some_tokens
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import PADDING
from models.lookup import resolve

_READ = 512
_BATCH = 128
ARRANGEMENTS = ("plain", "turn", "system, one pool", "system, a pool each", "a context each")
Streams = list[tuple[Context, list[int]]]  # the sequences of each context that advance


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of a token by the length of the chat")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--lengths", default="1024,4096,8192,16384", help="each 512 times 2^n")
    parser.add_argument("--flash-attention", choices=("on", "off"), default="off")
    parser.add_argument("--repeat", type=int, default=12)
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.lengths.split(",")]
    model = Model(as_text(resolve(arguments.model)))
    context = partial(
        Context, model, batch=_BATCH, threads=1, flash_attention=arguments.flash_attention
    )
    print(f"| tokens | ms (to plain) | {' | '.join(ARRANGEMENTS)} |")
    print("|---" * (len(ARRANGEMENTS) + 2) + "|")
    with closing(model):
        for length in lengths:
            with ExitStack() as owned:
                arrangements = arranged(owned, context, chat(model, context, length), length)
                times = race(arrangements, arguments.repeat)
            for clock, name in enumerate(("CPU", "elapsed")):
                medians = [statistics.median(each[clock] for each in taken) for taken in times]
                cells = " | ".join(f"{1000 * m:.1f} ({m / medians[0]:.2f})" for m in medians)
                print(f"| {length:,} | {name} | {cells} |", flush=True)


def chat(model: Model, context: partial[Context], length: int) -> bytes:
    """The state of a sequence with so many cells: the first few are read, then doubled."""
    with closing(context(length=length + PADDING, sequences=2)) as filled:
        batch = Batch(_BATCH)
        for start in range(0, _READ, _BATCH):
            batch.clear()
            batch.add(some_tokens(model, _BATCH, start), start, 0, outputs=1)
            filled.decode(batch)
        cells = _READ
        while cells < length:
            filled.restore(1, filled.state(0))
            filled.copy(1, 0, _READ)
            filled.remove(1, 0)
            cells *= 2
        return filled.state(0)


def arranged(
    owned: ExitStack, context: partial[Context], state: bytes, length: int
) -> list[Streams]:
    """Streams that hold a chat, in the order of ARRANGEMENTS."""

    def make(cells: int, count: int, apart: bool = False) -> Context:
        return owned.enter_context(closing(context(length=cells, sequences=count, apart=apart)))

    own = length + PADDING
    plain, turn, together = make(own, 1), make(own, 2), make(2 * length + PADDING, 2)
    apart, second = make(2 * own, 2, apart=True), make(own, 1)
    for holder, sequences in ((plain, 1), (turn, 1), (together, 2), (apart, 2), (second, 1)):
        for sequence in range(sequences):
            assert holder.restore(sequence, state)
    turn.copy(0, 1, _READ)
    return [
        [(plain, [0])],
        [(turn, [0, 1])],
        [(together, [0, 1])],
        [(apart, [0, 1])],
        [(plain, [0]), (second, [0])],
    ]


def race(arrangements: Sequence[Streams], repeat: int) -> list[list[tuple[float, float]]]:
    """Seconds of processor time and elapsed of single steps, after one each to warm up."""
    batch = Batch(2)
    times: list[list[tuple[float, float]]] = [[] for _ in arrangements]
    for turn in range(repeat + 1):
        for streams, taken in zip(arrangements, times, strict=True):
            began = time.thread_time(), time.perf_counter()
            for context, sequences in streams:
                batch.clear()
                for sequence in sequences:
                    batch.add([5], _READ, sequence, outputs=1)
                context.decode(batch)
            if turn:
                taken.append((time.thread_time() - began[0], time.perf_counter() - began[1]))
            for context, sequences in streams:
                for sequence in sequences:
                    context.remove(sequence, _READ)
    return times


if __name__ == "__main__":
    main()
