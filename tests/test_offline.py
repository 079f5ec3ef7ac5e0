"""No network is used unless something is fetched, neither by the app nor by its engine: processes
are watched by Python's audit, and by the system's own trace where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checks import comes, some
from tests.closing import Closable
from tests.tiny_models import write_llama
from tests.torture.pipe import answered

pytestmark = pytest.mark.model

HERE = Path(__file__).parent
ENGINE = "amulet_local.engine.worker"
QUIT, PRESETS, CHATS, ESCAPE = b"\x11", b"\x10", b"\x0c", b"\x1b"
# Of the system's calls, those that give a socket an address: of the network, not of this machine.
TRACE = ["strace", "-f", "-qq", "-e", "trace=connect,bind,sendto,sendmsg", "-o"]
TRACED = shutil.which("strace") and not subprocess.call([*TRACE, os.devnull, "true"])
NETWORK = re.compile(r"sa_family=AF_INET6?\b")


@pytest.fixture
def watched(tmp_path: Path, home: Path) -> dict[str, str]:
    """What to set so that all processes are watched."""
    write_llama(tmp_path / "tiny.gguf")
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text("max_tokens = 8\n", "utf-8")
    return {
        "PYTHONPATH": os.pathsep.join([str(HERE / "watched"), str(HERE.parent)]),
        "AMULET_WATCHED": str(tmp_path / "uses"),
    }


def test_a_talk_in_the_app_uses_no_network(
    tmp_path: Path, home: Path, watched: dict[str, str]
) -> None:
    opened = Closable(["-m", str(tmp_path / "tiny.gguf"), "-p", "concise"], watched)
    assert comes(lambda: b"ready" in opened.output)
    for keys in (PRESETS, ESCAPE, CHATS, ESCAPE, b"Is anybody there?\r"):
        opened.type(keys)
        time.sleep(0.5)  # else what comes behind an escape is taken for a part of it
    assert comes(lambda: answered(home))
    opened.type(QUIT)
    assert comes(lambda: not opened.living())
    opened.close()
    lines = (tmp_path / "uses").read_text("utf-8").splitlines()
    assert some(line for line in lines if ENGINE in line)
    assert [line for line in lines if not line.startswith("watched: ")] == []


def test_without_a_model_nothing_is_fetched_before_it_is_wanted(
    tmp_path: Path, watched: dict[str, str]
) -> None:
    opened = Closable([], watched)
    assert comes(lambda: b"Fetch" in opened.output or b"fetch" in opened.output)
    opened.type(QUIT)
    assert comes(lambda: not opened.living())
    opened.close()
    lines = (tmp_path / "uses").read_text("utf-8").splitlines()
    assert [line for line in some(lines) if not line.startswith("watched: ")] == []


@pytest.mark.parametrize("trace", [TRACE] if TRACED else [["env", "-u"]])  # which does nothing
def test_an_answer_on_the_command_line_uses_no_network(
    trace: list[str], tmp_path: Path, watched: dict[str, str]
) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    command = [sys.executable, "-m", "amulet_local", "ask", "Hello?", "-m", "tiny.gguf"]
    done = subprocess.run(
        [*trace, str(calls), *command, "--max-tokens", "4"],
        cwd=tmp_path,
        env=os.environ | watched,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert NETWORK.findall(calls.read_text("utf-8")) == []
    lines = (tmp_path / "uses").read_text("utf-8").splitlines()
    assert [line for line in some(lines) if not line.startswith("watched: ")] == []
