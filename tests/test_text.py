"""Text comes out whole: no broken characters, no part of a stop string."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amulet_local.text import GrowingText


def spell(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], GrowingText]:
    """Feed pieces as tokens 0, 1, 2… until a stop string is found."""
    growing = GrowingText(pieces.__getitem__, stop)
    given_out = []
    for token in range(len(pieces)):
        given_out.append(growing.add(token))
        if growing.stopped:
            break
    return given_out, growing


def test_a_character_split_over_tokens_appears_once_it_is_complete() -> None:
    given_out, growing = spell(["é".encode()[:1], "é".encode()[1:], b"!"])
    assert given_out == ["", "é", "!"]
    assert growing.text == "é!"


def test_an_unfinished_character_at_the_end_becomes_a_replacement_mark() -> None:
    _, growing = spell([b"a", "é".encode()[:1]])
    assert growing.finish() == "�"
    assert growing.text == "a�"


def test_a_stop_string_over_several_tokens_never_shows() -> None:
    given_out, growing = spell([b"Hi", b"\nUs", b"er", b": x"], ("\nUser:",))
    assert given_out == ["Hi", "", "", ""]
    growing.finish()
    assert growing.text == "Hi"
    assert growing.tokens == [0]


def test_what_only_began_like_a_stop_string_is_released() -> None:
    given_out, growing = spell([b"Hi\n", b"Use", b"ful"], ("\nUser:",))
    assert given_out == ["Hi", "", "\nUseful"]
    assert not growing.stopped


def test_what_is_held_back_at_the_end_belongs_to_the_text() -> None:
    _, growing = spell([b"Hi\n"], ("\nUser:",))
    assert growing.finish() == "\n"
    assert growing.tokens == [0]


def test_a_token_half_inside_a_stop_string_is_dropped() -> None:
    _, growing = spell([b"one", b" two END"], ("END",))
    growing.finish()
    assert growing.text == "one two "
    assert growing.tokens == [0]


@given(st.text(), st.lists(st.integers(1, 5)))
def test_any_text_in_any_pieces_comes_out_as_it_was(text: str, sizes: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    given_out, growing = spell([*pieces, data], ("\x00never",))
    last = growing.finish()
    assert "".join(given_out) + last == growing.text == text.encode("utf-8", "replace").decode()


@given(st.text(min_size=1), st.data())
def test_what_was_begun_and_what_follows_come_to_the_whole(text: str, data: st.DataObject) -> None:
    encoded = text.encode("utf-8", "replace")
    pieces = [encoded[at : at + 1] for at in range(len(encoded))]
    begun = data.draw(st.integers(0, len(pieces)))
    told = encoded[:begun].decode("utf-8", "ignore")
    said = told[: data.draw(st.integers(0, len(told)))]
    growing = GrowingText(pieces.__getitem__, begun=range(begun), said=said)
    for token in range(begun, len(pieces)):
        growing.add(token)
    growing.finish()
    assert said + growing.text == encoded.decode()


def test_what_was_begun_in_other_words_than_its_tokens_is_not_told_again() -> None:
    pieces = [b" Take", b" it"]
    growing = GrowingText(pieces.__getitem__, begun=[0], said="Take")
    assert growing.add(1) == " it"


def test_a_text_that_was_begun_within_a_character_begins_with_that_character() -> None:
    pieces = [b"a", "é".encode()[:1], "é".encode()[1:], b"b", b"END"]
    growing = GrowingText(pieces.__getitem__, ("END",), begun=[0, 1], said="a")
    assert [growing.add(token) for token in (2, 3, 4)] == ["é", "b", ""]
    growing.finish()
    assert growing.tokens == [2, 3]
