"""Gutters and tables wrap to any width without losing a character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Offset
from textual.selection import Selection
from textual.style import Style
from textual.visual import RenderOptions

from tests.checks import some
from tui.markdown.drawing import Hanging, Stack, Table
from tui.markdown.parsing import Block, blocks
from tui.markdown.styled import Styled

OPTIONS = RenderOptions(lambda style: Style(), {})


def hanging(text: str, first: str, rest: str) -> Stack:
    return Stack([Hanging(Block("text", Styled(text), first, rest, gap=False))])


def drawn(stack: Stack, width: int) -> list[str]:
    strips = stack.render_strips(width, None, Style(), OPTIONS)
    assert len(strips) == stack.get_height({}, width)
    return [strip.text.rstrip() for strip in strips]


def table(*rows: str) -> Table:
    return Table([[Styled(cell) for cell in row.split("|")] for row in rows])


def test_the_first_line_has_the_marker_and_the_others_hang_below_it() -> None:
    assert drawn(hanging("one two three", "• ", "  "), 9) == ["• one two", "  three"]


def test_a_gutter_wider_than_half_the_width_is_cut() -> None:
    assert drawn(hanging("abcdef", "▎ ▎ ▎ • ", "▎ ▎ ▎   "), 6) == [" • abc", "   def"]


def test_numbers_of_a_column_that_is_on_the_right_end_in_one_line() -> None:
    (block,) = blocks("| day | km |\n|:--|--:|\n| one | 19.5 |\n| two | 4 |")
    assert Hanging(block).lines(40) == [
        "day │   km",
        "────┼─────",
        "one │ 19.5",
        "two │    4",
    ]


def test_a_table_is_as_wide_as_its_cells_where_there_is_room() -> None:
    assert table("a|bb", "ccc|d").lay_out(40).plain.splitlines() == [
        "a   │ bb",
        "────┼───",
        "ccc │ d ",
    ]


def test_the_widest_column_gives_way_first() -> None:
    lines = table("day|what", "1|walk along the coast").lay_out(18).plain.splitlines()
    assert [line.split("│")[0].strip() for line in lines if "│" in line] == ["day", "1", ""]
    assert max(map(len, lines)) <= 18


@given(
    st.lists(st.lists(st.text("ab cß世", max_size=20), min_size=3, max_size=3), min_size=1),
    st.integers(1, 60),
)
def test_a_table_keeps_every_letter_at_any_width(rows: list[list[str]], width: int) -> None:
    shown = Table([[Styled(cell) for cell in row] for row in rows]).lay_out(width).plain
    for letter in "abcß世":
        assert shown.count(letter) == sum(cell.count(letter) for row in rows for cell in row)


@given(st.text("ab cß世\n", max_size=60), st.integers(4, 60))
def test_a_gutter_costs_no_letter_at_any_width(text: str, width: int) -> None:
    shown = "".join(drawn(hanging(text, "1. ", "   "), width))
    for letter in "abcß世":
        assert shown.count(letter) == text.count(letter)


def test_blocks_stand_below_each_other_with_gaps_where_they_have_them() -> None:
    stack = Stack([Hanging(block) for block in blocks("# a\n\nb\n- c\n- d")])
    assert drawn(stack, 20) == ["a", "", "b", "", "• c", "• d"]


def test_what_is_unchanged_is_not_drawn_again() -> None:
    block = Hanging(blocks("some words")[0])
    first = block.draw(20, 0, Style(), OPTIONS)
    assert block.draw(20, 0, Style(), OPTIONS) is first
    assert block.draw(10, 0, Style(), OPTIONS) is not first


def places(stack: Stack, width: int) -> list[tuple[str, int]]:
    """The text of each row that can be selected, and the line that the mouse is told it is in."""
    found = []
    for strip in stack.render_strips(width, None, Style(), OPTIONS):
        for segment in strip:
            if segment.style and "offset" in segment.style.meta:
                found.append((segment.text, segment.style.meta["offset"][1]))
    return found


def test_the_mouse_finds_the_lines_of_the_text_that_is_selected() -> None:
    stack = Stack([Hanging(block) for block in blocks("a long line\n\n- b\nc\n\n```\nd\ne\n```")])
    lines = stack.text(8).split("\n")
    assert lines == ["a long line", "", "• b", "  c", "", "d", "e"]
    assert all(text.strip() in lines[line] for text, line in some(places(stack, 8)))
    assert {line for _, line in places(stack, 8)} == {0, 2, 3, 5, 6}


def test_a_selection_across_blocks_marks_what_it_copies() -> None:
    stack = Stack([Hanging(block) for block in blocks("one\n\n1. two\n\n- three")])
    selection = Selection(Offset(1, 0), Offset(4, 4))
    marked = Style(reverse=True)
    options = RenderOptions(lambda style: Style(), {}, selection, marked)
    shown = [
        segment.text
        for strip in stack.render_strips(20, None, Style(), options)
        for segment in strip
        if segment.style and segment.style.reverse
    ]
    assert shown == ["ne", "two", "th"]
    assert selection.extract(stack.text(20)) == "ne\n\n 1. two\n\n• th"
