"""Fields and names of models -> how a reply is steered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from amulet_local.presets.mixing import Chosen
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import USUAL_GUARD, Fader
from amulet_local.server.bodies import ChatBody
from amulet_local.server.failures import ApiError
from amulet_local.server.steering import House, Steering, model_names, steering_of
from tests.server.serving import MODEL, USER

PRESETS = load_presets()
CONCISE = PRESETS.get("concise")
USUAL = CONCISE.usual_strength
HOUSE = House(MODEL, presets=lambda: PRESETS, system="You help.")


def steered(system: str = "", house: House = HOUSE, **fields: Any) -> Steering:
    body = msgspec.convert({"messages": [USER], **fields}, ChatBody)
    return steering_of(body, system, house)


def faders(**fields: Any) -> list[tuple[str, float]]:
    return [(fader.name, fader.strength) for fader in steered(**fields).alignment.mix]


def test_a_request_that_says_nothing_is_plain() -> None:
    plain = steered()
    assert (plain.alignment.method, plain.alignment.faders, plain.system) == (
        "base",
        (),
        "You help.",
    )


def test_a_preset_brings_its_words_its_guard_and_its_usual_strength() -> None:
    alignment = steered(preference="concise").alignment
    assert alignment.mix == (Fader(CONCISE.words(), USUAL, "concise"),)
    assert alignment.guard == CONCISE.guard
    assert faders(preference="concise", strength=2.5) == [("concise", 2.5)]


def test_words_are_a_preference_too() -> None:
    alignment = steered(preference="Rhyme.", guard=0.2, placement="turn").alignment
    assert alignment.mix == (Fader("Rhyme.", 2.0),)
    assert (alignment.guard, alignment.placement) == (0.2, "turn")
    assert steered(preference="  ").alignment.method == "base"


def test_a_list_is_a_mix_each_with_a_strength_of_its_own() -> None:
    mix = ["concise", {"preference": "formal", "strength": -1.5}, {"preference": "Rhyme."}]
    own = [("concise", USUAL), ("formal", -1.5), ("", 2.0)]
    assert faders(preference=mix) == own
    together = faders(preference=mix, strength=2 * (USUAL + 3.5))  # turned together
    assert together == [(name, 2 * strength) for name, strength in own]
    with pytest.raises(msgspec.ValidationError):
        steered(preference=["concise"] * 7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny@concise", [("concise", USUAL)]),
        ("TINY@concise:2.5", [("concise", 2.5)]),
        ("@concise:-1", [("concise", -1.0)]),
        ("", []),
        ("default", []),
        ("tiny", []),
        ("tiny@system:2", []),  # there is no such message
    ],
)
def test_a_name_carries_it_for_clients_that_can_only_choose_one(
    name: str, expected: list[tuple[str, float]]
) -> None:
    assert faders(model=name) == expected


@pytest.mark.parametrize("name", ["gpt-4o", "tiny@nothing", "tiny@nothing:nan", "tiny@:2"])
def test_a_model_that_is_not_here_is_named(name: str) -> None:
    with pytest.raises(ApiError, match="use tiny") as raised:
        steered(model=name)
    assert (raised.value.status, raised.value.code) == (404, "model_not_found")


@pytest.mark.parametrize("strength", ["nan", "inf", "1e999", "1001", "x", "", "2,5", "2.5:3"])
def test_a_strength_in_a_name_that_cannot_be_is_called_so(strength: str) -> None:
    for kind in ("concise", "system"):
        with pytest.raises(ApiError, match=r"strength behind .* a number from -1000 to 1000"):
            steered(model=f"tiny@{kind}:{strength}")


def test_fields_count_before_names() -> None:
    assert faders(model="tiny@concise:2", preference="formal", strength=3) == [("formal", 3.0)]


def test_the_clients_own_system_message_becomes_the_preference() -> None:
    for fields in ({"system_strength": 2.5}, {"model": "tiny@system:2.5"}, {"guidance_scale": 2.5}):
        found = steered("You are a pirate.", **fields)
        assert found.system == "You help."
        assert found.alignment.mix == (Fader("You are a pirate.", 2.5, "system"),)
        assert found.alignment.guard == USUAL_GUARD
    both = steered("You are a pirate.", preference="concise", system_strength=2)
    assert [fader.name for fader in both.alignment.mix] == ["concise", "system"]
    assert steered("You are a pirate.").system == "You are a pirate."


def test_a_negative_prompt_is_led_away_from_as_far_as_guidance_goes() -> None:
    found = steered("You help.", negative_prompt="Be rude.", guidance_scale=3)
    assert found.alignment.mix == (Fader("Be rude.", -2.0, "negative_prompt"),)
    assert steered(negative_prompt="Be rude.").alignment.mix[0].strength == -0.5
    assert faders(preference="concise", guidance_scale=1.5) == [("concise", 1.5)]


def test_a_wish_alone_is_followed() -> None:
    alignment = steered(wishes=["in lower case"], strength=2.5).alignment
    assert (alignment.method, alignment.strength, alignment.mix) == ("amulet", 2.5, ())


def test_what_the_house_prefers_counts_where_nothing_is_said() -> None:
    usual = (Chosen(CONCISE, strength=1.5), Chosen(words="Rhyme.", strength=-1.0))
    house = House(MODEL, presets=lambda: PRESETS, usual=usual)
    found = steered(house=house).alignment.mix
    assert [(fader.name, fader.strength) for fader in found] == [("concise", 1.5), ("", -1.0)]
    assert steered(house=house, preference="Sing.").alignment.mix == (Fader("Sing.", 2.0),)


def test_a_mix_in_a_file_is_a_name_too(home: Path) -> None:
    (home / "config" / "mixes").mkdir(parents=True)
    lines = '[[fader]]\npreset = "concise"\nstrength = 2.0\n[[fader]]\npreference = "Rhyme."\n'
    (home / "config" / "mixes" / "short-verse.toml").write_text(lines, "utf-8")
    expected = [("concise", 2.0), ("", 2.0)]
    assert faders(preference="short-verse") == expected
    assert faders(model="tiny@short-verse") == expected
    assert "tiny@short-verse" in model_names(HOUSE)


def test_sampling_is_what_was_sent_over_what_is_usual() -> None:
    sampling = steered(
        temperature=0.2, top_p=0.5, top_k=-1, frequency_penalty=1.0
    ).alignment.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.2, 0.5, 0)
    assert (sampling.frequency_penalty, sampling.penalty_last_n > 10**6) == (1.0, True)


def test_the_model_is_listed_plain_and_with_each_preset() -> None:
    names = model_names(HOUSE)
    assert names[0] == "tiny"
    assert {"tiny@concise", "tiny@system"} < set(names)
    assert len(names) == len(PRESETS.presets) + 2
