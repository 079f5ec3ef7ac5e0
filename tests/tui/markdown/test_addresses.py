"""Addresses become links without marks around them; mixtures of everything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.markdown.showing import MIXED, shown
from tui.markdown.parsing import blocks, code_blocks, links


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://a.org/x_(y)_z, and", "https://a.org/x_(y)_z"),
        ("(https://a.org)", "https://a.org"),
        ("**https://a.org**", "https://a.org"),
        ("*https://a.org/b*c*.", "https://a.org/b*c"),
        ("HTTPS://a.org/?q=1&r=2#s!", "HTTPS://a.org/?q=1&r=2#s"),
        ("“https://a.org/b”", "https://a.org/b%E2%80%9D"),
        ("| a |\n|-|\n| http://localhost:8080/x |", "http://localhost:8080/x"),
        ("write to mailto:a@b.org.", "mailto:a@b.org"),
        ("https://a.org/b](c)", "https://a.org/b"),
    ],
)
def test_an_address_ends_where_the_sentence_goes_on(text: str, address: str) -> None:
    assert [link.address for link in links(text)] == [address]


@pytest.mark.parametrize(
    "text",
    [
        "a://b",
        "xhttp://a.b",
        "http://",
        "https:// a",
        "mailto:a",
        "ftp://a.b",
        "www.a.b",
        "mailto:[a@b",
        "http://_",
    ],
)
def test_other_words_with_a_colon_are_words(text: str) -> None:
    assert links(text) == []
    assert shown(text) == text


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(MIXED), max_size=12))
def test_any_mixture_is_read_and_its_code_copied_as_it_is_shown(pieces: list[str]) -> None:
    text = "".join(pieces)
    links(text)
    code = [block.styled.text for block in blocks(text) if block.kind == "code"]
    assert "\n".join(code).split() == "\n".join(code_blocks(text)).split()
