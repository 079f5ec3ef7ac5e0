"""Nothing that a terminal would obey reaches it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.markdown.sanitising import clean, sentence, speed


@given(st.text())
def test_what_is_cleaned_has_no_control_characters(text: str) -> None:
    kept = set(clean(text)) - {"\n", "\t"}
    assert not [character for character in kept if unicodedata.category(character) in ("Cc", "Cs")]


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred", "\x9b31mred", "\x1b]52;c;aGk=\x07red", "\x08\x08red", "\u202ered"],
)
def test_escapes_and_direction_overrides_are_left_out(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.endswith("red")
    assert not {"\x1b", "\x9b", "\x07", "\x08", "\u202e"} & set(cleaned)


def test_ordinary_text_stays_as_it_is() -> None:
    text = "Grüße, 世界 👩‍👩‍👧\n\tשלום [b]not bold[/b]"
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no model is here", "No model is here."),
        ("what now?", "What now?"),
        ("/a/b.gguf is cut off", "/a/b.gguf is cut off."),
        (" done.\n", "Done."),
        ("config.toml is no TOML", "config.toml is no TOML."),
    ],
)
def test_an_error_becomes_a_sentence(text: str, said: str) -> None:
    assert sentence(text) == said


def test_speeds_have_no_digits_that_nobody_reads() -> None:
    assert [speed(0.456), speed(9.94), speed(43.21)] == [
        "0.5 tokens/s",
        "9.9 tokens/s",
        "43 tokens/s",
    ]
