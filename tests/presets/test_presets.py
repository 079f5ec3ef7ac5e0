"""Presets: the built-in ones, the user's own, and files that cannot be used."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from amulet_local.errors import NotUsableError
from amulet_local.presets.editing import save_preset
from amulet_local.presets.preset import (
    GROUPS,
    USUAL_SAMPLING,
    USUAL_STRENGTH,
    Preset,
    Presets,
    bounded_strength,
    explodes,
    load_presets,
    read_preset,
)
from amulet_local.protocol.alignment import USUAL_GUARD, Sampling
from amulet_local.settings import presets_folder
from amulet_local.strengths import AMULET, LINEAR, Update
from tests.checks import some

PAPER = (
    "complex",
    "concise",
    "creative",
    "formal",
    "pleasant",
    "sycophantic",
    "uplifting",
    "verbose",
)
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "presets.md"


def put(name: str, text: str | bytes) -> Path:
    path = presets_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def reason(text: str | bytes) -> str:
    """Why a file is refused: what stands in brackets, after its path."""
    with pytest.raises(NotUsableError) as raised:
        read_preset(put("mine.toml", text))
    sentence = str(raised.value)
    assert sentence.endswith("fix it with: amulet presets edit mine")
    assert str(presets_folder() / "mine.toml") in sentence
    return sentence[sentence.index("used (") + 6 : sentence.rindex(");")]


def in_group(presets: Presets, group: str) -> list[Preset]:
    return [preset for preset in presets.presets.values() if preset.group == group]


# -- the built-in ones ----------------------------------------------------------------------------


def test_all_built_in_presets_load() -> None:
    loaded = load_presets()
    assert loaded.problems == []
    assert all(preset.built_in and preset.path.exists() for preset in some(loaded.presets.values()))


def test_the_papers_eight_have_its_words() -> None:
    eight = in_group(load_presets(), "paper")
    assert tuple(preset.name for preset in eight) == PAPER
    for preset in some(eight):
        assert preset.preference == f"Your answer should be {preset.name} as much as possible."
        assert preset.sampling == USUAL_SAMPLING
        assert preset.guard == 0.1


def test_there_are_twelve_at_least_in_the_papers_three_groups_and_some_of_style() -> None:
    loaded = load_presets()
    groups = [in_group(loaded, group) for group in ("culture", "values", "time")]
    assert all(groups)
    assert sum(map(len, groups)) >= 12
    names = {preset.name for preset in in_group(loaded, "style")}
    assert {"explain-like-im-ten", "bullet-points", "no-flattery"} <= names
    assert "careful-about-uncertainty" in names


def test_our_own_are_guarded_and_described() -> None:
    ours = [preset for preset in load_presets().presets.values() if preset.group != "paper"]
    assert len(ours) == 16
    for preset in some(ours):
        assert preset.sampling == USUAL_SAMPLING
        assert preset.guard == 0.1
        assert preset.title
        assert preset.description


def test_the_documentation_has_the_strengths_that_the_presets_have() -> None:
    page = DOCUMENTATION.with_name("alignment.md").read_text(encoding="utf-8")
    for preset in some(load_presets().presets.values()):
        assert f"| {preset.name} | **{preset.usual_strength:g}** |" in page


def test_presets_come_in_the_order_of_the_groups() -> None:
    put("zebra.toml", 'preference = "x"\ngroup = "zoo"')
    groups = [preset.group for preset in load_presets().presets.values()]
    order = [*GROUPS, "zoo"]
    assert groups == sorted(groups, key=order.index)


# -- what a file means ----------------------------------------------------------------------------


def test_a_file_needs_a_preference_only() -> None:
    preset = read_preset(put("mine.toml", 'preference = "Rhyme."'))
    assert (preset.name, preset.group, preset.placement) == ("mine", "own", "system")
    assert (preset.usual_strength, preset.guard) == (USUAL_STRENGTH, USUAL_GUARD)
    assert preset.sampling == Sampling()
    assert not preset.built_in


def test_the_papers_parameters_become_a_strength() -> None:
    preset = read_preset(put("mine.toml", 'preference = "x"\n[update]\nlambda = 3\nalpha = 1.5'))
    assert preset.strength == Update(alpha=1.5, lambda_=3.0).strength


def test_today_is_filled_in_at_use() -> None:
    preset = load_presets().get("today-is")
    assert "{date}" in preset.preference
    assert "Today is Friday, 3 July 2026." in preset.words(date(2026, 7, 3))
    assert str(date.today().year) in preset.words()


def test_other_braces_in_a_preference_stay_as_they_are() -> None:
    preset = read_preset(put("mine.toml", 'preference = "Use {braces} and {0} {date!r}."'))
    assert preset.words() == "Use {braces} and {0} {date!r}."


def test_the_examples_of_the_documentation_can_be_used() -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCUMENTATION.read_text("utf-8"), re.DOTALL)
    full, update = (read_preset(put(f"example-{i}.toml", text)) for i, text in enumerate(examples))
    assert (full.strength, full.system) == (LINEAR, "You are a mountain guide.")
    assert full.sampling == Sampling()
    assert update.strength == AMULET


def test_the_documentation_names_every_key() -> None:
    text = DOCUMENTATION.read_text("utf-8")
    keys = {*Preset.__struct_fields__, *Sampling.__struct_fields__} - {"name", "path", "built_in"}
    assert {key for key in keys if not re.search(rf"^{key}\b|^\[{key}\]", text, re.M)} == set()


# -- the user's own -------------------------------------------------------------------------------


def test_a_users_file_stands_in_for_a_built_in_preset() -> None:
    path = put("concise.toml", 'preference = "Ten words at most."\nstrength = 2')
    preset = load_presets().get("concise")
    assert preset.preference == "Ten words at most."
    assert (preset.path, preset.built_in) == (path, False)


def test_a_broken_file_leaves_the_others_and_is_named() -> None:
    put("bad.toml", "preference = ")
    put("good.toml", 'preference = "x"')
    loaded = load_presets()
    assert "good" in loaded.presets
    (problem,) = loaded.problems
    assert "bad.toml" in problem
    with pytest.raises(NotUsableError, match=re.escape(problem)):
        loaded.get("bad")


def test_a_broken_stand_in_is_not_passed_over_in_silence() -> None:
    put("concise.toml", "strength = 2")
    loaded = load_presets()
    assert loaded.presets["concise"].built_in
    with pytest.raises(NotUsableError, match="preference is missing"):
        loaded.get("concise")


def test_files_that_are_no_presets_are_left_alone() -> None:
    put("notes.txt", "x")
    put(".concise.toml", "an editor's leftover")
    assert load_presets().problems == []


@pytest.mark.parametrize("name", ["Mine.toml", "my preset.toml", "höflich.toml"])
def test_a_file_name_that_cannot_be_typed_is_a_problem(name: str) -> None:
    put(name, 'preference = "x"')
    (problem,) = load_presets().problems
    assert "lower-case letters, digits and hyphens" in problem


def test_an_unknown_name_comes_with_names_near_it() -> None:
    with pytest.raises(NotUsableError, match="similar names: concise"):
        load_presets().get("consise")
    with pytest.raises(NotUsableError, match="similar names: british-english"):
        load_presets().get("british")
    with pytest.raises(NotUsableError, match="amulet presets"):
        load_presets().get("qqq")


# -- why a file is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("preference = ", "line 1: invalid value"),
        ('preference = "x"\n\nstrength = = 3', "line 3: invalid value"),
        ('preference = "x"\nguard = 0.1\nguard = 0.2', "line 3: cannot overwrite a value"),
        ("strength = 3", "the key preference is missing"),
        ('preference = " "', "line 1: preference: expected some text"),
        ('# guard = 9\npreference = "guard = 7"\nguard = 2', "line 3: guard: "),
        ('preference = "x"\nguard = nan', "line 2: guard: is not a number"),
        ('preference = "x"\nstrength = nan', "line 2: strength: is not a number"),
        ('preference = "x"\nstrength = -1001', "line 2: strength: "),
        (
            'preference = "x"\nstrength = "strong"',
            "line 2: strength: it cannot be 'strong'; choose ",
        ),
        (
            'preference = "x"\nplacement = "end"',
            "line 2: placement: it cannot be 'end'; choose system or turn",
        ),
        ('preference = "x"\ngaurd = 0.1', "line 2: gaurd: there is no such key"),
        ('preference = "x"\nname = "y"', "line 2: name: there is no such key"),
        ('preference = "x"\n[sampling]\ntemperature = -1', "line 3: temperature: "),
        ('preference = "x"\nsampling.top_p = 2', "line 2: top_p: "),
        ('preference = "x"\n[sampling]\nheat = 1', "line 3: heat: there is no such key"),
        ('preference = "x"\nsampling = 1', "line 2: sampling: expected a table, got a"),
        ('preference = "x"\nstrength = 3\n[update]', "line 3: update: give a strength or"),
        ('preference = "x"\n[update]\niterations = 0', "line 3: iterations: "),
        ('preference = "x"\n[update]\neta = 0', "line 2: update: iterations must be at least 1"),
        ('preference = "x"\n[update]\nalpha = inf', "line 2: update: alpha, lambda and eta must"),
        ('preference = "x"\n[update]\nalpha = 1e300', "line 2: update: these parameters give"),
        ('preference = "x"\n[update]\niterations = 10_000_000', "line 2: update: iterations must"),
        ('preference = "x"\nupdate = 3', "line 2: update: expected a table, got a whole number"),
        (b'preference = "x"\ntitle = "\xff"', "line 2: it is not text in UTF-8"),
        (b'preference = "x"\n\0', "line 2: it is binary, not text"),
        ("x = " + "[" * 5000, "its values are nested too deeply"),
        ("#" * 70_000, "it is larger than 65,536 bytes"),
        (b"GGUF\x00\x00\x00", "line 1: "),
        ("", "the key preference is missing"),
    ],
)
def test_a_bad_file_is_refused_with_the_line_and_the_reason(text: str | bytes, why: str) -> None:
    assert reason(text).startswith(why)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_preset_may_begin_with_a_byte_order_mark_and_be_saved_again(codec: str) -> None:
    path = put("mine.toml", '\ufeff# Kept.\r\npreference = "Où ?"\r\n'.encode(codec))
    mine = load_presets().get("mine")
    assert mine.preference == "Où ?"
    save_preset(replace(mine, guard=0.5))
    assert load_presets().get("mine").guard == 0.5
    assert path.read_text("utf-8").startswith('# Kept.\npreference = "Où ?"\n')


def test_a_folder_by_the_name_of_a_preset_is_a_problem_and_no_more() -> None:
    (presets_folder() / "odd.toml").mkdir(parents=True)
    (problem,) = load_presets().problems
    assert "it is not a file" in problem


# -- strengths that lead nowhere ------------------------------------------------------------------


def test_parameters_that_come_to_too_much_are_refused() -> None:
    assert bounded_strength(Update()) == AMULET
    for update in (Update(alpha=20.0), Update(alpha=1e300), Update(iterations=100_001)):
        with pytest.raises(ValueError, match=r"at most|is the maximum"):
            bounded_strength(update)


def test_only_alpha_well_above_lambda_explodes() -> None:
    assert explodes(Update(alpha=3.0))
    assert not explodes(Update())
    assert not explodes(Update(iterations=100_000))
    assert not explodes(Update(alpha=2.01))
