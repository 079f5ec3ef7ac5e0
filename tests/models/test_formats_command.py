"""`amulet models` about formats: both numbers, the question and the command, where they belong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.cli import formats, main
from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import models_folder
from models import format_trial
from models.fetch import OnProgress
from models.format_trial import Outlook, Trial, Tried
from models.pull import Pulled
from tests.tiny_models import write_llama

Capture = pytest.CaptureFixture[str]
WORTH_IT = Tried("q8_0", 1.34, 1.004, 0.003)
TOO_DEAR = Tried("q8_0", 1.51, 1.052, 0.006)
SENTENCE = (
    "Measured here, a Q8_0 copy is 1.34 times as fast as F32 at 0.4% (± 0.3) more perplexity, "
    "made from Tiny.F32.gguf."
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tiny() -> Path:
    models_folder().mkdir(parents=True)
    path = models_folder() / "Tiny.F32.gguf"
    write_llama(path)
    return path


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Outlook]]:
    """Has trials find this, or fail; those that were made."""
    made: list[Outlook] = []

    def finds(*tried: Tried, error: BaseException | None = None) -> list[Outlook]:
        def run(promised: Outlook, options: LoadOptions, on_progress: OnProgress) -> Trial:
            made.append(promised)
            if error:
                raise error
            trial = Trial("F32", str(promised.source.path), "", tried)
            format_trial.keep(promised.card.path, options, trial)
            return trial

        monkeypatch.setattr(format_trial, "run", run)
        return made

    return finds


@pytest.fixture
def pulled(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `pull` fetches."""
    monkeypatch.setattr("models.pull.pull", lambda *_: Pulled("tiny", tiny, 9, "", fetched=True))
    return tiny


def answers(monkeypatch: pytest.MonkeyPatch, *given: str) -> None:
    """Somebody is there, and answers."""
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{each}\n" for each in given)))
    monkeypatch.setattr(formats, "can_ask", lambda: True)


def copy() -> Path:
    return models_folder() / "Tiny.Q8_0.gguf"


def test_without_a_terminal_both_numbers_and_the_command_are_printed(
    tiny: Path, finds: Callable[..., object], capsys: Capture
) -> None:
    finds(WORTH_IT)
    assert main(["models", "quantize", "tiny.f32"]) == 0
    said, command = capsys.readouterr().out.splitlines()
    assert said == SENTENCE
    assert command == f"To write it: amulet models quantize {tiny} --type q8_0"
    assert not copy().exists()


def test_what_is_not_worth_it_is_told_and_not_offered(
    tiny: Path, finds: Callable[..., object], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    finds(TOO_DEAR)
    answers(monkeypatch)
    assert main(["models", "quantize", "tiny.f32"]) == 0
    (said,) = capsys.readouterr().out.splitlines()
    assert said.endswith(
        "Q8_0 would be 1.51 times as fast at 5.2% (± 0.6) more perplexity: not worth it."
    )


@pytest.mark.model
@pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_one_answer_writes_it(
    answer: str,
    written: bool,
    tiny: Path,
    finds: Callable[..., object],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finds(WORTH_IT)
    answers(monkeypatch, answer)
    assert main(["models", "quantize", "tiny.f32"]) == 0
    out, err = capsys.readouterr()
    assert "Write the Q8_0 copy? [y/n]" in err
    assert copy().exists() is written
    assert (f"Wrote {copy()}" in out) is written


@pytest.mark.model
def test_yes_writes_it_and_json_tells_all(
    tiny: Path, finds: Callable[..., object], capsys: Capture
) -> None:
    finds(WORTH_IT)
    assert main(["models", "quantize", "tiny.f32", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(tiny),
        "source": str(tiny),
        "tried": [
            {
                "type": "q8_0",
                "speed": 1.34,
                "perplexity": 1.004,
                "margin": 0.003,
                "worth_it": True,
            }
        ],
        "best": "q8_0",
        "written": str(copy()),
    }
    assert copy().exists()


def test_where_no_format_is_known_to_be_faster_nothing_is_measured(
    tiny: Path,
    finds: Callable[..., list[Outlook]],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = finds(WORTH_IT)
    monkeypatch.setattr(format_trial, "worth_trying", lambda *_: ())
    assert main(["models", "quantize", "tiny.f32"]) == 0
    assert (
        capsys.readouterr().out == "No other format of Tiny.F32.gguf is known to be faster here.\n"
    )
    assert made == []


@pytest.mark.model
def test_a_copy_is_made_from_the_most_precise_file(tiny: Path, capsys: Capture) -> None:
    assert main(["models", "quantize", "tiny.f32", "--type", "q8_0"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["models", "quantize", "tiny.q8_0", "--type", "q4_0"]) == 0
    assert "made from Tiny.F32.gguf, the most precise file" in capsys.readouterr().err


def test_info_tells_what_was_measured_in_place_of_the_rule(
    tiny: Path, finds: Callable[..., object], capsys: Capture
) -> None:
    main(["models", "info", "tiny.f32"])
    assert f"to measure it: amulet models quantize {tiny}" in capsys.readouterr().out
    finds(WORTH_IT)
    main(["models", "quantize", "tiny.f32"])
    capsys.readouterr()
    main(["models", "info", "tiny.f32", "--json"])
    hint = json.loads(capsys.readouterr().out)["hint"]
    assert hint == f"{SENTENCE} To write it: amulet models quantize {tiny} --type q8_0"
    copy().touch()
    main(["models", "info", "tiny.f32", "--json"])
    assert json.loads(capsys.readouterr().out)["hint"] == f"{SENTENCE} It is here: {copy()}"


# -- behind a fetch -------------------------------------------------------------------------------


@pytest.mark.usefixtures("pulled")
def test_a_fetch_on_a_terminal_is_followed_by_a_trial_once(
    finds: Callable[..., list[Outlook]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finds(WORTH_IT)
    answers(monkeypatch, "n")
    for _ in range(2):
        assert main(["models", "pull", "tiny"]) == 0
    assert SENTENCE in capsys.readouterr().out
    assert len(made) == 1


@pytest.mark.usefixtures("pulled")
def test_four_bits_are_not_made_from_four_bits_unasked(
    finds: Callable[..., list[Outlook]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finds(WORTH_IT)
    answers(monkeypatch)
    monkeypatch.setattr(Outlook, "is_promising", False)
    assert main(["models", "pull", "tiny"]) == 0
    assert made == []


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize("words", [[], ["--json"], ["--no-try-formats"]])
def test_a_fetch_elsewhere_is_not(
    words: list[str], finds: Callable[..., list[Outlook]], capsys: Capture
) -> None:
    made = finds(WORTH_IT)
    assert main(["models", "pull", "tiny", *words]) == 0
    assert made == []


@pytest.mark.usefixtures("pulled")
def test_unless_it_is_asked_for(finds: Callable[..., list[Outlook]], capsys: Capture) -> None:
    finds(WORTH_IT)
    assert main(["models", "pull", "tiny", "--try-formats"]) == 0
    assert SENTENCE in capsys.readouterr().out
    assert main(["models", "pull", "tiny", "--try-formats", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["formats"]["best"]) == ("tiny", "q8_0")


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotUsableError("there is no memory for it."), "amulet: there is no memory for it."),
        (KeyboardInterrupt(), "amulet: stopped; to measure it later: amulet models quantize"),
    ],
)
def test_a_trial_that_ends_early_is_no_failure_of_the_fetch(
    error: BaseException,
    told: str,
    finds: Callable[..., list[Outlook]],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finds(error=error)
    answers(monkeypatch)
    assert main(["models", "pull", "tiny"]) == 0
    assert told in capsys.readouterr().err
