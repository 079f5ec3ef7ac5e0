"""What `amulet ask` refuses before anything is loaded, in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.asking import configure, make_preset
from tests.cli.conftest import Amulet
from tests.fake_engine import FakeEngine

# -- requests that cannot be served ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--strength nan -p concise", 2, "--strength: must be a number from -1000 to 1000"),
        ("--strength=-inf -p concise", 2, "--strength: must be a number"),
        ("--strength strong -p concise", 2, "not 'strong'"),
        ("--guard 1.5", 2, "--guard: must be a number from 0 to 1, not '1.5'"),
        ("--guard nan", 2, "--guard: must be a number from 0 to 1"),
        ("--max-tokens 0", 2, "--max-tokens: must be a whole number from 1 to"),
        ("--max-tokens 1.5", 2, "must be a whole number"),
        ("--max-tokens 99999999999", 2, "must be a whole number from 1 to 2,147,483,647"),
        ("--temperature -1", 2, "--temperature: must be a number from 0 to 100"),
        ("--top-k -1", 2, "--top-k: must be a whole number"),
        ("--top-p 2", 2, "--top-p: must be a number from 0 to 1"),
        ("--seed -1", 2, "--seed: must be a whole number from 0 to 4,294,967,294"),
        ("--seed 1\udcff", 2, "--seed: must be a whole number from 0 to 4,294,967,294, not"),
        ("--gpu-layers \udcff", 2, "--gpu-layers: must be a number of layers, or all, or auto"),
        ("--seed 4294967295", 2, "--seed: must be a whole number"),
        ("--context -1", 2, "--context: must be a whole number from 0"),
        ("--gpu-layers -2", 2, "--gpu-layers: must be a number of layers, or all, or auto"),
        ("--kv-type q3", 2, "--kv-type: invalid choice"),
        ("--method beam", 2, "--method: invalid choice"),
        ("--streams three", 2, "--streams: invalid choice"),
        ("--temp 1", 2, "unrecognized arguments"),
        ("--preset", 2, "expected one argument (one that begins with - is written as --preset=V"),
        ("--stop ---", 2, "(one that begins with - is written as --stop=VALUE); see: amulet ask"),
        ("-p nosuch", 3, "there is no preset called 'nosuch'"),
        ("-p consise", 3, "similar names: concise"),
        ("--preference=", 2, "--preference is empty"),
        ("--wish=", 2, "--wish is empty"),
        ("--wish short --wish=", 2, "--wish is empty"),
        ("--strength 2", 2, "there is no preference to realign to"),
        ("--alpha 1", 2, "there is no preference to realign to"),
        ("--method pref", 2, "add -p PRESET, --preference TEXT or --wish TEXT"),
        ("-p concise --strength 2 --alpha 1", 2, "cannot be combined"),
        ("-p concise --strength 2 --method la", 2, "has a strength of its own, 3"),
        ("-p concise --eta 1 --method base", 2, "has a strength of its own, 0"),
        ("-p concise --alpha nan", 2, "must be finite numbers"),
        ("-p concise --eta 0", 2, "lambda and eta above 0"),
        ("-p concise --iterations 0", 2, "--iterations: must be a whole number from 1"),
        ("-p concise --iterations 2000000", 2, "iterations must be at most 100,000"),
        ("-p concise --alpha 30", 2, "lower alpha or raise lambda"),
        ("--trace", 2, "use it together with --json"),
    ],
)
def test_a_bad_request_is_one_sentence_and_nothing_is_loaded(
    amulet: Amulet, engine: FakeEngine, options: str, code: int, told: str
) -> None:
    result = amulet("ask", "?", *options.split())
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("amulet: ")
    assert result.err.count("\n") == 1
    assert told in result.err
    assert not engine.loads


@pytest.mark.parametrize("arguments", [["ask"], ["ask", "  "], ["ask", ""]])
def test_no_question_says_how_to_ask_one(
    amulet: Amulet, engine: FakeEngine, arguments: list[str]
) -> None:
    result = amulet(*arguments)
    assert result.code == 2
    assert 'type one like this: amulet ask "question"' in result.err


def test_a_broken_config_is_named(amulet: Amulet, engine: FakeEngine) -> None:
    configure("max_token = 9")
    result = amulet("ask", "?")
    assert result.code == 3
    assert "config.toml is not valid" in result.err


def test_a_broken_preset_is_named_with_its_line(amulet: Amulet, engine: FakeEngine) -> None:
    make_preset("mine", 'preference = "x"\nguard = 3')
    result = amulet("ask", "?", "-p", "mine")
    assert result.code == 3
    assert "line 2: guard" in result.err
    assert amulet("ask", "?", "-p", "concise").code == 0


# -- models that one cannot chat with -------------------------------------------------------------


def test_without_the_default_model_it_says_what_to_type(amulet: Amulet) -> None:
    result = amulet("ask", "?")
    assert result.code == 3
    assert result.err.rstrip().endswith("amulet models pull default")


@pytest.mark.parametrize(
    "content", [None, b"", b"Dear diary, this is no model.", b"GGUF", b"GGUF\x03\x00\x00\x00"]
)
def test_a_bad_model_file_is_one_sentence(
    amulet: Amulet, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    result = amulet("ask", "?", "-m", str(path))
    assert (result.code, result.out) == (3, "")
    assert result.err.count("\n") == 1
    assert str(path) in result.err
