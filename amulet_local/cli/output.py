"""How the command line speaks: results on standard output, all else on standard error.

What models and files say is not trusted: whatever is printed on a terminal is made safe here, by
safe_text.clean, and nothing else in this folder prints.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from amulet_local.errors import cause
from amulet_local.path_text import encodable
from amulet_local.safe_text import clean, line

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 200  # columns; rich would break lines at 80 where there is no terminal


def is_dumb() -> bool:
    """Whether the terminal says of itself that it obeys no control codes."""
    return os.environ.get("TERM", "").casefold() in ("dumb", "unknown")


def say(text: str) -> None:
    """A sentence to the user, apart from what is written to standard output."""
    print(f"amulet: {clean(text)}", file=sys.stderr, flush=True)


def keeps(act: Callable[[], None]) -> bool:
    """Whether what was found could be kept by this; why not is said, and no reason to fail."""
    try:
        act()
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        say(f"the result could not be saved ({place}{cause(error)}).")
        return False
    return True


def write(text: str) -> None:
    """A piece of standard output, at once; harmless on a terminal, unchanged elsewhere."""
    print(clean(text) if sys.stdout.isatty() else encodable(text), end="", flush=True)


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
    """For tables and bars; nothing in a text is taken for markup, or obeyed by a terminal."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment  # not worth their start-up time to commands without tables

    class Safe(Console):
        """Tables, questions and bars alike come to be printed through here."""

        def on_broken_pipe(self) -> None:
            """Leave it to the command, as with all that is printed otherwise."""
            raise

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            """As Console does, with all text made safe."""
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(clean(text), style)

    shown = Safe(
        stderr=stderr,
        quiet=quiet,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=False if is_dumb() else None,
    )
    if not shown.file.isatty():
        shown.width = _PIPED_WIDTH
    return shown


def confirmed(question: str) -> bool:
    """Whether the user agrees; on a terminal. No answer is no."""
    from rich.prompt import Confirm
    from rich.text import Text

    try:
        return Confirm.ask(Text(question), console=console(stderr=True), default=False)
    except EOFError:
        return False


class StatusLine:
    """A line on standard error that replaces itself while work goes on; on terminals only."""

    def __init__(self) -> None:
        self._shown = ""
        self._useful = sys.stderr.isatty() and not is_dumb()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._useful and text != self._shown:
            self._shown = text
            print(f"\r\x1b[K{line(text)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away; call it before anything else is printed."""
        if self._shown:
            self._shown = ""
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
