"""A method and what is set on it, in one word."""

from __future__ import annotations

import pytest

from amulet_local.errors import UsageError
from amulet_local.evaluation.variants import PAPER, Variant, parse_variants
from amulet_local.strengths import AMULET


def test_a_method_alone_takes_strength_and_guard_of_the_preference() -> None:
    base, pref, beam, la, amulet = parse_variants("base,pref,beam,la,amulet")
    assert [each.strength_and_guard(4.0, 0.2) for each in (base, pref, beam)] == [
        (0, 0),
        (1, 0),
        (1, 0),
    ]
    assert la.strength_and_guard(4.0, 0.2) == (3.0, 0.2)
    assert amulet.strength_and_guard(4.0, 0.2) == (4.0, 0.2)
    assert beam.beams == 16


def test_a_method_needs_the_prompts_of_the_streams_that_it_looks_at() -> None:
    needed = {each.name: each.streams for each in parse_variants("base,pref,beam,la,amulet")}
    assert needed == {"base": (0,), "pref": (1,), "beam": (1,), "la": (0, 1), "amulet": (0, 1)}


def test_settings_stand_behind_an_at_sign() -> None:
    amulet, beam, la = parse_variants("amulet@s=3,guard=0.1, beam@beams=4, la@guard=0")
    assert amulet == Variant("amulet@s=3,guard=0.1", "amulet", 3.0, 0.1)
    assert beam.beams == 4
    assert la.strength_and_guard(5.0, 0.1) == (3.0, 0.0)


def test_several_values_make_a_variant_each() -> None:
    names = [each.name for each in parse_variants("pref,amulet@s=2/-1,guard=0/0.1")]
    assert names == [
        "pref",
        "amulet@s=2,guard=0",
        "amulet@s=2,guard=0.1",
        "amulet@s=-1,guard=0",
        "amulet@s=-1,guard=0.1",
    ]


def test_the_papers_setting_has_a_name() -> None:
    assert parse_variants("amulet@paper") == [PAPER]
    assert PAPER.strength_and_guard(3.0, 0.1) == (AMULET, 0.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "--methods is empty"),
        ("best", "no method 'best'"),
        ("pref@s=2", "takes none"),
        ("la@s=2", "only guard"),
        ("amulet@s=much", "s must be from"),
        ("amulet@guard=2", "guard must be from 0 to 1"),
        ("beam@beams=1.5", "beams must be from"),
        ("beam@beams=1000", "beams must be from"),
    ],
)
def test_what_is_meant_by_nothing_is_told(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_variants(text)


def test_more_methods_than_anybody_waits_for_are_refused() -> None:
    settings = ",".join(["s=1/2"] * 40)
    with pytest.raises(UsageError, match="the settings of amulet make more than 1,000 methods"):
        parse_variants(f"pref,amulet@{settings}")
