"""Engines that do not keep to the protocol, or have too little, under the real app in a terminal:
the app stays usable, says what happened, does not grow, and the next message is answered.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import psutil

from tests.checks import comes
from tests.closing import Closable
from tests.tiny_models import write_llama
from tests.torture.part import Part
from tests.torture.rogue import KINDS, LIMITS
from tests.torture.text import raw_in

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
MOST_GROWTH = 200 << 20  # bytes; what nobody has taken is at most 32 MiB of frames
FIRST, SECOND, QUIT, RESTART, STOP = (
    b"Is anybody there?\r",
    b"And now?\r",
    b"\x11",
    b"\x12",
    b"\x1b",
)
HERE = b"still here "
_STYLES = re.compile(rb"\x1b\[[\d;]*m")


def trial(kind: str, seed: int, folder: Path) -> list[str]:
    """Let the first engine be of this kind; returns what did not hold."""
    home, model = folder / "home", folder / "tiny.gguf"
    write_llama(model)
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text("max_tokens = 8\n", "utf-8")
    variables = {
        "AMULET_HOME": str(home),
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(_HERE / "rogue_site"), str(_ROOT)]),
        "AMULET_ROGUE": f"{kind} {seed} {folder / 'been'}",
    }
    opened = Closable(["-m", str(model), "-p", "concise"], variables)
    found = []
    try:
        if not comes(lambda: _ready(opened) or _told(opened)):
            return ["neither a model nor a reason is shown"]
        before = psutil.Process(opened.app.pid).memory_info().rss
        opened.type(FIRST)
        if kind == "flood":
            opened.type(HERE)
            if not comes(lambda: HERE in opened.output or _told(opened)) or _told(opened):
                found.append("keys are not heard meanwhile")
        if not comes(lambda: _told(opened) or answered(home) or opened.app.poll() is not None):
            found.append("nothing is said of it")
        if opened.app.poll() is not None:
            return [f"the app has ended with {opened.app.returncode}"]
        if b"to restart it, or wait" in _plain(opened):
            opened.type(RESTART)
            again = b"being loaded", b"loaded again"  # a line may end between the words
            if not comes(lambda: any(words in _plain(opened) for words in again)):
                found.append("it is not restarted")
        grown = psutil.Process(opened.app.pid).memory_info().rss - before
        if grown > MOST_GROWTH:
            found.append(f"the app has grown by {grown >> 20} MiB")
        replies = answered(home)
        opened.type(SECOND)
        if not comes(lambda: answered(home) > replies or opened.app.poll() is not None):
            found.append("the next message is not answered")
        opened.type(QUIT)
        if not comes(lambda: not opened.living()):
            found.append("it does not end")
        if opened.app.wait() != 0:
            found.append(f"it ends with {opened.app.returncode}")
        return [*found, *sorted(opened.modes()), *raw_in(opened.output)]
    finally:
        opened.kill()
        opened.close()


def answered(home: Path) -> int:
    """How many replies are stored that have come to their end."""
    path = home / "data" / "chats.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        try:
            ((count,),) = db.execute(
                "SELECT count(*) FROM messages WHERE role = 'assistant' AND ending IS NOT NULL"
            )
        except sqlite3.OperationalError:  # it is only being made
            return 0
    return int(count)


def _plain(opened: Closable) -> bytes:
    return _STYLES.sub(b"", opened.output)


def _ready(opened: Closable) -> bool:
    return b"ready" in opened.output


def _told(opened: Closable) -> bool:
    """Whether something is said of the engine, or the load has failed with a reason."""
    plain = _plain(opened)
    return any(each in plain for each in (b"The engine", b"the engine", b"could not", b"cannot"))


def _rogue(random: Random, folder: Path) -> str:
    kind = random.choice([*KINDS, *LIMITS])
    found = trial(kind, random.randrange(2**31), folder)
    assert not found, (kind, found)
    return kind


PARTS = [Part("rogue-engines", _rogue, quick=0, full=200, limit_s=900.0)]
