"""Lines as markdown-it's rules for blocks see them: where they begin, what they belong to."""

from __future__ import annotations

from markdown_it.rules_block import StateBlock


def span(state: StateBlock, line: int) -> tuple[int, int]:
    """Where a line begins, without its indentation, and where it ends."""
    return state.bMarks[line] + state.tShift[line], state.eMarks[line]


def is_outdented(state: StateBlock, line: int) -> bool:
    """Whether a line is further to the left than what is around it."""
    return state.sCount[line] < state.blkIndent


def ends_container(state: StateBlock, line: int) -> bool:
    """Whether a line ends what is around it."""
    return is_outdented(state, line) and not state.isEmpty(line)
