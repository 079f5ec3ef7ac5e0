"""How the command line speaks: results on standard output, all else on standard error.

What models and files say is not trusted: on a terminal it goes through `without_controls`.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import TYPE_CHECKING

import msgspec

from amulet_local.paths import encodable

if TYPE_CHECKING:
    from rich.console import Console

_KEPT = "\n\t"
_PIPED_WIDTH = 200  # columns; rich would break lines at 80 where there is no terminal


def without_controls(text: str) -> str:
    """Text without the control characters that steer a terminal; line breaks and tabs stay."""
    return "".join(c for c in encodable(text) if c in _KEPT or unicodedata.category(c) != "Cc")


def say(text: str) -> None:
    """A sentence to the user, apart from what is written to standard output."""
    print(f"amulet: {without_controls(text)}", file=sys.stderr, flush=True)


def write(text: str) -> None:
    """A piece of standard output, at once; harmless on a terminal, unchanged elsewhere."""
    print(without_controls(text) if sys.stdout.isatty() else encodable(text), end="", flush=True)


def print_json(document: object) -> None:
    """One JSON document, in ASCII; numbers that JSON has no words for (inf, nan) become null."""
    plain = msgspec.json.decode(msgspec.json.encode(_encodable(document)))
    print(json.dumps(plain, indent=2), flush=True)


def _encodable(value: object) -> object:
    """A document whose texts every encoder takes."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    return value


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """For tables and bars; nothing in a text is taken for markup."""
    from rich.console import Console  # not worth its start-up time to commands without tables

    shown = Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
    if not shown.is_terminal:
        shown.width = _PIPED_WIDTH
    return shown


class StatusLine:
    """A line on standard error that replaces itself while work goes on; on terminals only."""

    def __init__(self) -> None:
        self._shown = ""
        self._useful = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._useful and text != self._shown:
            self._shown = text
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away; call it before anything else is printed."""
        if self._shown:
            self._shown = ""
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
