"""Text that comes from outside: files that users write or name, and what is piped.

Bytes go in, text comes out, without a byte order mark and with line breaks as \n; or NotTextError,
which says what they are instead, and where.
"""

from __future__ import annotations

import codecs
import math
import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from amulet_local.system.paths import opened

# The longer marks first: one of UTF-32 begins as one of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)


class NotTextError(ValueError):
    """Why something is not text that can be used, to stand in brackets.

    encoding: the one that it fails to be in; empty where it is binary, or too large. place: the
    first byte that shows it.
    """

    def __init__(self, reason: str, encoding: str = "", place: str = "") -> None:
        super().__init__(f"{reason}, {place}" if place else reason)
        self.encoding = encoding
        self.place = place


def decode_text(data: bytes, *, lossy: bool = False) -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 where it begins with their byte order mark.

    lossy: what cannot be decoded becomes U+FFFD. Raises NotTextError for what is no text.
    """
    mark, codec, name = next(
        (known for known in _MARKS if data.startswith(known[0])), (b"", "utf-8", "UTF-8")
    )
    body = data[len(mark) :]
    if codec == "utf-8" and b"\0" in body:
        raise _binary(len(mark), body[: body.index(b"\0")], codec)
    try:
        text = body.decode(codec, "replace" if lossy else "strict")
    except UnicodeDecodeError as error:
        line = body[: error.start].decode(codec, "replace").count("\n") + 1
        place = f"byte {len(mark) + error.start + 1}, 0x{body[error.start]:02X}, cannot be decoded"
        raise NotTextError(f"line {line}: it is not text in {name}", name, place) from None
    if "\0" in text:
        raise _binary(len(mark), text[: text.index("\0")].encode(codec, "replace"), codec)
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _binary(mark: int, before: bytes, codec: str) -> NotTextError:
    """before: what stands between the mark, of so many bytes, and the first NUL."""
    line = before.decode(codec, "replace").count("\n") + 1
    place = f"byte {mark + len(before) + 1} is zero"
    return NotTextError(f"line {line}: it is binary, not text", place=place)


def read_text(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes. Raises OSError, NotTextError."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotTextError(f"it is larger than {most:,} bytes")
    return decode_text(data)


# -- TOML -----------------------------------------------------------------------------------------

_PLAIN_WORDS = {  # for those of msgspec
    "`str` matching regex '\\\\S'": "some text",
    "`str`": "text",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "a table",
    "`object | null`": "a table",
    "`float | str`": "a number or a word",
    "`date`": "a date",
    "`datetime`": "a date and a time",
    "`time`": "a time",
    "Invalid enum value": "It cannot be",
}

# msgspec's, of a key that may be anything which TOML takes in quotes, and where it stands.
_ABOUT_KEYS = re.compile(
    r"(?s)Object (missing required|contains unknown) field `(.*?)`(?: - at `(\$[^`]*)`)?"
)

DECODER_ERRORS = (ValueError, RecursionError)  # of msgspec's decoders, over any text
TOML_ERRORS = (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError)

# Far more than any setting has, and few enough for tomllib, whose time grows with the square of a
# key's parts, and which fails over numbers that Python does not turn into text.
_MOST_PARTS = 32
_MOST_DIGITS = 400
_LONGEST_KEY, _LONGEST_REASON = 60, 200  # that are told whole; they may quote the text
_TEXT_OR_REMARK = re.compile(
    r"""(?s:\"{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)|'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z))"""
    r"""|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?|\#[^\n]*+"""
)
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")
_PLAIN_KEY = re.compile(r"[\w-]+")  # others are refused by their names
_LONG_NUMBER = re.compile(rf"[0-9_]{{{_MOST_DIGITS + 1}}}")


def load_toml(text: str) -> dict[str, Any]:
    """What a text in TOML says, in a time that grows with its length. Raises TOML_ERRORS."""
    bare = _TEXT_OR_REMARK.sub(lambda match: "x" + "\n" * match[0].count("\n"), text)
    for long, what in (
        (_LONG_KEY, f"a key has more than {_MOST_PARTS} parts"),
        (_LONG_NUMBER, f"a number has more than {_MOST_DIGITS} digits"),
    ):
        if found := long.search(bare):
            line = bare.count("\n", 0, found.start()) + 1
            raise tomllib.TOMLDecodeError(f"{what} (at line {line}, column 1)")
    values = tomllib.loads(text)
    require_numbers(values)
    return values


def require_numbers(value: object, key: str = "") -> None:
    """Raises ValidationError where a value, or one in it, is no number (NaN): a bound that it is
    not within would say nothing that helps. key: that it stands at."""
    if isinstance(value, dict):
        for name, each in value.items():
            require_numbers(each, name)
    elif isinstance(value, list):
        for each in value:
            require_numbers(each, key)
    elif isinstance(value, float) and math.isnan(value) and _PLAIN_KEY.fullmatch(key):
        raise msgspec.ValidationError(f"Is not a number - at `$.{key}`")


def toml_reason(error: Exception, text: str, kind: type[msgspec.Struct]) -> str:
    """What is wrong with a text in TOML that was to become a struct of a kind, and in which line.

    error: one of TOML_ERRORS.
    """
    if isinstance(error, tomllib.TOMLDecodeError):
        return _syntax(str(error), text)
    if isinstance(error, RecursionError):
        return decoder_reason(error)
    return _wrong_key(str(error), text, kind)


def _syntax(message: str, text: str) -> str:
    """tomllib's message with the line in front."""
    reason, _, place = message.partition(" (at ")
    found = re.match(r"line (\d+)", place)
    line = int(found[1]) if found else max(1, len(text.splitlines()))
    return f"line {line}: {_lower(reason)}"


def _wrong_key(message: str, text: str, kind: type[msgspec.Struct]) -> str:
    """msgspec's message with the key that it is about, and its line, in front."""
    if found := _ABOUT_KEYS.fullmatch(message):
        what, key, place = found.groups()
        if what == "missing required":
            return f"the key {key} is missing"
        near = get_close_matches(key, kind.__struct_encode_fields__, 1)
        hint = f"; did you mean {near[0]}?" if near and not place else ""
        return at_key(key, f"there is no such key{hint}", text)
    reason, _, place = message.rpartition(" - at ")
    reason = shortened(reason, _LONGEST_REASON)
    for theirs, ours in _PLAIN_WORDS.items():
        reason = reason.replace(theirs, ours)
    names = re.findall(r"[\w-]+", re.sub(r"\[[^]]*\]", "", place))  # not an item's number
    choices = _choices(kind, names) if "cannot be" in reason else ""
    return at_key(names[-1], _lower(reason) + choices, text)


def _choices(kind: type[msgspec.Struct], names: Sequence[str]) -> str:
    """What a key of a struct may be instead, where words are listed."""
    struct = msgspec.inspect.type_info(kind)
    if len(names) != 1 or not isinstance(struct, msgspec.inspect.StructType):
        return ""
    found = next((it.type for it in struct.fields if it.encode_name == names[0]), None)
    types = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    words = [
        str(word)
        for each in types
        if isinstance(each, msgspec.inspect.LiteralType)
        for word in each.values
    ]
    if any(isinstance(each, msgspec.inspect.FloatType) for each in types):
        words.append("a number")
    return f"; choose {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else ""


def at_key(key: str, reason: str, text: str) -> str:
    """A reason with the key in front, and the first line where it seems to be set."""
    name, plain = re.escape(key), _PLAIN_KEY.fullmatch(key)
    key = shortened(key) if plain else repr(shortened(key))
    bare = rf"(?<![\w-]){name}|" if plain else ""
    setting = re.compile(rf"""[^#"']*({bare}"{name}"|'{name}')\s*[]=]""")
    for number, line in enumerate(text.splitlines(), 1):
        if setting.match(line):
            return f"line {number}: {key}: {reason}"
    return f"{key}: {reason}"


def shortened(text: str, most: int = _LONGEST_KEY) -> str:
    """What somebody wrote, as a sentence repeats it: so many letters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def decoder_reason(error: Exception) -> str:
    """What is wrong with a text, and where, by one of DECODER_ERRORS, which may quote all of it."""
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    reason, at, place = str(error).partition(" - at ")
    return shortened(reason, _LONGEST_REASON) + at + shortened(place)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
