"""How a path travels, and how it is shown, where its name is no text.

File names are bytes on most systems, and Python has those that are not UTF-8 as lone surrogates,
which no encoder takes: neither MessagePack, JSON and SQLite nor a terminal. `as_text` writes such
bytes as \\xe9, so that the text can go anywhere and `from_text` has the very path again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_ESCAPE = r"x[0-9a-f]{2}|ud[89a-f][0-9a-f]{2}"
_ESCAPED = re.compile(rf"\\({_ESCAPE})")
_LOOKS_ESCAPED = re.compile(rf"\\(?={_ESCAPE})")
_LONE = re.compile("[\ud800-\udfff]")
_FIRST_BYTE, _LAST_BYTE, _OFFSET = 0xDC80, 0xDCFF, 0xDC00  # as the handler surrogateescape has it


def as_text(path: str | Path) -> str:
    """A path, or a part of one, as text that every encoder takes; mostly itself."""
    return encodable(_LOOKS_ESCAPED.sub(r"\\x5c", str(path)))


def from_text(text: str) -> Path:
    """The path of which `as_text` made a text."""
    return Path(_ESCAPED.sub(_character, text))


def encodable(text: str) -> str:
    """A sentence with paths in it, to be shown: like `as_text`, but there is no way back."""
    return _LONE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - _OFFSET:02x}" if _FIRST_BYTE <= code <= _LAST_BYTE else f"\\u{code:04x}"


def _character(match: re.Match[str]) -> str:
    digits = match[1][1:]
    return os.fsdecode(bytes.fromhex(digits)) if len(digits) == 2 else chr(int(digits, 16))
