"""Two hours of somebody who chats in the real app: presets are switched, strengths turned, replies
stopped, edited, asked for again, compared and looked into, chats outgrow the context and go.

After a warm-up, neither the app nor its engine may grow: the median memory, descriptors and threads
of the last quarter are compared with those of the first. The warm-up begins with every act in a
chat that fills its context and has as many messages as the screen ever holds, with all the presets
in the mix, so that what is in use at once at most has been there, and what comes on top is kept for
nothing. The last reply is a fresh engine's, token by token: a greedy one, since a prompt that is
read in other pieces rounds otherwise, by which one reply of 300 drawn tokens in a dozen differs.

TORTURE_MINUTES makes it shorter; what was measured after each act is kept in long-use.csv, beside
the report.
"""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from threading import Event, Timer
from typing import NamedTuple

import psutil

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History, history_file
from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import wishing
from amulet_local.protocol.messages import Failed, Finished, Reply
from models.memory import needs_of
from tests.checks import comes
from tests.closing import Closable
from tests.tiny_models import write_llama
from tests.torture.deaths import CLEAR, COMPARE, ENGINE, ENTER, ESCAPE, LEFT, LOOK, QUIT
from tests.torture.part import Part
from tests.torture.pipe import answered

MINUTES = float(os.environ.get("TORTURE_MINUTES", "120"))
_WARM_UP = 1 / 6  # of the time
_FEWEST = 100  # acts after the warm-up, for memory to be judged
_MOST_GROWTH = 1.05
_SEEN = 0.9  # of what should be shown; a wave of other work on the machine may hide some of it
_TOKENS = 300
_LAST_WORDS = 1_000
_FILL = 6  # long messages and their replies are more than a context holds
_SHORT = 24  # messages and their replies; with those, 60, which is what a transcript holds
_VOCABULARY = 8_000
# Without flash attention, larger batches round almost as single rows do. llama.cpp then has room
# for the scores of a batch against all cells, and uses as much of it as texts are long: up to 26 MB
# of a usual batch, more than may be kept for nothing.
_BATCH = 32
_OPTIONS = LoadOptions(flash_attention="off", batch=_BATCH)
_CONFIG = f'max_tokens = {_TOKENS}\n[engine]\nflash_attention = "off"\nbatch = {_BATCH}\n'
_GREEDY = 'preference = "Answer in few words."\n[sampling]\ntemperature = 0\n'  # a preset
_RIGHT, _UP = b"\x1b[C", b"\x1b[A"
_AGAIN, _NEW, _BACK, _CHATS, _DIAL, _PRESETS, _HELP = (
    b"\x12",
    b"\x0e",
    b"\x02",
    b"\x0c",
    b"\x14",
    b"\x10",
    b"\x07",
)
_TO_MESSAGES = b"\x1b[1;5A"
_NAMES = ("concise", "formal", "uplifting", "plain-english", "thrifty", "bullet-points")
_WORDS = ("where", "how", "why", "the", "a", "lighthouse", "harbour", "walk", "old", "tell", "me")


class Measured(NamedTuple):
    """What a process has at rest: bytes of memory in all, and of its own; descriptors, threads."""

    memory: int
    own: int
    files: int
    threads: int

    @classmethod
    def of(cls, process: psutil.Process) -> Measured:
        info = process.memory_info()
        return cls(info.rss, info.rss - info.shared, process.num_fds(), process.num_threads())


class _User:
    """Somebody at the app's keyboard, who waits for what should be shown."""

    def __init__(self, random: Random, folder: Path) -> None:
        self.random, self.home, self.model = random, folder / "home", folder / "tiny.gguf"
        write_llama(self.model, vocabulary=_VOCABULARY)
        (self.home / "config" / "presets").mkdir(parents=True)
        (self.home / "config" / "config.toml").write_text(_CONFIG, "utf-8")
        (self.home / "config" / "presets" / "greedy.toml").write_text(_GREEDY, "utf-8")
        variables = {"AMULET_HOME": str(self.home), "HOME": str(folder)}
        self.opened = Closable(["-m", str(self.model), "-p", "concise"], variables, folder)
        assert comes(lambda: self.shows(b"ready")), "the app does not open"
        app = psutil.Process(self.opened.app.pid)
        (engine,) = (child for child in app.children() if ENGINE in child.cmdline())
        self.processes = {"app": app, "engine": engine}
        self.acts: dict[str, Callable[[], bool]] = {
            "ask": self.ask,
            "ask at length": self.ask_at_length,
            "wish": self.wish,
            "stop": self.stop,
            "again": lambda: self.ask() and self.hears(_AGAIN),
            "edit": self.edit,
            "preset": self.preset,
            "strength": self.strength,
            "dial": lambda: self.sees(b"3.00", _DIAL, b"l", _RIGHT, ENTER),
            "mix": lambda: self.sees(b"", self.command("mix", self.random.choice(_NAMES))),
            "compare": self.compare,
            "heat": lambda: self.ask() and self.sees(b"Flip", LOOK, LEFT, b"n", LEFT),
            "new chat": lambda: self.sees(b"Ask anything", _NEW),
            "chat before": lambda: self.sees(b"", _BACK),
            "delete a chat": self.delete_a_chat,
            "delete a message": lambda: self.sees(b"", _TO_MESSAGES, b"d", b"u"),
            "search": lambda: self.sees(b"lighthouse", self.command("search", "lighthouse")),
            "rename": lambda: self.sees(b"", self.command("rename", self.text(3))),
            "lists": lambda: self.sees(b"", _PRESETS, ESCAPE, _HELP, ESCAPE, b"/model\r"),
        }

    def largest(self) -> list[str]:
        """Acts after which no other needs more memory."""
        mixed = [self.command("mix", name) for name in _NAMES]
        assert self.sees(b"", *mixed)
        return [*["ask"] * _SHORT, *["ask at length"] * _FILL, *self.acts]

    # -- keys ------------------------------------------------------------------------------------

    def type(self, *keys: bytes) -> None:
        for each in keys:
            self.opened.type(each)
            time.sleep(self.random.uniform(0.1, 0.4))

    def say(self, text: str) -> None:
        """Word by word, as it is typed."""
        self.type(*(f"{word} ".encode() for word in text.split()), ENTER)

    def command(self, name: str, argument: str) -> bytes:
        return f"/{name} {argument}\r".encode()

    def text(self, words: int) -> str:
        return " ".join(self.random.choice(_WORDS) for _ in range(words))

    def rest(self) -> None:
        """Back to an empty input, from wherever an act has led."""
        self.type(ESCAPE, ESCAPE, CLEAR)
        time.sleep(self.random.uniform(0.5, 3.0))
        self.opened.forget()

    def last_words(self) -> str:
        """What was drawn last, by an app that has ended."""
        return self.opened.drawn()[-_LAST_WORDS:].decode(errors="replace")

    # -- what is waited for -----------------------------------------------------------------------

    def shows(self, text: bytes) -> bool:
        return text in self.opened.drawn() or self.opened.app.poll() is not None

    def sees(self, text: bytes, *keys: bytes) -> bool:
        self.type(*keys)
        return self._soon(lambda: self.shows(text))

    def hears(self, *keys: bytes) -> bool:
        """Whether these keys bring a reply that comes to its end."""
        before = answered(self.home)
        self.type(*keys)
        return self._soon(lambda: answered(self.home) > before)

    def _soon(self, about: Callable[[], bool]) -> bool:
        for _ in range(400):  # a comparison of mixes takes a busy machine more than a minute
            if about():
                return True
            time.sleep(0.3)
        return False

    # -- acts ------------------------------------------------------------------------------------

    def ask(self) -> bool:
        before = answered(self.home)
        self.say(self.text(self.random.randrange(3, 12)))
        return self._soon(lambda: answered(self.home) > before)

    def ask_at_length(self) -> bool:
        return self.hears(b"\x1b[200~" + self.text(200).encode() + b"\x1b[201~", ENTER)

    def wish(self) -> bool:
        return self.hears(f"{self.text(5)} !! all in lower case".encode(), ENTER)

    def stop(self) -> bool:
        before = answered(self.home)
        self.type(self.text(4).encode() + ENTER)
        self._soon(lambda: self.shows(b"writing"))  # what was stopped before is not kept
        self.type(ESCAPE)
        return self._soon(lambda: answered(self.home) > before)

    def edit(self) -> bool:
        if not self.ask():
            return False
        return self.hears(_TO_MESSAGES, _UP, b"e", b" and why", ENTER)

    def delete_a_chat(self) -> bool:
        self.type(_NEW)
        return self.ask() and self.sees(b"Deleted:", _CHATS, b"d")

    def preset(self) -> bool:
        return self.sees(b"", self.command("preset", self.random.choice(_NAMES)))

    def strength(self) -> bool:
        number = f"{self.random.uniform(-1.0, 6.0):.2f}"
        return self.sees(number.encode(), self.command("strength", number))

    def compare(self) -> bool:
        """It is refused in a chat that has outgrown its context, in words that a line may break."""
        vote, refusal = b"without seeing", b"gives a"
        if not self.ask():
            return False
        self.type(COMPARE)
        if not self._soon(lambda: self.shows(vote) or self.shows(refusal)):
            return False
        return self.hears(ENTER) if self.shows(vote) and self.random.random() < 0.3 else True


def _use(random: Random, folder: Path) -> str:
    """The outcome is a line of numbers."""
    user, over = _User(random, folder), Event()
    timer = Timer(MINUTES * 60, over.set)
    timer.daemon = True
    seen, missed, measured = Counter[str](), Counter[str](), list[list[Measured]]()
    try:
        timer.start()
        with Path(os.environ.get("TORTURE_FOLDER", folder), "long-use.csv").open("w") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["time", "act", *(f"{who} {each}" for who in user.processes
                                             for each in Measured._fields)])  # fmt: skip
            planned = user.largest()
            while not over.is_set():
                act = planned.pop(0) if planned else random.choice(list(user.acts))
                (seen if user.acts[act]() else missed)[act] += 1
                user.rest()
                code = user.opened.app.poll()
                assert code is None, f"the app ends with {code}, by {act}: {user.last_words()}"
                assert user.processes["engine"].is_running(), f"the engine dies of {act}"
                measured.append([Measured.of(process) for process in user.processes.values()])
                numbers = [number for each in measured[-1] for number in each]
                table.writerow([int(time.time()), act, *numbers])
                file.flush()
        _last_reply(user)
        user.type(QUIT)
        assert comes(lambda: not user.opened.living()), "it does not end"
        assert (user.opened.app.wait(), user.opened.modes()) == (0, set())
    finally:
        timer.cancel()
        user.opened.kill()
        user.opened.close()
    _same_as_fresh(user)
    few = {
        act: (seen[act], missed[act])
        for act in missed
        if seen[act] < _SEEN * (seen[act] + missed[act])
    }
    grown = [
        _growth(who, [each[place] for each in measured]) for place, who in enumerate(user.processes)
    ]
    told = (
        f"{MINUTES:g} minutes, {len(measured)} acts, {answered(user.home)} replies; "
        f"{'; '.join(grown)}"
    )
    assert not few, f"seen, and not seen, of {few}; {told}"
    return told


def _growth(who: str, measured: Sequence[Measured]) -> str:
    """First and last quarter after the warm-up, in words; fails where a process has grown."""
    kept = measured[int(len(measured) * _WARM_UP) :]
    quarter = max(1, len(kept) // 4)
    first, last = (
        Measured(*(int(median(column)) for column in zip(*part, strict=True)))
        for part in (kept[:quarter], kept[-quarter:])
    )
    told = (
        f"{who}: {first.memory / 2**20:.1f} to {last.memory / 2**20:.1f} MiB "
        f"({last.memory / first.memory - 1:+.1%}; its own {last.own / first.own - 1:+.1%}), "
        f"{first.files} to {last.files} descriptors, {first.threads} to {last.threads} threads"
    )
    if len(kept) >= _FEWEST:
        assert last.memory <= first.memory * _MOST_GROWTH, told
        assert last.own <= first.own * _MOST_GROWTH, told
        assert last.files <= first.files, told
        assert last.threads <= first.threads, told
    return told


def _last_reply(user: _User) -> None:
    """Three questions in a chat of their own, by the engine that has worked all the time."""
    user.type(_NEW, user.command("preset", "greedy"))
    for _ in range(3):
        assert user.ask(), "the last questions are not answered"


def _same_as_fresh(user: _User) -> None:
    """The newest chat's last reply, by an engine that was just started."""
    with History(history_file()) as history:
        chat = Chat(history, history.chats()[0].id)
    question, kept = chat.conversation.path()[-2:]
    origin = kept.origin
    assert origin
    assert (origin.preset, origin.alignment.sampling.temperature) == ("greedy", 0.0)
    engine = EngineProcess(needs_of)
    try:
        engine.load(str(user.model), _OPTIONS)
        engine.reply(
            Reply(
                id=1,
                messages=wishing(chat.conversation.messages(question.id), origin.wish),
                seed=origin.seed,
                system=origin.system,
                alignment=origin.alignment,
                max_tokens=_TOKENS,
                trace=True,
            )
        )
        event = engine.events.get(timeout=60)
        while not isinstance(event, Finished | Failed):
            event = engine.events.get(timeout=60)
    finally:
        engine.close()
    assert isinstance(event, Finished), event
    assert len(chat.conversation.path()) == 6
    assert event.token_ids == kept.message.token_ids, "a fresh engine writes another last reply"


PARTS = [Part("long", _use, quick=0, full=1, limit_s=MINUTES * 60 + 1_800)]
