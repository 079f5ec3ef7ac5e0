"""`amulet` itself: which command runs, what the chat is given, and how failures end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from amulet_local import __version__
from amulet_local.cli import main
from amulet_local.presets.mixing import Chosen, Together
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import app_log, config_folder
from tests.cli.conftest import Amulet, use
from tests.fake_engine import FakeEngine


@pytest.fixture
def chats(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the chat was opened with; it ends at once, with exit code 7."""
    opened: list[dict[str, Any]] = []

    def run_chat(**arguments: Any) -> int:
        opened.append(arguments)
        return 7

    app = ModuleType("tui.app")
    app.run_chat = run_chat  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tui.app", app)
    return opened


def test_without_a_command_the_chat_opens(amulet: Amulet, chats: list[dict[str, Any]]) -> None:
    assert amulet().code == 7
    (opened,) = chats
    assert opened == {
        "model": "", "faders": (), "together": Together(), "strength": None, "thinking": None,
        "options": LoadOptions(), "temporary": False,
    }  # fmt: skip


def test_the_chat_takes_its_options_over_the_config(
    amulet: Amulet, chats: list[dict[str, Any]]
) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text(
        'model = "a"\npreset = "formal"\n[engine]\nthreads = 3'
    )
    amulet()
    amulet(
        "-m",
        "c",
        "-p",
        "concise",
        "--strength",
        "2",
        "--context",
        "99",
        "--thinking",
        "--temporary",
    )
    presets = load_presets()
    concise, formal = presets.get("concise"), presets.get("formal")
    assert chats == [
        {
            "model": "a",
            "faders": (Chosen(formal),),
            "together": Together.of([Chosen(formal)]),
            "strength": None,
            "thinking": None,
            "temporary": False,
            "options": LoadOptions(threads=3),
        },
        {
            "model": "c",
            "faders": (Chosen(concise),),
            "together": Together.of([Chosen(concise)]),
            "strength": 2.0,
            "thinking": True,
            "temporary": True,
            "options": LoadOptions(threads=3, context=99),
        },
    ]


def test_an_option_that_the_chat_does_not_know_is_refused(
    amulet: Amulet, chats: list[dict[str, Any]]
) -> None:
    result = amulet("--temperature", "0")
    assert result.code == 2
    assert result.err == "amulet: unrecognized arguments: --temperature 0; see: amulet --help\n"
    assert not chats


def test_piped_input_is_answered_without_a_screen(
    amulet: Amulet, engine: FakeEngine, chats: list[dict[str, Any]]
) -> None:
    assert amulet("-p", "concise", piped=b"Where to?\n").out == "Take the coast path.\n"
    assert engine.requests[0].alignment.preference.startswith("Your answer should be concise")
    assert not chats


def test_piped_nothing_is_a_usage_error(amulet: Amulet, chats: list[dict[str, Any]]) -> None:
    result = amulet(piped=b"")
    assert result.code == 2
    assert "the question is empty" in result.err
    assert not chats


def test_a_closed_standard_input_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main([]) == 2
    assert "the question is empty" in capsys.readouterr().err


def test_version_and_help_need_no_keyboard(amulet: Amulet) -> None:
    assert amulet("--version", piped=b"") == (0, f"amulet {__version__}\n", "")
    result = amulet("--help", piped=b"")
    assert result.code == 0
    for command in ("ask", "models", "presets", "doctor", "--strength"):
        assert command in result.out
    assert amulet("-m", "x", "-h").out == result.out


def test_an_unknown_command_may_be_a_question(amulet: Amulet) -> None:
    result = amulet("Why is the sky blue?")
    assert result.code == 2
    assert result.err.endswith("type: amulet ask 'Why is the sky blue?'\n")


@pytest.mark.parametrize("command", ["ask", "models", "presets", "doctor"])
def test_every_command_has_help(amulet: Amulet, command: str) -> None:
    result = amulet(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"usage: amulet {command}")


def test_a_missing_package_is_named(amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tui.app", None)
    result = amulet()
    assert result.code == 3
    assert "the package tui.app is missing" in result.err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            ImportError("Not to be imported!\n\nOriginal error was: x.so: no room\n"),
            3,
            "a part of Amulet cannot be loaded (Original error was: x.so: no room); free some "
            "memory, or reinstall Amulet with its dependencies.",
        ),
        (MemoryError(), 1, "there is not enough memory; close other programs, then try again."),
        (RecursionError("too deep"), 1, "Something went wrong in Amulet; details are in "),
        (UnicodeEncodeError("utf-8", "", 0, 1, "no"), 1, "Something went wrong in Amulet; "),
    ],
)
def test_whatever_fails_is_a_sentence(
    error: Exception,
    code: int,
    told: str,
    amulet: Amulet,
    monkeypatch: pytest.MonkeyPatch,
    engine: FakeEngine,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "reply", fail)
    result = amulet("ask", "?")
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(f"amulet: {told}")
    assert result.err.count("\n") == 1


def test_what_nobody_foresaw_has_its_traceback_in_a_file(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    monkeypatch.setattr(engine, "reply", lambda _: 1 / 0)
    assert str(app_log()) in amulet("ask", "?").err
    assert "ZeroDivisionError" in app_log().read_text("utf-8")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk is full: No space left on device); free some space and try again"),
        (errno.EDQUOT, "Disk quota exceeded); free some space and try again"),
        (errno.EROFS, "Read-only file system); fix that and try again"),
        (errno.EACCES, "Permission denied); fix that and try again"),
        (errno.ENAMETOOLONG, "File name too long); use a shorter name"),
        (errno.EMFILE, "Too many open files); close other programs, or allow more open files"),
        (errno.EIO, "Input/output error); check the disk"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    number: int, told: str, amulet: Amulet, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/there")

    monkeypatch.setattr(engine, "reply", refuse)
    result = amulet("ask", "?")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"amulet: the operating system reported an error (/there: {told}")
    assert result.err.count("\n") == 1


def test_a_file_that_cannot_be_put_in_place_is_told_by_its_own_name(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "part").touch()
    (tmp_path / "whole").mkdir()
    rename = partial((tmp_path / "part").rename, tmp_path / "whole")
    monkeypatch.setattr(engine, "reply", lambda _: rename())
    told = f"({tmp_path / 'whole'}: Is a directory); fix that and try again."
    assert amulet("ask", "?").err == f"amulet: the operating system reported an error {told}\n"


@pytest.mark.slow
def test_a_reader_that_has_read_enough_is_no_error(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine()
    use(fake, monkeypatch)
    code = (
        "import sys; from pathlib import Path; from tests.fake_engine import FakeEngine; "
        "from amulet_local.cli import ask, main; "
        "ask.EngineProcess = lambda _: FakeEngine(['word '] * 100_000); "
        "ask.chat_model = lambda name: Path('m'); sys.exit(main(['ask', '?']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.read(4) == b"word"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_chat_needs_neither_the_models_nor_tables_to_start() -> None:
    code = (
        "import sys, amulet_local.cli; "
        "print(*{'rich', 'textual', 'llama_cpp', 'models', 'tui'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_ctrl_c_while_modules_are_imported_is_told_by_nothing_but_the_signal() -> None:
    script = (
        "import amulet_local.__main__ as command, os, signal\nos.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
