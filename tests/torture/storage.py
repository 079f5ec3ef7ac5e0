"""The store of chats: folders that refuse, fill up, are slow or go away; damaged files; several
processes at once. What was said to be saved is there, and the file is sound.

Refusals at any write are those of refusing.c, which stands between a process and the C library;
full, read-only and vanishing disks are file systems in memory, where this process may mount some.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from amulet_local.chats.chat import Chat
from amulet_local.chats.export import to_json, to_markdown
from amulet_local.chats.history import History, history_file
from amulet_local.chats.listing import day_in_words
from amulet_local.chats.votes import Choice
from amulet_local.errors import AmuletError
from amulet_local.protocol.messages import Step
from tests.chats.stores import ORIGIN, a_closed_store, keep
from tests.torture.part import Part

_HERE = Path(__file__).parent
_ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EMFILE]
_CHANGES = 400  # about as many as eight turns and their start take
_LONGEST = 500  # characters of a sentence
_PATIENCE_S = 100.0
_NEWNS, _READ_ONLY, _REMOUNT, _DETACH = 0x20000, 1, 32, 2
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14


# -- refused writes -------------------------------------------------------------------------------


@cache
def _refusing() -> Path | None:
    """The library that refuses; None where there is no compiler for it, or no Linux."""
    library = Path(mkdtemp(prefix="refusing-"), "refusing.so")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(_HERE / "refusing.c"), "-ldl"]
    with suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(command, check=True, capture_output=True)
        return library
    return None


def _write(random: Random, folder: Path) -> str:
    """Some changes to files are refused or late, from one of them on, for a while or for ever."""
    if not (library := _refusing()):
        return "not tried: there is no compiler"
    late = random.random() < 0.2
    variables = {
        "LD_PRELOAD": str(library),
        "REFUSE_UNDER": os.environ["AMULET_HOME"],
        "REFUSE_FROM": str(random.randrange(_CHANGES)),
        "REFUSE_COUNT": str(random.choice([1, 2, 20, 10**6])),
        "REFUSE_ERROR": str(0 if late else random.choice(_ERRORS)),
        "REFUSE_LATE_MS": str(random.choice([50, 300]) if late else 0),
    }
    if late:
        variables["REFUSE_COUNT"] = str(random.choice([1, 20]))
    way, seed = random.choice(["at-once", "in-turn"]), random.randrange(10**6)
    if random.random() < 0.5:
        a_closed_store()
    said = _ended(_user(seed, 8, way, variables))
    _check(said)
    return f"{way}, {'late' if late else 'refused'}: {'told' if said.told else 'nothing told'}"


class _Said:
    """What a user was told, from the lines that one wrote, and what must be there after."""

    def __init__(self, lines: list[str]) -> None:
        self.kept = [line.split()[1] for line in lines if line.startswith("kept ")]
        self.told = [line[5:] for line in lines if line.startswith("told ")]
        assert len(lines) == len(self.kept) + len(self.told) + lines.count("unkept"), lines


def _user(
    seed: int, turns: int, way: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.torture.storage_user", str(seed), str(turns), way],
        env=os.environ | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str], statuses: tuple[int, ...] = (0,)) -> _Said:
    out, err = process.communicate(timeout=_PATIENCE_S)
    assert (process.returncode in statuses, err) == (True, ""), (process.returncode, err[-1500:])
    return _Said(out.splitlines())


def _check(*users: _Said) -> None:
    """The file opens, is sound, has what it must have, and takes more; no remnants are left."""
    for sentence in [sentence for user in users for sentence in user.told]:
        assert len(sentence) < _LONGEST, sentence
        assert "\n" not in sentence, sentence
    path = history_file()
    with History(path) as store:
        assert "damaged" not in store.notice, store.notice
        keep(store, "And now?")
        for mark in [mark for user in users for mark in user.kept]:
            assert store.search(mark), f"{mark} is lost"
    with closing(sqlite3.connect(path)) as db:
        ((sound,),) = db.execute("PRAGMA integrity_check")
        assert sound == "ok", sound
    left = [file.name for file in path.parent.rglob("*.part")]
    assert not [name for name in left if not name.startswith(("theme", "model", "chat"))], left


# -- disks ----------------------------------------------------------------------------------------


@cache
def _mounts() -> Callable[[str, Path, int, str], bool] | None:
    """To mount where nobody else sees it, which ends with this process; None where it may not."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEWNS) or libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None):
        return None

    def mount(kind: str, place: Path, flags: int, options: str) -> bool:
        return not libc.mount(b"tmpfs", os.fsencode(place), kind.encode(), flags, options.encode())

    return mount


def _disk(random: Random, folder: Path) -> str:
    """The disk fills up, becomes read-only or goes away while somebody chats; after that, it is as
    before."""
    home = Path(os.environ["AMULET_HOME"])
    home.mkdir()
    mount, libc = _mounts(), ctypes.CDLL(None)
    if not mount or not mount("tmpfs", home, 0, "size=8m"):
        return "not tried: nothing may be mounted here"
    try:
        way = random.choice(["at-once", "in-turn"])
        process = _user(random.randrange(10**6), random.choice([8, 30]), way)
        time.sleep(random.uniform(0.2, 2.0))
        trouble = random.choice(["full", "read-only", "away"])
        ballast = home / "ballast"
        match trouble:
            case "full":
                with suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while file.write(bytes(4096)):
                        pass
            case "read-only":
                _until(lambda: mount("tmpfs", home, _REMOUNT | _READ_ONLY, ""))
            case "away":
                with suppress(FileNotFoundError):
                    (home / "data").rename(home / "gone")
        if random.random() < 0.5:
            time.sleep(random.uniform(0.0, 1.0))
            _mend(trouble, home, ballast, mount)
        said = _ended(process)
        _mend(trouble, home, ballast, mount)
        _check(said)
        return f"{trouble}, {way}: {'told' if said.told else 'nothing told'}"
    finally:
        libc.umount2(os.fsencode(home), _DETACH)


def _mend(
    trouble: str, home: Path, ballast: Path, mount: Callable[[str, Path, int, str], bool]
) -> None:
    if trouble == "full":
        ballast.unlink(missing_ok=True)
    elif trouble == "read-only":
        mount("tmpfs", home, _REMOUNT, "")
    elif (home / "gone").exists():
        if (home / "data").exists():  # begun anew meanwhile
            (home / "data").rename(home / f"meanwhile-{time.time_ns()}")
        (home / "gone").rename(home / "data")


def _until(act: Callable[[], bool]) -> None:
    """A disk on which something is being written does not become read-only at once."""
    for _ in range(200):
        if act():
            return
        time.sleep(0.005)


# -- damage ---------------------------------------------------------------------------------------


def _damage(random: Random, folder: Path) -> str:
    """A file of chats is torn, cut, flipped, older, newer, locked, or something else: it opens, or
    is refused in a sentence, and what was in it is in no way less than before."""
    path = _full_store()
    kinds = [_flipped, _cut, _torn_log, _version, _schema, _rows, _other]
    kind = random.choice(kinds)
    for _ in range(random.choice([1, 1, 3])):
        with suppress(sqlite3.Error):
            kind(random, path)
    before, refusal, told = path.read_bytes(), "", ""
    try:
        with History(path) as store:
            _look_at(store)
            keep(store, "And now?")
            told = store.notice
    except AmuletError as error:
        refusal = str(error)
    if refusal:
        assert len(refusal) < _LONGEST, refusal
        if "newer Amulet" not in refusal:  # of which nothing is known
            with History(path, unkept=True):
                pass
        return f"{kind.__name__[1:]}: refused"
    if told:
        kept = list(path.parent.glob("chats-damaged-*.sqlite"))
        assert [file for file in kept if file.read_bytes() == before], "the damaged file is gone"
    return f"{kind.__name__[1:]}: {'salvaged' if told else 'used'}"


def _full_store() -> Path:
    """Twenty short chats, and one of everything that there may be."""
    path = a_closed_store()
    with History(path) as store:
        chat = Chat(store)
        for _ in range(2):
            growing = chat.reply(chat.ask("Why?", "in rhymes").id, ORIGIN, clock=lambda: 0.0)
            growing.add(Step(1, 5, "text", 2.0))
            growing.break_off()
        chat.reply(chat.ask("What of it?").id, ORIGIN, clock=lambda: 0.0).add(Step(1, 5, "It", 1.0))
        chat.draft = "and then"
        gone = Chat(store)
        gone.ask("Deleted")
        store.remove(gone.id)
        store.votes.add("m", [Choice("concise", 1.0), Choice("concise", 2.0)], 1)
        store.votes.add_mixes("m", [{"concise": 1.0, "formal": 2.0}, {}], 0)
    return path


def _look_at(store: History) -> None:
    """All that somebody can see of a store."""
    for listed in store.chats():
        day_in_words(listed.day)
        with suppress(AmuletError):
            chat = Chat(store, listed.id)
            to_markdown(chat)
            to_json(chat)
            store.draft(listed.id)
    with suppress(AmuletError):
        for hit in store.search("text"):
            store.marked(hit.message, "text")
        store.inputs()
        store.draft()
        store.votes.ballots("m")
        store.votes.tally("m", "concise")


def _flipped(random: Random, path: Path) -> None:
    body = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 5, 200])):
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    path.write_bytes(body)


def _cut(random: Random, path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: random.randrange(len(body))])


def _torn_log(random: Random, path: Path) -> None:
    """What a power cut leaves: a log of which a part was written."""
    log = path.with_name(f"{path.name}-wal")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE chats SET title = 'torn'")
        db.commit()
        body = bytearray(log.read_bytes())
    del body[random.randrange(len(body) + 1) :]
    if body and random.random() < 0.5:
        body[random.randrange(len(body))] ^= 0xFF
    log.write_bytes(body)


def _version(random: Random, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        number = random.choice([-1, 0, 1, 2, 5, 99, 2**31 - 1])
        db.execute(f"PRAGMA user_version = {number}")


def _schema(random: Random, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        if random.random() < 0.5:
            db.execute("DELETE FROM sqlite_master WHERE rowid = ?", (random.randrange(1, 20),))
        else:
            words = random.choice(["", "x", "CREATE TABLE a (b)", "\0"])
            row = (words, random.randrange(1, 20))
            db.execute("UPDATE sqlite_master SET sql = ? WHERE rowid = ?", row)
        db.commit()


def _rows(random: Random, path: Path) -> None:
    """Values that no Amulet writes, in any column of any table."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        table = random.choice(tables)
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column = random.choice(columns or ["rowid"])
        odd = [None, "", "x", b"\xff\0", -1, 2**63 - 1, 1e308, "\ud7ff" * 9, "x" * 99_999, "{}"]
        limit = random.choice([1, 99])
        where = f"rowid IN (SELECT rowid FROM {table} LIMIT {limit})"
        db.execute(
            f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}", (random.choice(odd),)
        )
        db.commit()


def _other(random: Random, path: Path) -> None:
    begin = random.choice([b"", b"SQLite format 3\0", b"\0" * 9000, b"GGUF"])
    path.write_bytes(begin + random.randbytes(random.choice([0, 10, 20_000])))


# -- several at once ------------------------------------------------------------------------------


def _crowd(random: Random, folder: Path) -> str:
    """Two who chat, and the command line again and again, of which some are killed."""
    users = [_user(number, 40, "in-turn" if number else "at-once") for number in range(3)]
    killed = random.random() < 0.5
    commands = [["chats"], ["chats", "search", "here"], ["chats", "--json"]]
    for _ in range(6):
        command = [sys.executable, "-m", "amulet_local", *random.choice(commands)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
        assert done.returncode in (0, 2), (command, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        assert "Something went wrong" not in done.stderr, done.stderr
        assert "damaged" not in done.stderr, done.stderr
    if killed:
        users[2].kill()
    _check(*(_ended(user, (0, -signal.SIGKILL)) for user in users))
    return "one was killed" if killed else "all ended"


PARTS = [
    Part("refused-writes", _write, quick=1, full=2_000, limit_s=300.0),
    Part("disks", _disk, quick=0, full=300, limit_s=300.0),
    Part("damaged-stores", _damage, quick=8, full=5_000, limit_s=120.0),
    Part("crowds", _crowd, quick=0, full=60, limit_s=600.0),
]
