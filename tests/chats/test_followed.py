"""Whether a reply followed: the gain in a word and a number, and marks where a program is sure."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from amulet_local.chats.conversation import Node
from amulet_local.chats.followed import (
    CLEARLY,
    SOMEWHAT,
    Check,
    Followed,
    checks_of,
    degree_of,
    followed,
    gain_of,
)
from amulet_local.chats.provenance import Ending, Origin, Reason, TokenMeasures, pack
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.message import Message


def measured(base: float | None, pref: float | None) -> TokenMeasures:
    return TokenMeasures(1, 2.0, logp_base=base, logp_pref=pref)


def reply(
    text: str = "a small walk",
    *tokens: TokenMeasures,
    wish: str = "in lower case",
    preference: str = "",
    reason: Reason = "stop",
) -> Node:
    origin = Origin(
        model="SmolLM2",
        file="",
        seed=1,
        system="",
        wish=wish,
        alignment=Alignment(preference=preference),
    )
    message = Message("assistant", text)
    return Node("1", "0", message, origin, Ending(reason), pack(tokens))


def test_the_gain_is_the_mean_over_the_tokens_that_both_streams_saw() -> None:
    tokens = [measured(-2.0, -1.0), measured(-1.0, -1.5), measured(None, None)]
    assert gain_of(tokens) == 0.25
    assert gain_of([*tokens, measured(-math.inf, -1.0)]) == 0.25
    assert gain_of([measured(None, -1.0)]) is None
    assert gain_of([]) is None


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (-1.0, "hardly"),
        (0.0, "hardly"),
        (SOMEWHAT - 0.001, "hardly"),
        (SOMEWHAT, "somewhat"),
        (CLEARLY - 0.001, "somewhat"),
        (CLEARLY, "clearly"),
        (3.0, "clearly"),
    ],
)
def test_a_gain_is_a_word(gain: float, word: str) -> None:
    assert degree_of(gain) == word
    assert Followed(gain).degree == word


def test_the_docs_have_these_limits() -> None:
    page = (Path(__file__).parents[2] / "docs" / "app.md").read_text("utf-8")
    assert f"From {SOMEWHAT:.2f} on that is *somewhat*, from {CLEARLY:.2f} on\n*clearly*" in page


def test_a_reply_tells_its_gain_and_its_checks() -> None:
    node = reply("A walk", measured(-1.0, -0.75), wish="in lower case, at most 3 words")
    kept = followed(node)
    assert kept.gain == 0.25
    assert kept.checks == (Check("in lower case", False), Check("at most 3 words", True))
    assert kept.told == ["clearly followed +0.25", "✗ in lower case", "✓ at most 3 words"]


def test_the_preference_is_checked_as_well_and_the_same_thing_once() -> None:
    node = reply(wish="in lower case", preference="In lower case. No commas.")
    assert [check.words for check in followed(node).checks] == ["in lower case", "no commas"]


def test_what_is_not_certain_is_not_checked() -> None:
    assert followed(reply(wish="in lower case, with feeling")).checks == ()
    assert followed(reply(wish="be kind")) == Followed()


def test_each_line_of_a_wish_is_recognised_by_itself() -> None:
    assert checks_of("", "be kind\nin lower case", "a walk") == (Check("in lower case", True),)
    assert checks_of("Never write\nin lower case", "", "a walk") == ()


@pytest.mark.parametrize("reason", ["length", "cancelled", "died", "interrupted"])
def test_a_reply_without_its_end_is_not_checked(reason: Reason) -> None:
    kept = followed(reply("a walk", measured(-1.0, -0.75), reason=reason))
    assert kept == Followed(0.25)


def test_a_reply_that_had_nothing_to_follow_tells_nothing() -> None:
    assert followed(reply("a walk", measured(-1.0, -0.75), wish="")) == Followed()
    assert followed(Node("1", "0", Message("assistant", "in my own words"))) == Followed()


def test_damaged_measures_are_no_gain() -> None:
    node = reply()
    damaged = Node(node.id, node.parent, node.message, node.origin, node.ending, b"broken")
    assert followed(damaged) == Followed(None, (Check("in lower case", True),))


def test_a_text_that_is_checked_again_is_not_read_again() -> None:
    before = checks_of.cache_info().misses
    asked = ("", "no commas, in lower case", "one, two")
    assert checks_of(*asked) == checks_of(*asked)
    assert checks_of.cache_info().misses == before + 1


def test_words_that_could_not_be_said_are_told_so() -> None:
    origin = Origin(
        model="SmolLM2",
        file="",
        seed=1,
        system="",
        wish='without the word "sky", no commas',
        alignment=Alignment(strength=2.0, guard=0.1),
    )
    node = Node("1", "0", Message("assistant", "blue"), origin, Ending("stop"), pack([]))
    assert followed(node).held_back == ("sky",)
    assert followed(node).told == ["✓ “sky” held back", "✓ no commas"]
    assert followed(replace(node, ending=Ending("length"))).told == ["“sky” held back"]
    assert followed(replace(node, message=Message("assistant", "the sky"))).told[0].startswith("✗")
