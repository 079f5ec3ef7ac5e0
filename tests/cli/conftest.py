"""The command line run in this process, on a fake engine."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest

from amulet_local.cli import main
from tests.fake_engine import FakeEngine


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Keyboard(io.TextIOWrapper):
    """A standard input at which somebody could type."""

    def isatty(self) -> bool:
        return True


Amulet = Callable[..., Result]


@pytest.fixture
def amulet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Amulet:
    """`amulet("ask", "question")`: typed at a terminal, unless piped; shown on one if terminal.

    stdin: another standard input.
    """

    def run(
        *arguments: str,
        piped: bytes | None = None,
        terminal: bool = False,
        stdin: TextIO | None = None,
    ) -> Result:
        source = io.BytesIO(piped or b"")
        usual = Keyboard(source) if piped is None else io.TextIOWrapper(source)
        monkeypatch.setattr(sys, "stdin", stdin or usual)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse's --help and --version
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that `ask` gets; any model will do."""
    fake = FakeEngine()
    use(fake, monkeypatch)
    return fake


def use(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a fake engine in the real one's place."""
    monkeypatch.setattr("amulet_local.cli.ask.EngineProcess", lambda _needs: fake)
    monkeypatch.setattr("amulet_local.cli.ask.chat_model", lambda name: Path(name or "default"))
