"""The one place that makes text safe: what is left out, what stays, what is set apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.safe_text import clean, file_stem, line

ISOLATES = {"\u2068", "\u2069"}


@given(st.text(st.characters()))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    kept = set(clean(text)) - {"\n", "\t"}
    assert not [each for each in kept if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]


@given(st.text(st.characters()))
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters()))
def test_a_line_is_one_line_and_its_isolates_are_a_pair(text: str) -> None:
    made = line(text)
    assert not {"\n", "\t"} & set(made)
    assert [each for each in made if each in ISOLATES] in ([], ["\u2068", "\u2069"])


@pytest.mark.parametrize(
    "unseen",
    [
        "\x1b[31m"[:1], "\x9b", "\x00", "\x7f", "\u202e", "\u2066", "\u200e", "\u200f", "\u061c",
        "\u00ad", "\u200b", "\ufeff", "\u2060", "\u3164", "\ufff9", "\U000e0041", "\U000e0101",
    ],
)  # fmt: skip
def test_what_nobody_sees_is_left_out(unseen: str) -> None:
    assert clean(f"a{unseen}b") == "ab"


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 世界\n\tשלום",
        "👩‍👩‍👧 ❤️",
        "می‌خواهم",
        "e\u0301a\u0308\u0323",
        "\ue0a0 [b]not bold[/b]",
    ],
)
def test_how_words_and_emoji_are_written_stays(text: str) -> None:
    assert clean(text) == text


def test_half_a_character_is_seen_as_an_escape() -> None:
    assert clean("caf\udce9 \ud800") == "caf\\xe9 \\ud800"


def test_a_flood_of_marks_is_cut_to_what_a_letter_can_have() -> None:
    assert clean("a" + "\u0301" * 10_000 + "b") == "a" + "\u0301" * 30 + "b"
    assert clean("a" + "\u200d" * 10_000 + "b") == "a" + "\u200d" * 30 + "b"


def test_every_mark_can_flood() -> None:
    every = [
        chr(code) for code in range(0x20000) if unicodedata.category(chr(code)) in ("Mn", "Me")
    ]
    kept = [mark for mark in every if clean(mark)]
    assert len(kept) > 1_000
    assert [mark for mark in kept if clean(mark * 40) != mark * 30] == []


def test_isolates_stay_in_pairs_alone() -> None:
    assert clean("a \u2068שלום\u2069 b") == "a \u2068שלום\u2069 b"
    assert clean("\u2068a\u2068b\u2069\u2069\u2069 \u2068\nc\u2069") == "a\u2068b\u2069 \nc"
    assert clean(line("שלום")) == line("שלום")


def test_only_what_is_read_from_right_to_left_is_set_apart() -> None:
    assert line("one\ntwo") == "one two"
    assert line("שלום") == "\u2068שלום\u2069"
    assert line("\u2069שלום\u2067") == "\u2068שלום\u2069"  # nothing inside can end it


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Walking holidays", "Walking-holidays"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\x1b]0;x\x07b\u202ec", "a-0-xbc"),
        ("\x00\u200b…", ""),
        ("שלום", "שלום"),
        ("x" * 500, "x" * 100),
        ("世" * 500, "世" * 33),
    ],
)
def test_a_file_is_named_by_letters_and_digits(title: str, name: str) -> None:
    assert file_stem(title) == name
