"""The command as users run it: a process of its own, the real engine, real models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from amulet_local.presets.preset import load_presets
from tests.checks import comes, some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

AMULET_COMMAND = [sys.executable, "-m", "amulet_local"]
HOLIDAY = "What makes a good walking holiday?"


def amulet(*arguments: str, piped: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AMULET_COMMAND, *arguments],
        input=piped,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def document(*arguments: str, piped: str = "") -> Any:
    done = amulet(*arguments, "--json", piped=piped)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of random weights that never ends its reply by itself."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_llama(path)
    return str(path)


def test_piped_input_is_answered_and_nothing_else_is_printed(tiny: str) -> None:
    options = ("-m", tiny, "--threads", "1", "--max-tokens", "8", "--seed", "1", "--json")
    replies = [json.loads(amulet(*options, piped="Hello?").stdout) for _ in range(2)]
    assert replies[0]["finish_reason"] == "length"
    assert len(replies[0]["token_ids"]) == 8
    assert replies[0]["text"] == replies[1]["text"]


def test_a_trace_measures_every_token(tiny: str) -> None:
    options = ("-m", tiny, "--threads", "1", "-p", "concise", "--max-tokens", "6", "--trace")
    reply = document("ask", "Hello?", *options)
    assert [step["token"] for step in reply["steps"]] == reply["token_ids"]
    assert all(step["shift"] >= 0 and step["logp_base"] < 0 for step in some(reply["steps"]))
    assert reply["stats"]["streams"] == 2
    assert reply["strength"] == load_presets().get("concise").usual_strength


def test_an_interrupted_reply_stands_and_the_engine_is_gone(tiny: str) -> None:
    process = subprocess.Popen(
        [*AMULET_COMMAND, "ask", "Hello?", "-m", tiny, "--max-tokens", "100000", "--threads", "1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        begun = process.stdout.read(1)
        (engine,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        told = process.stderr.read()
    assert process.returncode == 130
    assert (begun + rest).endswith(b"\n")
    assert told == b""
    assert comes(lambda: not engine.is_running())  # once init has heard of its end


def test_a_prompt_longer_than_the_context_is_refused(tiny: str) -> None:
    done = amulet(
        "ask", "-", "-m", tiny, "--context", "256", "--threads", "1", piped="word " * 2000
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the context only holds 256" in done.stderr
    assert done.stderr.count("\n") == 1


def test_half_a_model_is_refused_before_the_engine_sees_it(tiny: str, tmp_path: Path) -> None:
    half = tmp_path / "half.gguf"
    data = Path(tiny).read_bytes()
    half.write_bytes(data[: len(data) // 2])
    done = amulet("ask", "Hello?", "-m", str(half))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1


def test_it_runs_in_a_locale_without_unicode(tiny: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*AMULET_COMMAND, "presets", "show", "today-is"],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'title = "Today is ?"' in done.stdout


def test_the_methods_differ_in_streams_and_strength_on_the_default_model(
    default_model: Path,
) -> None:
    """How long their replies get is a matter of twenty questions: tests/engine/test_engine.py."""
    options = ("-m", str(default_model), "-p", "concise", "--guard", "0", "--max-tokens", "8")
    pref, amulet = ("--method", "pref"), ("--strength", "5.65")
    for way, strength, streams in ((pref, 1.0, 1), (amulet, 5.65, 2)):
        reply = document("ask", HOLIDAY, *options, *way)
        assert (reply["strength"], reply["guard"]) == (strength, 0)
        assert reply["stats"]["streams"] == streams
        assert reply["text"].strip()
        assert 1 <= len(reply["token_ids"]) <= 8
