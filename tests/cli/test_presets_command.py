"""`amulet presets`: listing, showing, making and changing."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from amulet_local.presets.preset import GROUPS, load_presets, read_preset
from amulet_local.settings import config_folder, presets_folder
from tests.cli.conftest import Amulet


def put(name: str, text: str) -> Path:
    path = presets_folder() / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that puts what stands in the file returned into what it is to edit."""
    text = tmp_path / "typed.toml"
    program = tmp_path / "my editor"
    program.write_text(f'#!/bin/sh\ncat "{text}" > "$2"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", f"'{program}' --wait")
    return text


def test_the_list_has_every_preset_under_its_group(amulet: Amulet) -> None:
    put("mine", 'preference = "[bold]Rhyme.\\u001b[2J[/bold]"\nstrength = 2')
    result = amulet("presets")
    assert (result.code, result.err) == (0, "")
    assert amulet("presets", "list").out == result.out
    lines = [line.rstrip() for line in result.out.splitlines()]
    assert [line for line in lines if line in GROUPS.values()] == list(GROUPS.values())
    assert re.fullmatch(r"concise +firmly  Short: .+", lines[-7])
    (mine,) = (line for line in lines if line.startswith("mine "))
    assert mine.endswith("  2  [bold]Rhyme.[2J[/bold] (yours)")


def test_a_broken_file_is_told_of_below_the_list(amulet: Amulet) -> None:
    put("bad", "preference = ")
    result = amulet("presets")
    assert result.code == 0
    assert "concise" in result.out
    assert result.err.startswith("amulet: the preset ")
    assert "bad.toml cannot be used (line 1: invalid value)" in result.err


def test_names_that_are_no_text_and_numbers_without_end_are_told_and_hide_no_preset(
    amulet: Amulet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMULET_HOME", os.fsdecode(os.fsencode(home) + b"-\xe9"))
    path = put("mine", 'preference = "x"')
    os.rename(path, path.with_name(os.fsdecode(b"caf\xe9.toml")))  # noqa: PTH104 - as bytes
    put("long", f'preference = "x"\nstrength = {"9" * 60_000}')
    result = amulet("presets", "--json")
    assert (result.code, result.err) == (0, "")
    listed = json.loads(result.out)
    assert "concise" in [preset["name"] for preset in listed["presets"]]
    name, number = listed["problems"]
    assert "-\\xe9/config/presets/caf\\xe9.toml cannot be used (names have" in name
    assert "long.toml cannot be used (line 2: a number has more than 400 digits)" in number
    assert amulet("presets").code == 0


def test_the_list_as_json_has_all_there_is_to_know(amulet: Amulet) -> None:
    path = put("mine", 'preference = "It is {date}."')
    put("bad", "preference = ")
    result = amulet("presets", "list", "--json")
    assert amulet("presets", "--json").out == result.out
    document = result.document
    assert document["folder"] == str(presets_folder())
    assert len(document["problems"]) == 1
    mine = document["presets"][0]
    assert (mine["name"], mine["path"], mine["built_in"]) == ("mine", str(path), False)
    assert mine["preference"] == "It is {date}."
    assert re.fullmatch(r"It is \w+, \d+ \w+ \d{4}\.", mine["words"])
    assert mine["sampling"]["temperature"] == 0.7


def test_a_preset_is_shown_as_its_file_and_as_the_model_reads_it(amulet: Amulet) -> None:
    out = amulet("presets", "show", "today-is").out
    preset = load_presets().get("today-is")
    assert preset.path.read_text("utf-8").strip() in out
    assert f"strength {preset.usual_strength:.2f} (past prompt); the model reads:" in out
    assert preset.words() in out
    assert amulet("presets", "show", "today-is", "--json").document["name"] == "today-is"


def test_a_preset_that_is_not_there_is_a_sentence(amulet: Amulet) -> None:
    for command in ("show", "edit"):
        result = amulet("presets", command, "consise")
        assert (result.code, result.out) == (3, "")
        assert "similar names: concise" in result.err


def test_a_new_preset_is_made_in_the_editor(amulet: Amulet, editor: Path) -> None:
    editor.write_text('preference = "Rhyme."')
    result = amulet("presets", "new", "mine", terminal=True)
    assert result.code == 0
    assert "-p mine" in result.out
    assert read_preset(presets_folder() / "mine.toml").preference == "Rhyme."


def test_what_is_wrong_after_editing_is_told_and_can_be_mended(
    amulet: Amulet, editor: Path
) -> None:
    editor.write_text('preference = "Rhyme."\nguard = 2')
    result = amulet("presets", "edit", "concise", terminal=True)
    assert (result.code, result.out) == (3, "")
    assert "line 2: guard: expected a number <= 1.0" in result.err
    assert "amulet presets edit concise" in result.err
    editor.write_text('preference = "Rhyme."\nguard = 0.2')
    assert amulet("presets", "edit", "concise", terminal=True).code == 0
    assert load_presets().get("concise").guard == 0.2


def test_without_an_editor_it_says_where_the_file_is(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    result = amulet("presets", "edit", "concise", terminal=True)
    assert result.code == 0
    assert str(presets_folder() / "concise.toml") in result.out


def test_no_editor_opens_where_nobody_can_type(amulet: Amulet, editor: Path) -> None:
    result = amulet("presets", "new", "mine", piped=b"", terminal=True)
    assert result.code == 0
    assert str(presets_folder() / "mine.toml") in result.out


@pytest.mark.parametrize("command", ["no-such-editor-here", f"'{sys.executable}"])
def test_an_editor_that_cannot_be_started_is_named(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("VISUAL", command)
    result = amulet("presets", "edit", "concise", terminal=True)
    assert result.code == 2
    assert "cannot be started; set EDITOR" in result.err


def test_an_editor_that_fails_is_told(amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "sh -c 'exit 3'")
    result = amulet("presets", "new", "mine", terminal=True)
    assert (result.code, result.out) == (2, "")
    assert "ended with an error (3), so that nothing may have changed" in result.err


@pytest.mark.parametrize("act", ["rm", "rm $1; mkdir"])
def test_a_file_that_an_editor_leaves_no_file_is_not_to_be_edited(
    act: str, amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", f"sh -c '{act} $1' x")
    result = amulet("presets", "new", "mine", terminal=True)
    assert result.code == 3
    assert result.err.endswith("(it is not a file); remove whatever is there, and make it anew.\n")


def test_a_taken_or_impossible_name_is_refused(amulet: Amulet) -> None:
    assert "amulet presets edit concise" in amulet("presets", "new", "concise").err
    assert "lower-case letters" in amulet("presets", "new", "../x").err
    assert not presets_folder().exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('[keys]\nfly = "f5"\nnew_chat = "f6"', "config.toml sets keys for unknown actions: fly"),
        ("keys = 3", "config.toml is not valid"),
    ],
)
def test_what_the_chat_would_say_of_the_config_is_said_here_too(
    amulet: Amulet, config: str, told: str
) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text(config)
    result = amulet("presets")
    assert result.code == 0
    assert told in result.err
    (problem,) = amulet("presets", "--json").document["problems"]
    assert told in problem
