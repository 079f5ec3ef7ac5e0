"""Hostile text in every place that is shown, in the real app in a pseudo-terminal: nothing of it
that a terminal obeys, or nobody sees, is among the bytes that are written.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psutil

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.protocol.message import Message
from tests.checks import comes
from tests.closing import Closable
from tests.tiny_models import write_llama
from tests.torture.part import Part

MARK = "4242"  # stands in every sequence that is smuggled, and in none of the app's
SEQUENCES = (
    "\x1b[4242;4242H", "\x1b[6;42424242m", "\x1b[?4242h", "\x1b[4242t", "\x1b[c4242", "\x1b[6n4242",
    "\x1b]0;4242\x07", "\x1b]52;c;NDI0Mg==!4242\x07", "\x1b]8;;file:///4242\x1b\\x\x1b]8;;\x1b\\",
    "\x1bP4242$qm\x1b\\", "\x1b_4242\x1b\\", "\x1b^4242\x1b\\", "\x1bc4242", "\x1b[4242 q",
    "\x9b4242;1H", "\x9d0;4242\x9c", "\x904242\x9c", "\x1b(0lqk4242",
)  # fmt: skip
CHARACTERS = (
    "\x07", "\x08\x08", "\r", "\x0b", "\x0c", "\x7f", "\x85", "\u202e", "\u202a", "\u2066",
    "\u2067", "\u2069", "\u200e", "\u200f", "\u061c", "\u200b", "\u00ad", "\ufeff", "\U000e0041",
    "\ufff9", "\u2028", "\u3164", "\u0301" * 100, "\u200d" * 100,
)  # fmt: skip
PLAIN = (
    "a word", "שלום עולם", "مرحبا", "漢字かな", "👩‍👩‍👧", "**bold**", "`code`", "[link](http://x.y)",
    "<|im_end|>", "<|im_start|>system", "e\u0301", "| a | b |",
)  # fmt: skip
BOMBS = (
    "> " * 400, "*" * 3000, "[" * 1500, "`" * 999, "- " * 300, "|" * 800, "$" * 999, "_a" * 800,
    "![" * 500, "<" * 2000, "\\" * 2000, "\n" * 300,
)  # fmt: skip

_OURS = (
    re.compile(  # drawing and modes; the background's colour, the pointer's shape, the clipboard
        r"\x1b\[[?>=<]?[\d;]*(?:\$p|[Hhlmu])"
        r"|\x1b\]11;\?\x1b\\|\x1b\]22;[a-z-]*\x07|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"
    )
)
_KEPT = {"\r", "\n", "\u2066", "\u2068", "\u2069", "\u200c", "\u200d"}
ENTER, ESCAPE, UP, TAB, BACK, QUIT = b"\r", b"\x1b", b"\x1b[A", b"\t", b"\x02", b"\x11"
# Where text is shown that others wrote: keys, and what they open.
WALK: tuple[bytes, ...] = (
    UP, UP, ESCAPE,  # what was sent before
    BACK,  # the chat before, and its draft
    b"\x1b[1;5A", b"e", ESCAPE,  # its reply, edited
    b"\x1b[1;5A", UP, b"e", ESCAPE,  # its question
    b"\x0c", b"r", ESCAPE, b"/", b"word", ESCAPE, ESCAPE,  # all chats, a title, a search
    b"\x10", b"\x05", TAB, TAB, ESCAPE, ESCAPE, ESCAPE,  # presets, one in a form
    b"\x06", ESCAPE,  # the heat view
    b"/export \x00\x1b[4242m", ENTER, ESCAPE,  # a form with what was typed
    b"/model", ENTER, ESCAPE,  # models
    b"\x1b[1;5A", b"y", b"Y", ESCAPE,  # copied
)  # fmt: skip


def hostile(chance: Random, *, most: int = 12, bombs: bool = True) -> str:
    """A text with much that must not be drawn."""
    kinds = (SEQUENCES, CHARACTERS, PLAIN, *((BOMBS,) if bombs else ()))
    return "".join(
        chance.choice(chance.choice(kinds)) + chance.choice(("", " ", "\n"))
        for _ in range(chance.randrange(4, most))
    )


def raw_in(output: bytes) -> list[str]:
    """What among the bytes that a terminal got should not be there, with what stands around."""
    text = output.decode("utf-8", "surrogateescape")
    found = [each for each in _OURS.findall(text) if MARK in each]
    left = _OURS.sub("", text)
    for place in re.finditer(r"[^ -~]", left):
        if place[0] not in _KEPT and unicodedata.category(place[0]) in ("Cc", "Cf", "Cs", "Zl"):
            found.append(repr(left[max(0, place.start() - 20) : place.end() + 20]))
    return found


def prepare(chance: Random, home: Path) -> None:
    """Chats, a draft and a preset of hostile text."""
    with History(home / "data" / "chats.sqlite") as history:
        for _ in range(3):
            question, reply = new_id(), new_id()
            conversation = Conversation(
                (
                    Node(question, None, Message("user", hostile(chance) + " word")),
                    Node(reply, question, Message("assistant", hostile(chance))),
                ),
                reply,
            )
            chat = new_chat_id()
            history.add_chat(chat, hostile(chance, bombs=False), conversation, time.time())
            history.save_draft(hostile(chance, bombs=False), chat)
        history.save_draft(hostile(chance, bombs=False))
    presets = home / "config" / "presets"
    presets.mkdir(parents=True)
    quoted = [_toml(hostile(chance, bombs=False)) for _ in range(3)]
    (presets / "odd.toml").write_text(
        "title = {}\ndescription = {}\npreference = {}\nstrength = 2.0\n".format(*quoted), "utf-8"
    )
    (home / "config" / "config.toml").write_text("max_tokens = 8\n", "utf-8")


def _toml(text: str) -> str:
    """A basic string, with all that is not plain as an escape."""
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


def trial(
    chance: Random, folder: Path, walk: Sequence[bytes] = WALK, settle_s: float = 0.7
) -> list[str]:
    """Walk through the app with hostile text everywhere; returns what did not hold."""
    home = folder / "home"
    prepare(chance, home)
    model = folder / "mo\x1b]0;4242\x07del\u202e.gguf"
    write_llama(model)
    opened = Closable(["-m", str(model), "-p", "odd"], _at(home, folder))
    try:
        if not comes(lambda: b"ready" in opened.output or opened.app.poll() is not None):
            return ["the app does not open"]
        for keys in walk:
            opened.type(keys)
            time.sleep(settle_s)
        if opened.app.poll() is not None:
            return [f"the app has ended with {opened.app.returncode}"]
        opened.type(QUIT)
        comes(lambda: not opened.living())
        return raw_in(opened.output)
    finally:
        opened.kill()
        opened.close()


def work_for(length: int, line: str, folder: Path) -> float:
    """Seconds of a processor that the app takes to open a chat with one line of this length."""
    home = folder / f"home-{length}"
    with History(home / "data" / "chats.sqlite") as history:
        question, reply, text = new_id(), new_id(), (line * (length // len(line) + 1))[:length]
        nodes = (
            Node(question, None, Message("user", "Where to?")),
            Node(reply, question, Message("assistant", f"{text} FINISHED")),
        )
        history.add_chat(new_chat_id(), "Long", Conversation(nodes, reply), time.time())
    opened = Closable(["-m", "nowhere.gguf"], _at(home, folder))
    try:
        comes(lambda: b"Where" in opened.output or b"no model" in opened.output)
        before = psutil.Process(opened.app.pid).cpu_times()
        opened.type(BACK)
        comes(lambda: b"FINISHED" in re.sub(rb"\x1b\[[\d;]*m", b"", opened.output))
        after = psutil.Process(opened.app.pid).cpu_times()
        return after.user + after.system - before.user - before.system
    finally:
        opened.kill()
        opened.close()


def _at(home: Path, folder: Path) -> dict[str, str]:
    return {"AMULET_HOME": str(home), "HOME": str(folder)}


def _walk(random: Random, folder: Path) -> str:
    found = trial(random, folder)
    assert not found, found
    return "nothing raw"


def _length(random: Random, folder: Path) -> str:
    """A line that is four times as long must not take more than six times the work."""
    line = random.choice((*SEQUENCES, *CHARACTERS, *PLAIN, *BOMBS[:3], "word ", "> ", "漢"))
    short, long = (work_for(length, line, folder) for length in (250_000, 1_000_000))
    assert long <= 6 * max(short, 0.3), (line, short, long)
    return "in proportion"


PARTS = [
    Part("hostile-text", _walk, quick=0, full=100, limit_s=900.0),
    Part("long-lines", _length, quick=0, full=60, limit_s=1200.0),
]
