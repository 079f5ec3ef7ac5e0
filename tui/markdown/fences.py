"""Code between fences in Markdown, which may hold fences itself: a rule for markdown-it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it.rules_block import StateBlock

from tui.markdown.block_lines import ends_container, span

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(.*)")
_HOLDS_FENCES = {"markdown", "md", "mdx", "rmarkdown", "rmd", "qmd"}
_MOST_FENCES = 40  # lines that look like a fence, looked at ahead of a code block's end


@dataclass(frozen=True)
class _Fence:
    """A line that opens or closes code: what its mark is made of, how long that is, its info."""

    mark: str
    length: int
    info: str

    @classmethod
    def at(cls, state: StateBlock, line: int) -> _Fence | None:
        """The fence in this line, if it is one."""
        begin, stop = span(state, line)
        if not state.src.startswith(("```", "~~~"), begin, stop) or state.is_code_block(line):
            return None
        match = _FENCE.match(state.src, begin, stop)
        if not match or (match[1][0] == "`" and "`" in match[2]):
            return None
        return cls(match[1][0], len(match[1]), match[2].strip())


@dataclass(frozen=True)
class _End:
    """Where code ends: the line that closes it, or the first that is not in it. met: whether a
    fence that opens was on the way. more: whether more text could close it."""

    line: int
    closed: bool
    met: bool = False
    more: bool = False


def fence_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Code between fences, which may hold fences of backticks as long as its own.

    By CommonMark the first bare fence ends the code, whatever was opened in it; who wants to show a
    fence takes a longer one around it. Models seldom do. So a fence with an info string in the
    code opens a fence in it, and a bare one closes the innermost. This is how it is read

    - in Markdown (see _HOLDS_FENCES), always, so that it is one block while it is written, too;
    - in code of any other kind only if it comes out even, within _MOST_FENCES fences: a model that
      forgot to end its code before the next would else have the rest of the reply in it.

    In all other cases, and for tildes, CommonMark holds.
    """
    fence = None if state.is_code_block(start) else _Fence.at(state, start)
    if not fence or silent:
        return fence is not None
    undecided = False
    if fence.mark == "`" and fence.info.split(" ")[0].lower() in _HOLDS_FENCES:
        found = _end_of(state, fence, start, end, most=None)
    else:
        found = _end_of(state, fence, start, end, most=0)
        if found.met and found.closed and fence.mark == "`":
            nested = _end_of(state, fence, start, end, most=_MOST_FENCES)
            found = nested if nested.closed else found
            undecided = nested.more and not nested.closed
    state.line = found.line + found.closed
    token = state.push("fence", "code", 0)
    token.info = fence.info
    token.content = state.getLines(start + 1, found.line, state.sCount[start], True)
    token.markup = fence.mark * fence.length
    token.map = [start, state.line]
    token.meta = {"undecided": True} if undecided and not token.level else {}
    return True


def _end_of(state: StateBlock, fence: _Fence, start: int, end: int, most: int | None) -> _End:
    """Where the code of a fence ends. most: how many fences are looked at for others in it; 0:
    there are none in it, as in CommonMark; None: all."""
    open_lengths = [fence.length]
    seen, met = 0, False
    for line in range(start + 1, end):
        if ends_container(state, line):
            return _End(line, closed=False, met=met)
        if span(state, line)[0] == len(state.src):  # an empty line in a quote, and no more
            return _End(line, closed=False, met=met, more=True)
        other = _Fence.at(state, line)
        if not other or other.mark != fence.mark or other.length < open_lengths[-1]:
            continue
        seen += 1
        if most and seen > most:
            return _End(line, closed=False, met=met)
        if other.info:
            met = True
            if most != 0:
                open_lengths.append(other.length)
        else:
            open_lengths.pop()
            if not open_lengths:
                return _End(line, closed=True, met=met)
    return _End(end, closed=False, met=met, more=True)
