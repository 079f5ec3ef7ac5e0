"""What the screen costs: CPU time per streamed token in chats of several lengths, and idle.

    python -m benchmarks.screen [--tokens 1000 4000 10000] [--reply 400] [--rate 60]

The real app in a terminal of its own, on a store with one chat of so many tokens; an engine that
needs no model streams the reply, at the rate of tokens a second of a fast laptop, so that all CPU
time is the app's. Besides chats of short messages, one long reply and one long code block are
measured at their beginning and at their end. A Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.engine.events import Events
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message, Role
from amulet_local.protocol.messages import (
    Finished,
    Loaded,
    Reply,
    Stats,
    Step,
    UsedStrength,
)
from amulet_local.settings import Settings
from amulet_local.system.child_processes import environment, python

_SIZE = (40, 120)
_ROLES: tuple[Role, ...] = ("user", "assistant")
_IDLE_S = 8.0
_SETTLE_S = 2.0
_TEXT = (
    "the ferry leaves at seven and the **captain** keeps close to the `shore` when wind is strong "
    "so bring a warm coat and something to read on the way to the old lighthouse by the beach"
)
_WORDS = _TEXT.split()
_CODE = "    total = sum(value * weight for value, weight in zip(values, weights))\n"
_STATS = Stats(30, 0, 60, 1, 0.1, 0.12, 1.0, 60.0, 31, 2)
_LOADED = Loaded(
    model="none",
    description="streams words",
    architecture="llama",
    context=32768,
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


class Words:
    """An engine that says words at a rate. See EngineHandle."""

    def __init__(self, pieces: list[str], rate: float) -> None:
        self.events = Events()
        self.begun = self.ended = 0.0
        self.done = threading.Event()
        self._pieces, self._rate = pieces, rate

    def load(self, model: str, options: LoadOptions) -> None:
        self.events.put(_LOADED)

    def reply(self, request: Reply) -> None:
        threading.Thread(target=self._say, args=(request,), daemon=True).start()

    def _say(self, request: Reply) -> None:
        due = 0.0
        for number, piece in enumerate(self._pieces):
            if number == 1:  # the first may hold all that came before
                time.sleep(_SETTLE_S)
                self.begun, due = time.process_time(), time.monotonic()
            self.events.put(Step(request.id, number, piece, request.alignment.strength))
            if number:
                due += 1 / self._rate
                time.sleep(max(0.0, due - time.monotonic()))
        self.ended = time.process_time()
        ids = tuple(range(len(self._pieces)))
        self.events.put(Finished(request.id, "".join(self._pieces), ids, "stop", _STATS))
        self.done.set()

    def read_ahead(self, request: Reply, more: Message) -> None: ...

    def steer(self, request: int, strengths: tuple[float | None, ...]) -> None: ...

    def compare(self, replies: tuple[Reply, ...]) -> None: ...

    def examine(self, request: Reply, strengths: tuple[UsedStrength, ...]) -> None: ...

    def stop(self, request: int | None = None) -> None: ...

    def trouble(self) -> str:
        return ""

    def restart(self) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of the screen")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1000, 4000, 10000])
    parser.add_argument("--reply", type=int, default=400, help="tokens streamed")
    parser.add_argument("--rate", type=float, default=60.0, help="tokens a second")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run(json.loads(args.run))
        return
    words = [f"{_WORDS[i % len(_WORDS)]} " + "\n\n" * (i % 97 == 96) for i in range(4000)]
    code = ["```python\n", *(part for _ in range(400) for part in _split(_CODE))]
    line = len(_split(_CODE))
    groups = [
        [(f"prose in a chat of {n:,} tokens", n, words[: args.reply]) for n in args.tokens],
        [
            ("words 400 to 800 of a reply", 0, _from(words, 400, 400)),
            ("words 3,600 to 4,000", 0, _from(words, 3600, 400)),
        ],
        [
            ("lines 40 to 80 of a code block", 0, _from(code, 40 * line, 40 * line)),
            ("lines 360 to 400", 0, _from(code, 360 * line, 40 * line)),
        ],
    ]
    print("| what is streamed | CPU ms a token | of the first of its kind | idle CPU |")
    print("|---|---|---|---|")
    for group in groups:
        first = 0.0
        for name, tokens, pieces in group:
            ms, idle = measured({"tokens": tokens, "pieces": pieces, "rate": args.rate})
            first = first or ms
            print(f"| {name} | {ms:.2f} | {ms / first:.2f} | {idle:.2%} |", flush=True)


def _from(pieces: list[str], start: int, number: int) -> list[str]:
    """So many pieces from a place on; the first has all that came before."""
    return ["".join(pieces[: start + 1]), *pieces[start + 1 : start + number]]


def _split(line: str) -> list[str]:
    return [line[i : i + 5] for i in range(0, len(line), 5)]


def measured(case: dict[str, object]) -> tuple[float, float]:
    """ms of CPU a token, and the share of one core when nothing happens."""
    with tempfile.TemporaryDirectory() as home:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, _SIZE)
        out = Path(home, "result.json")
        app = subprocess.Popen(
            python("-m", "benchmarks.screen", "--run", json.dumps(case)),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment() | {"TERM": "xterm-256color", "AMULET_HOME": home, "RESULT": str(out)},
            start_new_session=True,
        )
        os.close(slave)
        threading.Thread(target=_read_all, args=(master,), daemon=True).start()
        app.wait()
        result = json.loads(out.read_text())
        return result["ms"], result["idle"]


def _read_all(master: int) -> None:
    try:
        while os.read(master, 1 << 16):
            pass
    except OSError:
        return


def run(case: dict[str, object]) -> None:
    """The app, in the terminal that it finds itself in."""
    from tui.app import AmuletApp
    from tui.screens import chat_actions
    from tui.screens.chat import ChatScreen
    from tui.session.changes import ChosenModel
    from tui.session.model_store import ModelStore
    from tui.session.session import Session
    from tui.session.steering import SteeringChoice

    pieces = case["pieces"]
    assert isinstance(pieces, list)
    engine = Words(pieces, float(str(case["rate"])))
    model = ChosenModel(Path("none"), "none", "Q4_1")
    with History(history_file()) as history:
        session = Session(engine, history, Settings(), LoadOptions(), SteeringChoice())
        chat = _chat(history, int(str(case["tokens"])))
        app = AmuletApp(session, engine, ModelStore(lambda name: model, lambda: True, _no_fetch))

        async def drive() -> None:
            screen = app.screen_stack[0]
            assert isinstance(screen, ChatScreen)
            await asyncio.sleep(1)
            if chat:
                chat_actions.open_chat(screen, chat)
            await asyncio.sleep(_SETTLE_S)
            screen.show(session.ask("Go on."))
            while not engine.done.is_set():
                await asyncio.sleep(0.2)
            await asyncio.sleep(_SETTLE_S)
            began = time.process_time()
            await asyncio.sleep(_IDLE_S)
            idle = (time.process_time() - began) / _IDLE_S
            ms = (engine.ended - engine.begun) / (len(pieces) - 1) * 1000
            Path(os.environ["RESULT"]).write_text(json.dumps({"ms": ms, "idle": idle}))
            app.exit()

        app.call_later(app.run_worker, drive())
        app.run()


def _no_fetch(*_: object) -> Path:
    raise AssertionError


def _chat(history: History, tokens: int) -> str:
    """A stored chat of about so many tokens, in short messages."""
    if not tokens:
        return ""
    texts = [
        " ".join(_WORDS[:20]),
        "\n\n".join([" ".join(_WORDS), "- one\n- two\n- three", f"```python\n{_CODE * 3}```"]),
    ]
    nodes: list[Node] = []
    length = 0
    while length < tokens:
        for role, text in zip(_ROLES, texts, strict=True):
            parent = nodes[-1].id if nodes else None
            nodes.append(Node(new_id(), parent, Message(role, text)))
            length += len(text) // 4
    name = new_chat_id()
    history.add_chat(name, "Long", Conversation(nodes), time.time())
    return name


if __name__ == "__main__":
    main()
