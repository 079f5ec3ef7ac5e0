"""Text from outside: which bytes are text, which are not, and where they stop being it."""

from __future__ import annotations

import codecs
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from amulet_local.system.text_files import (
    TOML_ERRORS,
    NotTextError,
    decode_text,
    load_toml,
    read_text,
    toml_reason,
)

LE, BE = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (codecs.BOM_UTF8, ""),
        (LE, ""),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (codecs.BOM_UTF8 * 2 + b"a", "a"),
        ("a\ufeffb".encode(), "a\ufeffb"),  # within a text it is a character
        (LE + "\r\n😀".encode("utf-16-le"), "\n😀"),
        (BE + "\r\n😀".encode("utf-16-be"), "\n😀"),
    ],
)
def test_a_text_is_what_it_says_without_its_mark(data: bytes, text: str) -> None:
    assert decode_text(data) == text


@given(text=TEXTS)
def test_a_mark_tells_how_a_text_is_encoded(text: str) -> None:
    for codec in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        assert decode_text(f"\ufeff{text}".encode(codec)) == text
    assert decode_text(text.encode()) == text


@given(data=st.binary(max_size=64))
def test_whatever_bytes_are_the_text_of_them_can_be_used(data: bytes) -> None:
    for lossy in (True, False):
        text = ""
        with suppress(NotTextError):
            text = decode_text(data, lossy=lossy)
        assert "\0" not in text
        assert not text.startswith("\ufeff")
        text.encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a\0", "line 1: it is binary, not text, byte 2 is zero"),
        (b"\xff\n\xff\0", "line 2: it is binary, not text, byte 4 is zero"),
        ("hi".encode("utf-16-le"), "line 1: it is binary, not text, byte 2 is zero"),
        (codecs.BOM_UTF8 + b"\0", "line 1: it is binary, not text, byte 4 is zero"),
        (LE + "a\n\0".encode("utf-16-le"), "line 2: it is binary, not text, byte 7 is zero"),
        (b"a\nb\xe9", "line 2: it is not text in UTF-8, byte 4, 0xE9, cannot be decoded"),
        (codecs.BOM_UTF8 + b"\xff", "line 1: it is not text in UTF-8, byte 4, 0xFF"),
        (b"\xed\xa0\x80", "line 1: it is not text in UTF-8, byte 1, 0xED"),  # a lone surrogate
        (LE + b"a", "line 1: it is not text in UTF-16, byte 3, 0x61"),
        (BE + b"\xd8\x00\x00a", "line 1: it is not text in UTF-16, byte 3, 0xD8"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(NotTextError) as raised:
        decode_text(data)
    assert str(raised.value).startswith(reason)


def test_a_lossy_text_has_a_mark_for_what_cannot_be_decoded() -> None:
    assert decode_text(b"caf\xe9", lossy=True) == "caf\ufffd"
    with pytest.raises(NotTextError, match="binary"):
        decode_text(b"caf\xe9\0", lossy=True)


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(codecs.BOM_UTF8 + b"abc")
    assert read_text(path, 6) == "abc"
    with pytest.raises(NotTextError, match="larger than 5 bytes"):
        read_text(path, 5)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path, 5)


# -- TOML -----------------------------------------------------------------------------------------

PARTS = ".".join(["a"] * 33)
DIGITS = "9" * 401


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{PARTS} = 1", "line 1: a key has more than 32 parts"),
        (f"x = 1\n[{PARTS}]", "line 2: a key has more than 32 parts"),
        (f"x = 1\n[[ {PARTS.replace('.', ' . ')} ]]", "line 2: a key has more than 32 parts"),
        (f"x = {{ {PARTS} = 1 }}", "line 1: a key has more than 32 parts"),
        (PARTS.replace("a", '"a"') + " = 1", "line 1: a key has more than 32 parts"),
        (f'x = """\n"\n"""\n{PARTS} = 1', "line 4: a key has more than 32 parts"),
        (f"x = '\"'\n{PARTS} = 1", "line 2: a key has more than 32 parts"),
        (f"# '''\n{PARTS} = 1", "line 2: a key has more than 32 parts"),
        (f"x = {DIGITS}", "line 1: a number has more than 400 digits"),
        (f"x = [\n-{DIGITS}.5e1]", "line 2: a number has more than 400 digits"),
        (f"x = 0x{DIGITS}", "line 1: a number has more than 400 digits"),
    ],
)
def test_what_would_take_toml_long_is_refused_before(text: str, said: str) -> None:
    with pytest.raises(TOML_ERRORS) as raised:
        load_toml(text)
    assert toml_reason(raised.value, text, Struct) == said


@pytest.mark.parametrize(
    "value",
    [
        f'"{PARTS} {DIGITS}"',
        f"'{PARTS} {DIGITS}'",
        f'"""\n{PARTS}\n\'\n{DIGITS}""""',
        f"'''\n{PARTS}\n\"\n{DIGITS}'''",
        f'"\\"{PARTS}" # {PARTS} {DIGITS}',
        f'1 # {PARTS} {DIGITS} "',
        "9" * 400,
    ],
)
def test_texts_and_remarks_may_be_long(value: str) -> None:
    text = f"x = {value}\ny.{'.'.join(['z'] * 31)} = 1"
    assert load_toml(text) == tomllib.loads(text)
