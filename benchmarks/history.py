"""What the store of chats takes when it is full: opening, listing, searching, adding.

    python -m benchmarks.history [--chats 10000] [--messages 20] [--repeat 20]

Builds a store in a temporary folder, of seeded random words that are as frequent as words are, with
measures for every token. Median and worst milliseconds as a Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.provenance import Ending, Origin, TokenMeasures, pack
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Stats, Step

_WORDS = 20_000
_QUESTION, _REPLY = 15, 60  # words
_EVERY_S = 1800.0  # a chat
_STATS = Stats(300, 250, 120, _REPLY, 0.2, 0.25, 2.5, 24.0, 360, 2)
_ORIGIN = Origin(
    model="SmolLM2-135M-Instruct.Q4_1",
    file="/home/someone/.local/share/amulet/models/SmolLM2-135M-Instruct.Q4_1.gguf",
    seed=7,
    system="You are a capable and friendly assistant. " * 4,
    preset="concise",
    alignment=Alignment(preference="Your answer should be concise and to the point. " * 2),
)


class Writer:
    """Texts of made-up words, the n-th of them 1/n times as often as the first."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        lengths = range(2, 10)
        self.words = [
            "".join(self._random.choices(letters, k=self._random.choice(lengths)))
            for _ in range(_WORDS)
        ]
        self._weights = list(accumulate(1 / (place + 1) for place in range(_WORDS)))

    def text(self, words: int) -> str:
        return " ".join(self._random.choices(self.words, cum_weights=self._weights, k=words))


def main() -> None:
    parser = argparse.ArgumentParser(description="Times of a full store of chats")
    parser.add_argument("--chats", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    writer = Writer()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chats.sqlite"
        fill(path, writer, arguments.chats, arguments.messages)
        size = path.stat().st_size / 1e6
        rows = measure(path, writer, arguments.repeat)
    full = f"{arguments.chats:,} chats of {arguments.messages} messages, {size:,.0f} MB"
    print(f"| {full} | ms | at worst |")
    print("|---|---|---|")
    for name, times in rows.items():
        print(f"| {name} | {statistics.median(times):.2f} | {max(times):.2f} |")


def fill(path: Path, writer: Writer, chats: int, messages: int) -> None:
    now = time.time()
    with History(path) as history:
        for number in range(chats):
            if number % 1000 == 0:
                print(f"{number:,} of {chats:,} chats", file=sys.stderr)
            made = now - (chats - number) * _EVERY_S
            nodes = conversation(writer, messages, made)
            history.add_chat(new_chat_id(), nodes[0].message.text[:40], Conversation(nodes), made)


def conversation(writer: Writer, messages: int, made: float) -> list[Node]:
    nodes: list[Node] = []
    for place in range(messages):
        name, parent = new_id(made + place), nodes[-1].id if nodes else None
        if place % 2 == 0:
            text = writer.text(_QUESTION) + "漢字" * (place == 0)
            nodes.append(Node(name, parent, Message("user", text)))
            continue
        text, tokens = writer.text(_REPLY), tuple(range(_REPLY))
        measures = pack(TokenMeasures(len(text) // _REPLY, 3.0, 0.5, False, 2.0) for _ in tokens)
        message = Message("assistant", text, tokens)
        nodes.append(Node(name, parent, message, _ORIGIN, Ending("stop", _STATS), measures))
    return nodes


def measure(path: Path, writer: Writer, repeat: int) -> dict[str, list[float]]:
    def opened() -> None:
        History(path).close()

    rows = {"open": times_ms(opened, repeat)}
    with History(path) as history:
        rows["first page of 50 chats"] = times_ms(history.chats, repeat)
        page = history.chats()
        rows["next page"] = times_ms(lambda: history.chats(after=page[-1]), repeat)
        rows["open a chat"] = times_ms(lambda: Chat(history, page[7].id), repeat)
        frequent = " ".join(writer.words[:6])
        for name, query in {
            "search the most frequent word": writer.words[0] + " ",
            "search a rare word": writer.words[-1] + " ",
            "search three words": " ".join(writer.words[5:300:100]) + " ",
            "search the beginning of a word": writer.words[40][:2],
            "search a phrase": f'"{writer.words[0]} {writer.words[1]}"',
            "search six frequent words in an order that nobody said": f'"{frequent}"',
            "search in a script without spaces": "漢字",
        }.items():
            rows[name] = times_ms(partial(history.search, query), repeat)
        rows |= appending(history, repeat)
    return rows


def appending(history: History, repeat: int) -> dict[str, list[float]]:
    """A question, and a reply of 4,000 tokens that is saved as it grows."""
    chat, now = Chat(history), 0.0
    asked = times_ms(lambda: chat.ask("What makes a good walking holiday?"), repeat)
    reply = chat.reply(chat.ask("And then?").id, _ORIGIN, clock=lambda: now)
    saved = []
    for token in range(4000):
        reply.add(Step(1, token, "word ", 3.0, 0.5, False, 2.0, -1.0, -2.0, -3.0))
        if token % 10 == 9:
            now += 1
            saved += times_ms(reply.save, 1)
    return {
        "add a question": asked,
        "save a growing reply, its first 1,000 tokens": saved[:100],
        "save a growing reply, tokens 3,000 to 4,000": saved[300:],
        "end that reply": times_ms(reply.break_off, 1),
    }


def times_ms(work: Callable[[], object], repeat: int) -> list[float]:
    """Durations of `work` in milliseconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return times


if __name__ == "__main__":
    main()
