"""What counts as a wish in what is typed, and that text and wish come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.chats.wishes import join_wish, split_wish, user_message, wish_lines
from amulet_local.errors import UsageError
from amulet_local.protocol.message import LONGEST_WISH, Message

WISHES = {
    "Write a review of the film !! all in lower case": (
        "Write a review of the film",
        "all in lower case",
    ),
    "Write a review.\n!! all in lower case": ("Write a review.", "all in lower case"),
    "!! all in lower case\nWrite a review.": ("Write a review.", "all in lower case"),
    "!!short\nWhy?": ("Why?", "short"),
    "  !! short\nWhy?": ("Why?", "short"),
    "Why?\t!!\tshort  ": ("Why?", "short"),
    "Why? !! short\n!! kind\nAnd how? !! in French": ("Why?\nAnd how?", "short\nkind\nin French"),
    "Why? !! short !! kind": ("Why?", "short !! kind"),
    "Why?\n\n!! short\n\nAnd how?": ("Why?\n\nAnd how?", "short"),
    "Why?\n\n\n\nAnd how? !! short": ("Why?\n\n\n\nAnd how?", "short"),
    "!! short": ("", "short"),
    "it`s this !! short": ("it`s this", "short"),
    "```\ncode\n```\n!! short": ("```\ncode\n```", "short"),
    "```a``` !! short": ("```a```", "short"),
    r"Say \!! now !! short": ("Say !! now", "short"),
    r"!! say \!! now": ("", r"say \!! now"),
}
TEXTS = {
    "wow!!": "wow!!",
    "wow!! really": "wow!! really",
    "wow !!": "wow !!",
    "wow !!really": "wow !!really",
    "!!!": "!!!",
    "!!! note": "!!! note",
    "wow !!! really": "wow !!! really",
    "!!": "!!",
    "wow\n!!\n": "wow\n!!",
    r"\!! is no wish": "!! is no wish",
    r"this \!! is no wish": "this !! is no wish",
    r"\\!! begins with a backslash": r"\!! begins with a backslash",
    r"wow\!!": r"wow\!!",
    r"ends with \!!": r"ends with \!!",
    "What is `a !! b` for?": "What is `a !! b` for?",
    "```js\n!!x\na !! b\n```\nWhy?": "```js\n!!x\na !! b\n```\nWhy?",
    "~~~\n!! x\n```\n!! y\n~~~": "~~~\n!! x\n```\n!! y\n~~~",
    "````\n```\n!! x": "````\n```\n!! x",
    "": "",
}


@pytest.mark.parametrize("typed", WISHES)
def test_a_wish_is_apart_from_the_text(typed: str) -> None:
    assert split_wish(typed) == WISHES[typed]


@pytest.mark.parametrize("typed", TEXTS)
def test_other_marks_are_text(typed: str) -> None:
    assert split_wish(typed) == (TEXTS[typed], "")


def test_what_was_sent_can_be_typed_again() -> None:
    assert join_wish("Why?", "short\nkind") == "Why?\n!! short\n!! kind"
    assert join_wish("this !! is text", "") == r"this \!! is text"
    assert join_wish("wow !!", "") == "wow !!"
    assert join_wish("```\nnot closed", "short") == "!! short\n```\nnot closed"


letters = st.text(alphabet=" \n!`~\\ab", max_size=40)


@given(letters, letters)
def test_text_and_wish_come_back_as_they_were(text: str, wished: str) -> None:
    text = text.strip()
    wish = "\n".join(line.removeprefix("!! ") for line in wish_lines(wished))
    assert split_wish(join_wish(text, wish)) == (text, wish)


def test_a_message_needs_more_than_a_wish() -> None:
    assert user_message("Why?", "short") == Message("user", "Why?", wish="short")
    with pytest.raises(UsageError, match="only a wish"):
        user_message(" ", "short")


def test_a_wish_has_an_end() -> None:
    assert user_message("Why?", "x" * LONGEST_WISH).wish
    with pytest.raises(UsageError, match="4,001 characters long, but at most 4,000 are allowed"):
        user_message("Why?", "x" * (LONGEST_WISH + 1))
