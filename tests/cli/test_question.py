"""The question of `amulet ask`: typed, piped, or both."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amulet_local.cli import standard_input
from tests.cli.conftest import Amulet, Result
from tests.fake_engine import FakeEngine


@pytest.mark.parametrize(
    ("arguments", "piped", "question"),
    [
        (["ask", "Sum up:", "-"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "-", "Sum up:"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "Sum up:", "-p", "concise", "-"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "Sum up:", "-"], b"", "Sum up:"),
        (["ask", "Sum up:"], b"a text that is not for it", "Sum up:"),
        (["ask", "Sum up:"], b"", "Sum up:"),
        (["ask", "-"], b"a text", "a text"),
        (["ask"], b" a text \n", "a text"),
        ([], b"a text", "a text"),
        (["-p", "concise", "--temperature", "0"], b"a text", "a text"),
        (["ask", "-"], b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (["ask", "\udcff?"], b"", "\ufffd?"),
        (["ask"], "\ufeffWhere to?".encode(), "Where to?"),
        (["ask"], "Où ?".encode("utf-16"), "Où ?"),
        (["ask"], "\ufeffOù ?".encode("utf-16-be"), "Où ?"),
        (["ask"], b"one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_a_question_is_typed_or_piped_or_both(
    amulet: Amulet, engine: FakeEngine, arguments: list[str], piped: bytes, question: str
) -> None:
    assert amulet(*arguments, piped=piped).code == 0
    assert engine.requests[-1].messages[0].text == question


@pytest.mark.parametrize(
    ("piped", "place"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00", "line 1: it is binary, not text, byte 8 is zero"),
        (b"one\ntwo\0", "line 2: it is binary"),
        ("Where to?".encode("utf-16-le"), "line 1: it is binary"),  # without a mark
        (b"\xff\xfea\x00\x00\x00", "byte 5 is zero"),
    ],
)
def test_piped_bytes_that_are_no_text_are_refused(
    amulet: Amulet, engine: FakeEngine, piped: bytes, place: str
) -> None:
    for arguments in (["ask"], ["ask", "What is this?", "-"], []):
        result = amulet(*arguments, piped=piped)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("amulet: standard input is not text (line ")
        assert place in result.err
        assert result.err.count("\n") == 1
    assert not engine.loads


def test_what_cannot_be_decoded_is_told(amulet: Amulet, engine: FakeEngine) -> None:
    err = amulet("ask", piped=b"one\ncaf\xe9").err
    assert "(line 2: it is not text in UTF-8, byte 8, 0xE9, cannot be decoded)" in err


def test_nothing_below_a_question_is_told(amulet: Amulet, engine: FakeEngine) -> None:
    assert "standard input is empty" in amulet("ask", "Sum up:", "-", piped=b"").err


@pytest.fixture
def pipe(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, Callable[..., Result]]]:
    """A pipe that stays open: what writes to it, and a command that has it as standard input."""
    reading, writing = os.pipe()

    def run(*arguments: str) -> Result:
        with os.fdopen(os.dup(reading)) as source:
            return amulet(*arguments, stdin=source)

    yield writing, run
    os.close(reading)
    os.close(writing)


def test_with_a_question_an_open_pipe_is_not_waited_for(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine
) -> None:
    assert pipe[1]("ask", "Where to?") == (0, "Take the coast path.\n", "")


def test_what_is_piped_beside_a_question_stays_for_others_and_is_said_to_be_unread(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine
) -> None:
    os.write(pipe[0], b"the next line\n")
    result = pipe[1]("ask", "Where to?")
    assert (result.code, result.out) == (0, "Take the coast path.\n")
    told = "amulet: standard input was not read; to append it to the question, add: -\n"
    assert result.err == told


def test_a_loop_over_the_lines_of_a_file_has_each_answered(
    amulet: Amulet, engine: FakeEngine, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("one?\ntwo?\nthree?\n")
    with lines.open("rb", buffering=0) as file:  # as a shell reads: no further than it needs
        codes = []
        while line := file.readline().decode().strip():
            with os.fdopen(os.dup(file.fileno())) as source:
                codes.append(amulet("ask", line, stdin=source).code)
    assert codes == [0, 0, 0]
    assert [each.messages[0].text for each in engine.requests] == ["one?", "two?", "three?"]


def test_who_waits_for_standard_input_is_told_so(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard_input, "PATIENCE_S", 0.0)
    writer, run = pipe
    told = threading.Event()

    def say(text: str) -> None:
        """What is told ends the wait."""
        assert "reading from standard input" in text
        told.set()
        os.write(writer, b"Where to?")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)

    monkeypatch.setattr(standard_input, "say", say)
    assert run("ask").out == "Take the coast path.\n"
    assert told.is_set()
    assert engine.requests[-1].messages[0].text == "Where to?"


def test_too_much_piped_text_is_refused_before_anything_else(
    amulet: Amulet, engine: FakeEngine
) -> None:
    result = amulet("ask", piped=b"x" * (4 * 1024 * 1024 + 1))
    assert (result.code, result.out) == (2, "")
    assert "larger than 4,194,304 bytes" in result.err
    assert not engine.loads
