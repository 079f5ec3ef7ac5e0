"""`amulet eval` and `amulet calibrate` on a tiny model: from what is typed to what is kept."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from amulet_local.evaluation.writing import Writer
from amulet_local.presets.calibrated import bearing, calibrated_strength
from amulet_local.presets.firmness import USUAL_BEARING
from amulet_local.presets.preset import load_presets
from amulet_local.settings import config_folder
from tests.cli.conftest import Amulet
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def short(tiny: str, out: Path, *more: str) -> tuple[str, ...]:
    """The options of an evaluation that takes a second."""
    methods = ("--methods", "base,pref,la,amulet,beam@beams=2", "--presets", "concise")
    size = ("--limit", "2", "--max-tokens", "8", "--threads", "1")
    return ("eval", "-m", tiny, "--out", str(out), *methods, *size, *more)


@pytest.mark.parametrize("layers", ["0", "all", "auto"])
def test_layers_are_said_as_everywhere(amulet: Amulet, tiny: str, out: Path, layers: str) -> None:
    assert amulet(*short(tiny, out, "--methods", "base", "--gpu-layers", layers)).code == 0


def test_an_evaluation_leaves_replies_numbers_and_a_page(
    amulet: Amulet, tiny: str, out: Path
) -> None:
    result = amulet(*short(tiny, out))
    assert result.code == 0
    assert "Judged by the model itself; 2 questions." in result.out
    assert str(out / "report.html") in result.out
    names = {"replies.jsonl", "judgements.jsonl", "report.json", "report.html", "setting.json"}
    assert {path.name for path in out.iterdir()} == names
    assert len((out / "replies.jsonl").read_text().splitlines()) == 2 * 5
    report = json.loads((out / "report.json").read_text())
    assert [each["variant"] for each in report["methods"]] == [
        "base",
        "pref",
        "beam@beams=2",
        "la",
        "amulet",
    ]


def test_a_report_is_made_anew_without_the_model(amulet: Amulet, tiny: str, out: Path) -> None:
    first = amulet(*short(tiny, out, "--json")).document
    Path(tiny).unlink()
    (out / "report.html").unlink()
    again = amulet("eval", "--report", str(out), "--json")
    assert again.code == 0
    assert again.document == first
    assert (out / "report.html").exists()


def test_a_report_may_be_of_some_questions(amulet: Amulet, tiny: str, out: Path) -> None:
    amulet(*short(tiny, out))
    second = amulet("eval", "--report", str(out), "--skip", "1", "--limit", "1", "--json").document
    assert second["questions"] == 1
    assert {each["replies"] for each in second["methods"]} == {1}
    page = (out / "report.html").read_text()
    assert "first day at a new job" not in page
    assert "learn the names of trees" in page


def test_the_same_command_writes_nothing_twice_and_a_wider_one_adds(
    amulet: Amulet, tiny: str, out: Path
) -> None:
    amulet(*short(tiny, out))
    before = (out / "replies.jsonl").read_text()
    amulet(*short(tiny, out))
    assert (out / "replies.jsonl").read_text() == before
    result = amulet(*short(tiny, out, "--preference", "Rhyme.", "--json"))
    assert list(result.document["preferences"]) == ["concise", "Rhyme."]
    assert (out / "replies.jsonl").read_text().startswith(before)


def test_stopped_it_says_so_and_reports_what_there_is(
    amulet: Amulet, tiny: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amulet(*short(tiny, out, "--limit", "1"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "write", stop)
        result = amulet(*short(tiny, out))
    assert result.code == 130
    assert "stopped; run the same command to continue." in result.err
    assert (out / "report.html").exists()


def test_another_judge_may_be_named(amulet: Amulet, tiny: str, out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    write_llama(other, seed=7)
    document = amulet(*short(tiny, out, "--judge", str(other), "--json")).document
    assert (document["judge"], document["judges_itself"]) == ("other", False)
    assert amulet("eval", "--report", str(out), "--json").document == document
    itself = amulet("eval", "--report", str(out), "--judge", tiny, "--json").document
    assert itself["judges_itself"]


def test_a_judge_of_the_models_name_is_refused(
    amulet: Amulet, tiny: str, out: Path, tmp_path: Path
) -> None:
    namesake = tmp_path / "elsewhere" / Path(tiny).name
    namesake.parent.mkdir()
    write_llama(namesake, seed=7)
    result = amulet(*short(tiny, out, "--judge", str(namesake)))
    assert result.code == 2
    assert "both called tiny" in result.err


def test_verdicts_can_be_left_out_and_made_later(amulet: Amulet, tiny: str, out: Path) -> None:
    def verdicts(*more: str) -> list[Any]:
        document = amulet(*short(tiny, out, "--json", *more)).document
        return [each["against_pref"]["verdict"] for each in document["methods"][2:]]

    assert verdicts("--no-verdicts") == [None] * 3
    assert None not in verdicts()
    assert "its choice depended on the order of the replies" in amulet(*short(tiny, out)).out


def test_the_papers_setting_goes_for_all_methods(amulet: Amulet, tiny: str, out: Path) -> None:
    options = [option for option in short(tiny, out) if option not in ("--max-tokens", "8")]
    document: Any = amulet(*options, "--limit", "1", "--paper", "--json").document
    assert document["setting"]["max_tokens"] == 128
    amulet_, la = (
        next(each for each in document["methods"] if each["variant"] == name)
        for name in ("amulet", "la")
    )
    assert (round(amulet_["strength"], 4), amulet_["guard"]) == (5.6487, 0)
    assert la["guard"] == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--methods", "best"), 2, "there is no method 'best'"),
        (("--presets", "unheard-of"), 3, "there is no preset called"),
        (("--presets", ","), 2, "--presets is empty"),
        (("--preference", " "), 2, "--preference is empty"),
        (("--questions", "/nowhere.json"), 3, "there is no file"),
        (("--judge", "/nowhere.gguf"), 3, "nowhere.gguf"),
        (("--limit", "0"), 2, "--limit"),
        (("--skip", "40"), 2, "--skip 40 leaves none of the 40 questions"),
        (("--paper",), 2, "--paper already sets --max-tokens;"),
        (("--temperature", "-1"), 2, "--temperature"),
        (("--out", "/dev/null"), 2, "nothing can be written to /dev/null (File exists); choose"),
        (("--out", "/dev/null/x"), 2, "nothing can be written to /dev/null/x (Not a directory)"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    amulet: Amulet, tiny: str, out: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    result = amulet(*short(tiny, out, *options))
    assert result.code == code
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_what_is_skipped_for_one_reason_is_said_in_one_line(
    amulet: Amulet, tiny: str, out: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.txt"
    questions.write_text("\n".join("why " * length for length in (3000, 3100, 3200)))
    result = amulet(*short(tiny, out, "--questions", str(questions), "--methods", "pref"))
    assert result.code == 0
    (line,) = (line for line in result.err.splitlines() if "skipped" in line)
    assert line.startswith("amulet: skipped 2 of the replies: its prompt leaves no room for 8 ")


def test_a_folder_with_other_settings_is_left_alone(amulet: Amulet, tiny: str, out: Path) -> None:
    amulet(*short(tiny, out, "--limit", "1"))
    result = amulet(*short(tiny, out, "--limit", "1", "--seed", "5"))
    assert result.code == 2
    assert "a different seed" in result.err


def test_a_report_of_nothing_says_how_to_begin(amulet: Amulet, tmp_path: Path) -> None:
    result = amulet("eval", "--report", str(tmp_path))
    assert result.code == 3
    assert "contains no evaluation" in result.err
    result = amulet("eval", "--report", "/dev/null")
    assert result.code == 3
    assert "setting.json cannot be read (Not a directory); choose another folder" in result.err


def test_missing_packages_are_named_with_how_to_get_them(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "matplotlib":
            raise ModuleNotFoundError(name="matplotlib")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    result = amulet("eval")
    assert result.code == 3
    assert 'pip install "amulet-local[eval]"' in result.err


# -- calibrate ------------------------------------------------------------------------------------


def calibrate(tiny: str, *more: str) -> tuple[str, ...]:
    return ("calibrate", "-m", tiny, "--questions", "2", "--threads", "1", *more)


def within(tried: dict[str, float]) -> bool:
    """Whether a strength keeps the quality."""
    quality = min(tried["distinct_3"], tried["on_question"])
    return tried["perplexity"] <= 1.5 and quality >= 0.95


def test_a_strength_is_found_kept_and_forgotten(amulet: Amulet, tiny: str) -> None:
    concise = load_presets().get("concise")
    result = amulet(*calibrate(tiny, "-p", "concise", "--json"))
    assert result.code == 0
    tried = result.document["concise"]
    assert [each["strength"] for each in tried][:2] == [1.5, 2.0]
    found = calibrated_strength(tiny, concise)
    kept = [each["strength"] for each in tried if within(each)]
    assert found == max(kept, default=1.0)
    assert "deleted: concise." in amulet("calibrate", "-m", tiny, "--forget").err
    assert calibrated_strength(tiny, concise) is None


@pytest.mark.parametrize("empty", ["", " , "])
def test_presets_that_are_none_calibrate_and_forget_nothing(
    amulet: Amulet, tiny: str, empty: str
) -> None:
    """As a variable of a script may be empty."""
    for more in ([], ["--forget"]):
        result = amulet(*calibrate(tiny, "-p", empty, *more))
        assert result.code == 2
        assert "-p is empty; list the presets with: amulet presets" in result.err


def test_without_a_preset_it_finds_what_the_model_bears_in_general(
    amulet: Amulet, tiny: str
) -> None:
    result = amulet(*calibrate(tiny, "--json"))
    assert result.code == 0
    assert list(result.document) == ["in general"]
    kept = [each["strength"] for each in result.document["in general"] if within(each)]
    assert bearing(tiny) == max(kept, default=1.0)
    assert "deleted: in general." in amulet("calibrate", "-m", tiny, "--forget").err
    assert bearing(tiny) == USUAL_BEARING


def test_a_context_without_room_is_said_in_a_sentence(amulet: Amulet, tiny: str) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text("[engine]\ncontext = 64\n")
    result = amulet(*calibrate(tiny, "-p", "concise"))
    assert result.code == 3
    assert "a context of 64 tokens has no room for a question and its reply" in result.err


def test_a_margin_below_prompting_is_refused(amulet: Amulet, tiny: str) -> None:
    result = amulet(*calibrate(tiny, "--margin", "0.9"))
    assert result.code == 2
    assert "--margin must be above 1" in result.err
