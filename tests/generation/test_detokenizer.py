"""Text comes out whole: no broken characters, no part of a stop string."""

from __future__ import annotations

import codecs
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from amulet_local.generation.detokenizer import GrowingText


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


def test_replacement_marks_before_a_stop_string_cost_no_token() -> None:
    _, growing = spell([b"a", b"\xff\xff", b"b", b"EN", b"D"], ("END",))
    growing.finish()
    assert growing.text == "a��b"
    assert growing.tokens == [0, 1, 2]


def test_the_longer_of_two_stop_strings_ends_the_text_where_it_begins_first() -> None:
    _, growing = spell([b"x a", b" b", b" c"], ("a b c", "b"))
    growing.finish()
    assert growing.text == "x "
    _, growing = spell([b"x a", b" b", b" d"], ("a b c", "b"))
    growing.finish()
    assert growing.text == "x a "
    assert growing.tokens == [0]


def test_a_stop_string_that_waits_for_a_longer_one_counts_at_the_end() -> None:
    _, growing = spell([b"x a", b" b"], ("a b c", "b"))
    assert not growing.stopped
    assert growing.finish() == "a "
    assert growing.stopped
    assert growing.text == "x a "


def test_a_stop_string_that_the_last_half_character_completes_is_found() -> None:
    _, growing = spell([b"one", b"\xc3"], ("e�",))
    growing.finish()
    assert growing.text == "on"
    assert growing.tokens == []


_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from(
            [b"a", b"ab", b"b", b"\xff", b"\xf0\x9f", b"\x98\x80", b"\xc3", b"\xa9", "�".encode()]
        ),
    ),
    max_size=12,
)
_STOPS = st.lists(st.one_of(st.text("ab�é😀", max_size=4), st.text(max_size=2)), max_size=4).map(
    tuple
)


def cut(text: str, stop: tuple[str, ...]) -> str:
    return text[: min((at for s in stop if s and (at := text.find(s)) >= 0), default=len(text))]


@settings(max_examples=150)
@given(_PIECES, _STOPS)
def test_the_text_is_all_bytes_decoded_at_once_and_cut_at_the_first_stop_string(
    pieces: list[bytes], stop: tuple[str, ...]
) -> None:
    given_out, growing = spell(pieces, stop)
    last = growing.finish()
    assert "".join(given_out) + last == growing.text
    assert growing.text == cut(b"".join(pieces).decode("utf-8", "replace"), stop)


def characters(data: bytes) -> list[int]:
    """The number of the character that each byte belongs to."""
    decoder, begun, numbers = codecs.getincrementaldecoder("utf-8")("replace"), 0, []
    for at in range(len(data)):
        begun += len(decoder.decode(data[at : at + 1]))
        numbers.append(begun if decoder.getstate()[0] else begun - 1)
    return numbers


@settings(max_examples=150)
@given(_PIECES, _STOPS)
def test_the_tokens_left_are_those_with_no_byte_behind_the_text(
    pieces: list[bytes], stop: tuple[str, ...]
) -> None:
    _, growing = spell(pieces, stop)
    fed = pieces[: len(growing.tokens)]
    growing.finish()
    within = [number < len(growing.text) for number in characters(b"".join(fed))]
    ends = list(itertools.accumulate(map(len, fed)))
    assert growing.tokens == list(
        itertools.takewhile(lambda token: all(within[: ends[token]]), range(len(fed)))
    )
