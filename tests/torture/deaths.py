"""Signals to the app and to its engine, at a random moment of every phase: the terminal is as it
was found, nothing lives on, what is stored is sound, and the next message is answered.

`trial` is one run of the app, and another one after it.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import psutil
import pyte

from tests.checks import comes
from tests.closing import Closable
from tests.tiny_models import write_llama
from tests.torture.part import Drawn, Part
from tests.torture.pipe import answered
from tests.torture.scenes import lost_of_older, older_store, slow_server

Comes = Callable[[Callable[[], object]], bool]

PHASES = (
    *("starting", "migrating", "loading", "reading", "streaming", "comparing", "looking"),
    *("saving", "pulling", "quitting"),
)
_BEFORE_THE_ENGINE = ("starting", "migrating")
_OVER = ("comparing", "looking")  # the chat
ENDING = ("KILL", "TERM", "HUP", "INT", "QUIT")
SIGNALS = {
    "app": (*ENDING, "close", "CONT", "STOP CONT", "TSTP CONT", "TSTP TERM CONT", "STOP TERM CONT"),
    "engine": (*ENDING, "STOP", "CONT", "STOP CONT"),
}
QUIT, COMPARE, LOOK, RESTART, ESCAPE, CLEAR = b"\x11", b"\x19", b"\x06", b"\x12", b"\x1b", b"\x15"
ENGINE = "amulet_local.engine.worker"
_KEYBOARD = re.compile(rb"\x1b\[[<>=][\d;]*u")  # asks for more exact keys; not known to pyte
_STYLES = re.compile(rb"\x1b\[[\d;]*m")
_LONG = b"\x1b[200~" + b"Tell me a long story of a lighthouse. " * 20 + b"\x1b[201~\r"
_LOOKS = 60
_NEW, ENTER = b"\x0e", b"\r"
MOMENTS = 20  # of each signal in each phase
LEFT = b"\x1b[D"


def within_three_seconds(about: Callable[[], object]) -> bool:
    """Wait until it is so, as long as a user does."""
    for _ in range(_LOOKS):
        if about():
            return True
        time.sleep(3.0 / _LOOKS)
    return bool(about())


class Run:
    """The app in its terminal, and where it keeps things."""

    def __init__(self, folder: Path) -> None:
        self.home, model = folder / "home", folder / "tiny.gguf"
        if not model.exists():
            write_llama(model)
            (self.home / "config").mkdir(parents=True)
            (self.home / "config" / "config.toml").write_text("max_tokens = 300\n", "utf-8")
        variables = {"AMULET_HOME": str(self.home), "HOME": str(folder)}
        variables |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        self.exported, self.pulled = folder / "chat.json", self.home / "data/models/slow.gguf"
        self.opened = Closable(["-m", str(model), "-p", "concise"], variables)
        self.gone = False  # the terminal

    def shows(self, *texts: bytes, since: int = 0) -> bool:
        """Whether any of these was drawn from a place in the output on, or the app has ended."""
        plain = _STYLES.sub(b"", self.opened.output[since:])
        return any(text in plain for text in texts) or self.ended()

    def ended(self) -> bool:
        return self.opened.app.poll() is not None

    def reach(self, phase: str, url: str) -> None:
        """Go on to the beginning of a phase. url: of what is pulled."""
        if phase == "starting":
            return
        if phase == "migrating":
            log = self.home / "data" / "chats.sqlite-wal"
            comes(lambda: log.exists() or self.ended())
            return
        comes(lambda: self.shows(b"loading", b"ready"))
        if phase == "loading":
            return
        comes(lambda: self.shows(b"ready"))
        if phase == "pulling":
            self.opened.type(f"/pull {url}\r".encode())
            comes(lambda: list(self.pulled.parent.glob("*slow*")) or self.ended())
            return
        self.opened.type(_LONG)
        comes(lambda: self.shows(b"reading", b"writing"))
        if phase == "comparing":
            comes(lambda: answered(self.home) > 0)
            self.opened.type(COMPARE)
            comes(lambda: self.shows(b"1 \xc2\xb7 base"))
        elif phase == "looking":
            comes(lambda: answered(self.home) > 0)
            self.opened.type(LOOK)
            comes(lambda: self.shows(b"top 5", b"Flip"))
            self.opened.type(LEFT)  # to a token whose lists the engine has to tell
        elif (
            phase == "saving"
        ):  # an export, and what was evaluated, as another chat takes its place
            comes(lambda: answered(self.home) > 0)
            self.opened.type(f"/export {self.exported}\r".encode() + _NEW + b"Hello.\r")
        elif phase != "reading":
            comes(lambda: self.shows(b"writing"))
        if phase == "quitting":
            self.opened.type(QUIT)

    def victim(self, who: str) -> psutil.Process | None:
        """Whom the signals are for, if it is there."""
        with suppress(psutil.Error):
            app = psutil.Process(self.opened.app.pid)
            engines = (it for it in app.children() if ENGINE in it.cmdline())
            return app if who == "app" else next(engines, None)
        return None

    def send(self, who: str, signals: str, chance: Random) -> bool:
        """Whether there was anybody to get them."""
        if signals == "close":
            self.opened.close()
            self.gone = True
            return True
        victim = self.victim(who)
        for name in signals.split() if victim else ():
            with suppress(psutil.Error):
                assert victim is not None
                victim.send_signal(getattr(signal, f"SIG{name}"))
            time.sleep(chance.uniform(0.0, 0.4))
        return victim is not None

    def back(self) -> None:
        """To the chat, from a screen over it; what is typed before it is there would be Alt with a
        key, on a machine that is busy."""
        drawn = len(self.opened.output)
        self.opened.type(ESCAPE)
        within_three_seconds(lambda: self.shows(b"Ask anything", since=drawn))

    def ask(self) -> str:
        """Say something, and wait for the reply; why there is none. What is said as the engine ends
        is given back, to be sent again."""
        comes(lambda: self.shows(b"ready", b"stopped"))
        before, drawn = answered(self.home), len(self.opened.output)

        def is_answered() -> bool:
            return answered(self.home) > before

        self.opened.type(CLEAR + b"And now?\r")
        comes(lambda: is_answered() or self.shows(b"engine stopped", since=drawn))
        if not is_answered():
            self.opened.type(ENTER)
        if not comes(lambda: is_answered() or self.ended()) or self.ended():
            return f"the next message is not answered:\n{self.drawn()}"
        return ""

    def drawn(self) -> str:
        """What is on the screen, for whoever looks for the reason."""
        screen = pyte.Screen(80, 24)
        pyte.ByteStream(screen).feed(_KEYBOARD.sub(b"", self.opened.output))
        return "\n".join(row.rstrip() for row in screen.display if row.strip())

    def leave(self, waits: Comes) -> list[str]:
        """Quit by the key."""
        self.opened.type(QUIT)
        found = [] if waits(lambda: not self.opened.living()) else ["it does not end by the key"]
        return [*found, *self.left()]

    def living(self) -> str:
        """What lives on, and what it is at, for whoever looks for the reason."""
        told = ""
        for process in self.opened.living():
            with suppress(psutil.Error), process.oneshot():
                age = time.time() - process.create_time()
                told += f"\n{process.cmdline()[1:5]}, {process.status()}, {process.num_threads()} "
                told += f"threads, {sum(process.cpu_times()[:2]):.1f} s of {age:.1f}"
        return f"something lives on:{told}\n{self.drawn()}"

    def left(self) -> list[str]:
        """What of the terminal is not as it was, and what was written that nobody should read."""
        found = [] if self.gone else [f"the terminal: {mode}" for mode in self.opened.modes()]
        return [*found, *(["a traceback"] if b"Traceback" in self.opened.output else [])]

    def pull_whole(self, url: str, data: bytes) -> list[str]:
        """Fetch what was begun to be fetched, which is then there, whole."""
        if self.pulled.exists() and self.pulled.read_bytes() != data:
            return ["half a model has its name"]
        self.opened.type(f"/pull {url}\r".encode())
        whole = comes(lambda: self.pulled.exists() and self.pulled.read_bytes() == data)
        return [] if whole else [f"what was begun is not fetched:\n{self.drawn()}"]

    def close(self) -> None:
        self.opened.kill()
        if not self.gone:
            self.opened.close()


def trial(
    phase: str,
    who: str,
    signals: str,
    chance: Random,
    folder: Path,
    waits: Comes = within_three_seconds,
) -> list[str]:
    """Send signals in a phase; returns what did not hold."""
    write_llama(folder / "other.gguf", seed=1)
    data = (folder / "other.gguf").read_bytes()
    if phase == "migrating":
        older_store(folder / "home")
    with slow_server(data) as url:
        run = Run(folder)
        try:
            run.reach(phase, url)
            time.sleep(chance.uniform(0.0, 0.6))
            found = _obeyed(run, phase, who, signals, waits, chance)
        finally:
            run.close()
        again = Run(folder)
        try:
            comes(lambda: again.shows(b"ready"))
            found += filter(None, [again.ask()])
            found += again.pull_whole(url, data) if phase == "pulling" else []
            found += again.leave(waits)
        finally:
            again.close()
    with closing(sqlite3.connect(again.home / "data" / "chats.sqlite")) as db:
        ((sound,),) = db.execute("PRAGMA integrity_check")
    found += [] if sound == "ok" else [f"the store: {sound}"]
    found += lost_of_older(again.home) if phase == "migrating" else []
    if again.exported.exists() and not again.exported.read_bytes().endswith(b"}\n"):
        found.append("half a chat is exported")
    return found


def _obeyed(
    run: Run, phase: str, who: str, signals: str, waits: Comes, chance: Random
) -> list[str]:
    """Send the signals, and see what follows in this run."""
    drawn = len(run.opened.output)
    sent = run.send(who, signals, chance)
    ends = who == "app" and (signals == "close" or not {*signals.split()}.isdisjoint(ENDING))
    if ends or phase == "quitting":
        found = [] if waits(lambda: not run.opened.living()) else [run.living()]
        return [*found, *([] if "KILL" in signals and who == "app" else run.left())]
    if who == "engine" and sent and signals not in ("STOP", "CONT", "STOP CONT"):
        told = (b"engine stopped", b"to restart it", b"The engine")

        def is_told() -> bool:
            return run.shows(*told, since=drawn) or answered(run.home) > 1

        if phase in _OVER and not within_three_seconds(is_told):
            run.back()  # a comparison at its end needs no engine
        if not comes(is_told):
            return [f"nothing is said of it:\n{run.drawn()}"]
    if phase in _OVER:
        run.back()
    if signals == "STOP" and sent:
        run.opened.type(CLEAR + b"Is anybody there?\r")  # else an idle engine would owe no word
        stuck, ended = b"to restart it", b"engine stopped"  # by the app, where it was loading
        if not comes(lambda: run.shows(stuck, ended, since=drawn)):
            return [f"nothing is said of it:\n{run.drawn()}"]
        if run.shows(stuck, since=drawn):
            run.opened.type(RESTART)
            again = b"being loaded", b"loaded again"  # a line may end between the words
            if not comes(lambda: run.shows(*again, since=drawn)):
                return [f"it is not restarted:\n{run.drawn()}"]
    elif phase in ("reading", "streaming") and who == "app":
        comes(lambda: answered(run.home) > 0 or run.ended())
    return [*filter(None, [run.ask()]), *run.leave(waits)]


def _kinds() -> list[tuple[str, str, str]]:
    """Every signal to whom it can reach, in every phase."""
    return [
        (phase, who, signals)
        for phase in PHASES
        for who in SIGNALS
        if who == "app" or phase not in _BEFORE_THE_ENGINE
        for signals in SIGNALS[who]
    ]


def _death(random: Drawn, folder: Path) -> str:
    kinds = _kinds()
    phase, who, signals = kinds[random.number % len(kinds)]
    found = trial(phase, who, signals, random, folder)
    assert not found, (phase, who, signals, found)
    return f"{who}, {phase}"


PARTS = [Part("deaths", _death, quick=0, full=MOMENTS * len(_kinds()), limit_s=900.0)]
