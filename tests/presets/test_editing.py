"""Presets of the user's own: made, copied, and written from a form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.presets.editing import new_preset, own_preset, save_preset
from amulet_local.presets.preset import USUAL_STRENGTH, Preset, load_presets, preset_of, read_preset
from amulet_local.protocol.alignment import Sampling
from amulet_local.settings import presets_folder
from amulet_local.strengths import AMULET, LINEAR


def put(name: str, text: str) -> Path:
    path = presets_folder() / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def keys(preset: Preset) -> dict[str, Any]:
    """All that its file may say."""
    facts = msgspec.structs.asdict(preset)
    return {key: facts[key] for key in facts if key not in ("name", "path", "built_in")}


def test_a_new_preset_can_be_used_at_once() -> None:
    path = new_preset("my-own")
    assert path == presets_folder() / "my-own.toml"
    assert load_presets().get("my-own").usual_strength == USUAL_STRENGTH


@pytest.mark.parametrize("name", ["", "Mine", "../mine", "a b", "a/b", ".", "ä", "a" * 101])
def test_a_name_that_would_leave_the_folder_or_the_alphabet_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="lower-case letters"):
        new_preset(name)
    with pytest.raises(NotUsableError, match="list them with: amulet presets"):
        own_preset(name)


def test_a_name_that_is_taken_is_refused() -> None:
    new_preset("mine")
    for name in ("mine", "concise"):
        with pytest.raises(UsageError, match=f"amulet presets edit {name}"):
            new_preset(name)


def test_changing_a_built_in_preset_copies_it() -> None:
    built_in = load_presets().get("thrifty")
    path = own_preset("thrifty")
    assert path.read_text("utf-8") == built_in.path.read_text("utf-8")
    assert own_preset("thrifty") == path
    assert not load_presets().get("thrifty").built_in


def test_a_broken_file_can_still_be_changed() -> None:
    path = put("bad", "preference = ")
    assert own_preset("bad") == path


def test_a_folder_that_cannot_be_made_is_told() -> None:
    presets_folder().parent.parent.mkdir(parents=True)
    presets_folder().parent.write_text("a file where the folder should be")
    with pytest.raises(NotUsableError, match="cannot be written"):
        new_preset("mine")
    assert load_presets().presets


# -- written from a form --------------------------------------------------------------------------

VALUES = {
    "preference": "Talk like a pirate.",
    "title": "Pirate",
    "strength": "3",
    "guard": 0.2,
    "placement": "turn",
    "sampling": {"temperature": "0.4"},
}


def test_what_a_form_says_becomes_a_file_that_says_the_same() -> None:
    preset = preset_of("pirate", VALUES)
    path = save_preset(preset, new=True)
    assert path == presets_folder() / "pirate.toml"
    assert keys(read_preset(path)) == keys(preset)
    assert "top_k" not in path.read_text("utf-8")


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(
    preference=WORDS,
    system=st.text(st.characters(exclude_categories=["Cs"])),
    strength=st.floats(-1000, 1000),
    guard=st.floats(0, 1),
    temperature=st.floats(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    preference: str,
    system: str,
    strength: float,
    guard: float,
    temperature: float,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMULET_HOME", str(tmp_path_factory.mktemp("home")))
        sampling = {"temperature": temperature}
        values = {"preference": preference, "system": system, "strength": strength, "guard": guard}
        preset = preset_of("any", {**values, "sampling": sampling})
        assert keys(read_preset(save_preset(preset))) == keys(preset)


def test_remarks_and_the_rest_of_a_file_stay() -> None:
    put(
        "mine",
        """\
# Mine, from the boat.
preference = "Talk like a sailor." # not a pirate
strength = 3.0

[sampling]
top_k = 20 # narrow
""",
    )
    mine = load_presets().get("mine")
    save_preset(msgspec.structs.replace(mine, strength=4.0, description="For the sea."))
    text = (presets_folder() / "mine.toml").read_text("utf-8")
    assert (
        text
        == """\
# Mine, from the boat.
preference = "Talk like a sailor." # not a pirate
strength = 4.0
description = "For the sea."

[sampling]
top_k = 20 # narrow
"""
    )


def test_another_strength_goes_before_the_parameters_of_the_paper() -> None:
    put("mine", 'preference = "Rhyme."\n[update]\niterations = 60\n')
    mine = load_presets().get("mine")
    save_preset(msgspec.structs.replace(mine, description="Terse."))
    assert load_presets().get("mine").strength == pytest.approx(AMULET)
    save_preset(msgspec.structs.replace(mine, strength=LINEAR))
    assert load_presets().get("mine").strength == LINEAR


def test_what_becomes_usual_again_is_written_too() -> None:
    save_preset(preset_of("mine", VALUES))
    usual = Sampling()
    save_preset(msgspec.structs.replace(load_presets().get("mine"), guard=0.1, sampling=usual))
    saved = load_presets().get("mine")
    assert saved.guard == 0.1
    assert saved.sampling == usual


@pytest.mark.parametrize("name", ["mine", "concise"])
def test_a_new_one_takes_the_place_of_none(name: str) -> None:
    new_preset("mine")
    with pytest.raises(UsageError, match=f"there is already a preset called {name};"):
        save_preset(preset_of(name, VALUES), new=True)


def test_a_file_that_cannot_be_used_is_not_written_over() -> None:
    path = put("mine", "preference = ")
    with pytest.raises(NotUsableError, match="fix it with"):
        save_preset(preset_of("mine", VALUES))
    assert path.read_text("utf-8") == "preference = "


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("strength", "firm", "strength"),
        ("strength", "5000", "strength"),
        ("guard", "2", "guard"),
        ("preference", "  ", "preference"),
        ("placement", "below", "placement"),
        ("sampling", {"temperature": "-1"}, "temperature"),
    ],
)
def test_an_impossible_value_is_named(key: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}: "):
        preset_of("mine", {**VALUES, key: value})


@pytest.mark.parametrize("name", ["", "Mine", "../mine"])
def test_a_name_that_cannot_be_a_files_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="lower-case letters"):
        preset_of(name, VALUES)
