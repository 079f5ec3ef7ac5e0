"""What is typed for one message, and what is kept of it: its text, and what is wished of the reply.

A wish begins with `!!`: at the beginning of a line, or behind some of it with a space on either
side, and goes to the end of the line. Elsewhere, in code, and behind a backslash, `!!` is text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from amulet_local.errors import UsageError
from amulet_local.protocol.message import LONGEST_WISH, Message

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_MARK = re.compile(r"(?:^|(?<=\s))(\\*)!!(?!!)")


def split_wish(typed: str) -> tuple[str, str]:
    """The text and the wish in what was typed; several wishes are joined, a line each."""
    kept: list[str] = []
    wishes: list[str] = []
    fence, behind_wish = "", False
    for line in typed.split("\n"):
        before, fence = fence, next_fence(fence, line)
        text, wish = (line, "") if before or fence else _split_line(line)
        wishes += [wish] if wish else []
        if wish and not text:
            behind_wish = True
        elif not (behind_wish and not line.strip() and not "".join(kept[-1:]).strip()):
            behind_wish = False
            kept.append(text)
    return "\n".join(kept).strip(), "\n".join(wishes)


def join_wish(text: str, wish: str) -> str:
    """What to type for this text and this wish: `split_wish` undoes it."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        before, fence = fence, next_fence(fence, line)
        lines.append(line if before or fence else _escaped(line))
    wishes = wish_lines(wish)
    return "\n".join([*wishes, *lines] if fence else [*lines, *wishes])


def wish_lines(wish: str) -> list[str]:
    """A wish as it is typed and shown, line by line."""
    return [f"!! {line.strip()}" for line in wish.split("\n") if line.strip()]


def user_message(text: str, wish: str = "") -> Message:
    """A message of the user's. Raises UsageError where it is only a wish, or too long a one."""
    wish = "\n".join(filter(None, map(str.strip, wish.split("\n"))))
    if wish and not text.strip():
        raise UsageError(
            "this is only a wish; write the message it is for as well, before the !! or on a "
            "line of its own."
        )
    if len(wish) > LONGEST_WISH:
        raise UsageError(
            f"the wish is {len(wish):,} characters long, but at most {LONGEST_WISH:,} are allowed; "
            "put some of it into the message."
        )
    return Message("user", text, wish=wish)


def next_fence(fence: str, line: str) -> str:
    """The fence of the code block that is open after a line, where this one was before; empty for
    none."""
    match = _FENCE.match(line)
    if not match:
        return fence
    if not fence:
        return match[1]
    return "" if match[1].startswith(fence) and not line.strip().strip(fence[0]) else fence


def _split_line(line: str) -> tuple[str, str]:
    """The text and the wish of a line outside of code."""
    escapes: set[int] = set()
    for mark in _marks(line):
        if not mark[1]:
            return _without(line[: mark.start()], escapes).rstrip(), line[mark.end() :].strip()
        escapes.add(mark.start())
    return _without(line, escapes), ""


def _escaped(line: str) -> str:
    """The line of which `_split_line` makes this one."""
    parts, start = [], 0
    for mark in _marks(line):
        parts.append(line[start : mark.start()])
        start = mark.start()
    return "\\".join([*parts, line[start:]])


def _marks(line: str) -> Iterator[re.Match[str]]:
    """Where a wish begins, or would without the backslashes before it."""
    first, end = len(line) - len(line.lstrip()), len(line.rstrip())
    ticks = counted = 0
    for mark in _MARK.finditer(line):
        ticks, counted = ticks + line.count("`", counted, mark.start()), mark.start()
        in_code = ticks % 2 and line.rfind("`") > mark.start()
        behind = mark.end()
        if behind < end and (mark.start() <= first or (line[behind].isspace() and not in_code)):
            yield mark


def _without(line: str, places: Collection[int]) -> str:
    return "".join(letter for place, letter in enumerate(line) if place not in places)
