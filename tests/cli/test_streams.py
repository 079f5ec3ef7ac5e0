"""Closed standard streams, terminals that obey no codes, homes that are not known."""

from __future__ import annotations

import ast
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amulet_local import cli
from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History, history_file
from amulet_local.cli.output import StatusLine, console
from amulet_local.settings import config_folder
from tests.checks import some, tortures
from tests.cli.conftest import Amulet
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.slow

RESULTS = (  # a table, and what is told by argparse
    ["presets"],
    ["--help"],
    *tortures(["chats", "list"], ["doctor"], ["--version"], ["models"], ["models", "--json"]),
)
ALL: tuple[list[str], ...] = (
    ["ask", "hi"], ["models"], ["models", "pull", "default"], ["presets"], ["presets", "new", "x"],
    ["chats"], ["chats", "import", "file"], ["bench"], ["eval"], ["calibrate"], ["doctor"], [],
)  # fmt: skip


def run(arguments: list[str], *closed: int) -> subprocess.CompletedProcess[str]:
    """The command with these standard streams closed, as by `>&-`."""

    def close() -> None:
        for number in closed:
            os.close(number)

    return subprocess.run(
        [sys.executable, "-m", "amulet_local", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=close,
        check=False,
    )


@pytest.mark.parametrize("arguments", RESULTS)
def test_with_standard_output_closed_a_sentence_says_so(arguments: list[str]) -> None:
    done = run(arguments, 1)
    assert done.stderr == (
        "amulet: standard output is closed, so there is nowhere to write the result; "
        "leave it open.\n"
    )
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", RESULTS)
def test_with_standard_error_closed_the_result_is_the_same(
    arguments: list[str], amulet: Amulet
) -> None:
    closed = run(arguments, 2)
    assert closed.stdout
    assert closed.returncode == amulet(*arguments).code


def test_with_all_streams_closed_the_exit_code_tells() -> None:
    assert run(["presets", "show", "nosuch"], 0, 1, 2).returncode == 3


@pytest.mark.parametrize("arguments", RESULTS)
def test_a_reader_that_is_gone_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "amulet_local", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (["presets"], []),
        (["--help"], ["-u"]),
        (["--version"], []),
    ],
)
def test_a_full_disk_behind_standard_output_is_one_sentence(
    arguments: list[str], unbuffered: list[str]
) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, *unbuffered, "-m", "amulet_local", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_a_disk_that_fills_up_behind_standard_output_is_told(unbuffered: list[str]) -> None:
    def bound() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    with tempfile.TemporaryFile() as file:
        done = subprocess.run(
            [sys.executable, "-B", *unbuffered, "-m", "amulet_local", "--help"],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=bound,
            check=False,
        )
    assert (done.returncode, "File too large" in done.stderr) == (1, True)


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_a_pipe_that_does_not_wait_gets_all_once_it_is_read(
    unbuffered: list[str], home: Path
) -> None:
    text = "Where to? " * 20_000  # more than a pipe holds
    with History(history_file()) as store:
        chat = Chat(store)
        chat.ask(text)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen(
        [sys.executable, *unbuffered, "-m", "amulet_local", "chats", "show", chat.id],
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123 - a pipe
            shown = pipe.read()
    assert text.strip() in shown
    assert process.returncode == 0


@pytest.mark.parametrize(
    "arguments", [["presets", "show", "nosuch"], ["presets", "show", "concise"]]
)
def test_standard_error_that_nobody_can_read_changes_nothing(
    arguments: list[str], amulet: Amulet
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        for unread in (writing, full):
            done = subprocess.run(
                [sys.executable, "-m", "amulet_local", *arguments],
                stdout=subprocess.PIPE,
                stderr=unread,
                text=True,
                check=False,
            )
            usual = amulet(*arguments)
            assert (done.returncode, done.stdout) == (usual.code, usual.out)
    os.close(writing)


def test_a_result_is_not_lost_with_what_is_told_beside_it(amulet: Amulet) -> None:
    (config_folder() / "presets").mkdir(parents=True)
    (config_folder() / "presets" / "broken.toml").write_text("preference = 1")
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "amulet_local", "presets"],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert "broken.toml cannot be used" in amulet("presets").err
    assert (done.returncode, "concise" in done.stdout) == (0, True)


# -- terminals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dumb", "DUMB", "unknown"])
def test_a_terminal_without_codes_cannot_show_the_chat(
    name: str, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", name)
    done = amulet()
    assert done.code == 2
    assert f"this terminal cannot show the chat (TERM is {name})" in done.err
    assert 'amulet ask "question"' in done.err


@pytest.mark.parametrize(
    ("terminal", "plain"), [("dumb", True), ("unknown", True), ("xterm-256color", False)]
)
def test_a_terminal_without_codes_is_told_of_nothing_that_replaces_itself(
    terminal: str,
    plain: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = StatusLine()
    line.show("Loading the model: 10%")
    line.clear()
    assert ("\x1b" not in capsys.readouterr().err) is plain
    assert console(stderr=True).is_terminal is not plain


def test_on_a_terminal_without_codes_the_reply_is_plain_text(
    amulet: Amulet, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    done = amulet("ask", "Where to?", terminal=True)
    assert done == (0, "Take the coast path.\n", "")


# -- homes ----------------------------------------------------------------------------------------


@pytest.fixture
def chat_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat that would open is an error: it could keep nothing."""

    def run_chat(**_: Any) -> int:
        raise AssertionError

    monkeypatch.setattr("tui.app.run_chat", run_chat)


@pytest.mark.usefixtures("chat_opens")
@pytest.mark.parametrize("arguments", ALL, ids=" ".join)
def test_a_home_of_nobody_is_a_sentence(
    arguments: list[str], amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMULET_HOME", "~nosuchuser/x")
    done = amulet(*arguments)
    assert done.code == 3
    assert "AMULET_HOME is ~nosuchuser/x, but ~nosuchuser is not a user's home folder" in done.err


@pytest.mark.usefixtures("chat_opens")
@pytest.mark.parametrize("arguments", ALL, ids=" ".join)
def test_no_home_and_an_unknown_user_is_a_sentence(
    arguments: list[str], amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_id: int) -> Callable[[], None]:
        raise KeyError

    monkeypatch.delenv("AMULET_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    done = amulet(*arguments)
    assert done.code == 3
    assert "set HOME or AMULET_HOME to the full path of a folder" in done.err


# -- one way to the terminal ----------------------------------------------------------------------


def test_only_output_prints() -> None:
    sources = [path for path in Path(cli.__file__).parent.glob("*.py") if path.stem != "output"]
    printing = [
        f"{path.name}:{node.lineno}"
        for path in some(sources)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "Console", "sys.stdout.write", "sys.stderr.write")
    ]
    assert printing == []
