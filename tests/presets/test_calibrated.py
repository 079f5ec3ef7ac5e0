"""A calibrated strength belongs to a model's file and to a preset as it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from amulet_local.presets.calibrated import (
    Calibrated,
    calibrated_strength,
    forget_strengths,
    keep_bearing,
    keep_strength,
    usual_strength,
)
from amulet_local.presets.firmness import USUAL_BEARING
from amulet_local.presets.preset import USUAL_STRENGTH, Preset, load_presets
from amulet_local.settings import strengths_file


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return str(path)


def found(preset: Preset, strength: float = 3.5) -> Calibrated:
    return Calibrated(strength, preset.preference, preset.guard, preset.placement, 1.2, 1.0, 1.1)


def test_what_was_kept_is_found_again(model: str) -> None:
    presets = load_presets()
    concise, verbose = presets.get("concise"), presets.get("verbose")
    assert calibrated_strength(model, concise) is None
    keep_strength(model, concise, found(concise))
    keep_strength(model, verbose, found(verbose, 2.0))
    keep_strength(model, concise, found(concise, 4.0))
    assert calibrated_strength(model, concise) == 4.0
    assert calibrated_strength(model, verbose) == 2.0


@pytest.mark.parametrize(
    "change", [{"preference": "Be brief."}, {"guard": 0.0}, {"placement": "turn"}]
)
def test_a_changed_preset_has_none(model: str, change: dict[str, object]) -> None:
    concise = load_presets().get("concise")
    keep_strength(model, concise, found(concise))
    assert calibrated_strength(model, msgspec.structs.replace(concise, **change)) is None
    other = msgspec.structs.replace(concise, strength=9.0, title="Other")
    assert calibrated_strength(model, other) == 3.5


def test_another_file_of_the_same_name_has_none(model: str) -> None:
    concise = load_presets().get("concise")
    keep_strength(model, concise, found(concise))
    Path(model).write_bytes(b"other weights")
    assert calibrated_strength(model, concise) is None


def test_they_can_be_forgotten(model: str) -> None:
    presets = load_presets()
    for name in ("concise", "verbose", "formal"):
        keep_strength(model, presets.get(name), found(presets.get(name)))
    assert forget_strengths(model, ["formal", "unknown"]) == ["formal"]
    assert calibrated_strength(model, presets.get("formal")) is None
    assert forget_strengths(model, []) == ["concise", "verbose"]
    assert forget_strengths(model, []) == []


def test_a_damaged_file_is_as_good_as_none(model: str) -> None:
    concise = load_presets().get("concise")
    keep_strength(model, concise, found(concise))
    strengths_file(model).write_text('{"concise": 3}')
    assert calibrated_strength(model, concise) is None
    keep_strength(model, concise, found(concise))
    assert calibrated_strength(model, concise) == 3.5
    assert list(strengths_file(model).parent.iterdir()) == [strengths_file(model)]


def test_what_a_model_bears_goes_for_words_and_presets_that_say_how_firmly(model: str) -> None:
    formal = load_presets().get("formal")
    firm = msgspec.structs.replace(formal, strength="firmly")
    number = msgspec.structs.replace(formal, strength=2.5)
    assert usual_strength(model, firm) == USUAL_BEARING
    assert usual_strength(model, None) == USUAL_STRENGTH
    keep_bearing(model, found(firm, 5.0))
    assert usual_strength(model, firm) == 5.0
    assert usual_strength(model, None) == 3.0
    assert usual_strength(model, msgspec.structs.replace(firm, strength="clearly")) == 3.0
    assert usual_strength(model, number) == 2.5
    assert usual_strength("", firm) == USUAL_BEARING
    keep_strength(model, firm, found(firm, 4.0))
    assert usual_strength(model, firm) == 4.0
    assert forget_strengths(model, []) == ["", "formal"]
    assert usual_strength(model, None) == USUAL_STRENGTH
