"""The Markdown that models write, in depth and at length: nothing is lost, nothing takes long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.checks import calls, tortures
from tests.tui.markdown.showing import shown
from tui.markdown.dialect import parse
from tui.markdown.parsing import blocks


@pytest.mark.parametrize("mark", [">", "> ", "- ", "1. ", "> - ", "* > "])
@pytest.mark.parametrize("depth", [5, 17, 18, 19, 20, 40, 1000])
def test_nothing_is_dropped_however_deep_it_lies(mark: str, depth: int) -> None:
    assert "treasure" in shown(f"{mark * depth}treasure\n\nafter")
    assert shown(f"{mark * depth}treasure\n\nafter").endswith("after")


def test_lists_a_thousand_deep_lose_no_item() -> None:
    text = "".join(f"{'  ' * depth}- item{depth}.\n" for depth in range(1000))
    seen = shown(text)
    assert [depth for depth in range(1000) if f"item{depth}." not in seen] == []


@pytest.mark.parametrize("columns", [2, 24, 25, 300])
def test_no_cell_is_lost_in_a_table_with_many_columns(columns: int) -> None:
    cells = [f"c{column}." for column in range(columns)]
    text = f"|{'|'.join(cells)}|\n|{'-|' * columns}\n|{'|'.join(cells)}|\n"
    seen = shown(text)
    assert [cell for cell in cells if seen.count(cell) != 2] == []


@pytest.mark.parametrize("gutter", ["", "> ", "- "])
def test_what_a_row_has_beyond_the_columns_stands_in_the_last_one(gutter: str) -> None:
    rows = [
        "| Name | Use |",
        "|---|---|",
        "| a | b | c | d |",
        "e | `f|g` |",
        "| h \\| i |",
        "||",
        "|j",
    ]
    below = gutter.replace("-", " ")
    text = gutter + f"\n{below}".join(rows)
    (table,) = [block for block in blocks(text) if block.kind == "table"]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["Name", "Use"],
        ["a", "b | c | d"],
        ["e", "f|g"],
        ["h | i", ""],
        ["", ""],
        ["j", ""],
    ]


def test_a_line_of_a_megabyte_is_shown_whole() -> None:
    text = "*word* " * 150_000
    assert "".join(shown(text).split()) == "".join(text.split())
    line = "x" * 1_000_000
    assert shown(line).replace("\n", "") == line


Made = Callable[[int], str]


def runs(length: int) -> str:
    """Runs of backticks, each longer than the one before."""
    return "".join("a" + "`" * size for size in range(1, int((2 * length) ** 0.5)))


def deep(length: int) -> str:
    """A list, each item in the one before."""
    return "".join("  " * depth + "- a\n" for depth in range(int(length**0.5)))


def repeated(piece: str, first: str = "") -> Made:
    return lambda length: first + piece * (length // len(piece))


# A piece of each kind; further ones of the same kinds.
PIECES = [
    *("word\n\n", "http://a_*b*_ ", "a@a@a@", "[", '[a](b "', "[a]: b\n", "*a **b ", "`"),
    *("\\`a", "<", "<!-- ", "<div>\n", "\\[ a ", "$", "> ", ">>>>>>>>>> a\n", "- \\[ a\n"),
    *("- ```py\n  b\n  ```\n", "|a|\n|-\n", "```md\n```py\n", "    x\n\n\n", "a\u0301"),
    *(" ", "\ud800"),
]
MORE_PIECES = [
    *("mailto:", "![", "*", "~~a", "<a:", "&#1", "$$ a\n", "\\begin{a} \\end{b}\n", "1. "),
    *("- a\n\n", "-|", "a\n=\n", "-", "# a\n", "-\ta\n", "a  \n", "word and ", "word\n"),
    *("a://b ", "http://b.c ", "http://", "mailto:a@b ", "www.", "://", ":", "[]", "[a]("),
    *("[a](<b", "![[]()", "[a][b] ", "[a]: b\n\n", "*_", "*a_b", "*a_b ", "a*b_c~~", "a**b"),
    *("~~a~~~", "` a `` b ``` c ", "<a ", "<? ", "<div>\na\n\n", "&", "&amp;", "&#1;", "\\"),
    *("\\(", "\\( a ", "\\[ a\n", "$a ", "a$ ", "$a$", "$$a ", "$$\n", "\\begin{a}"),
    *("\\begin{a}\n", "\\end{a}", ">", "> a\n", "- ", "> - ", "- a\n", "1. a\n", "-\n"),
    *("> \\[ a\n", "- ```\n", "|", "|a|b|\n|-|-|\n|c|\n", "```\n", "```py\n", "```md\n"),
    *("```py\n```js\n```\n", "```py\n```\n", "~~~\n", "~~~ py\n", "    x = 1\n", "=", "- - "),
    *("#", "\n", " \n", "a\t", "\t", "a\\\n", "!", "\u200b", "\u0301", "\U0001f469\u200d"),
    *("漢", "\u2028", "\x1b[", "*[`<&$\\"),
]
CONSTRUCTS: dict[str, Made] = {
    **{repr(piece): repeated(piece) for piece in [*PIECES, *MORE_PIECES]},
    "code": repeated("x = 1\n", "```\n"),
    "a table": repeated("|c|d|\n", "|a|b|\n|-|-|\n"),
    "a table to be filled": repeated("|c|\n", "|a" * 20 + "|\n" + "|-" * 20 + "|\n"),
    "a table with many columns": lambda length: "\n".join(
        part * (length // 6) + "|" for part in ("|a", "|-", "|b")
    ),
    "a lazy item": repeated("b\n", "- a\n"),
    "a lazy quote": repeated("b\n", "> a\n"),
    "an item of paragraphs": repeated("  b\n\n", "- a\n"),
    "lists in lists": deep,
    "runs of backticks": runs,
    "a setext heading": lambda length: "a\n" * (length // 2) + "===",
    "a link's text": lambda length: "[" * (length // 4) + "a" + "](b)" * (length // 6),
    "brackets": lambda length: f"http://a{'(' * (length // 2)}{')' * (length // 2)}",
    "names of environments": lambda length: "".join(
        f"\\begin{{{'a' * (number % 25 + 1)}}}\n" for number in range(length // 24)
    ),
}
_MORE = {repr(piece) for piece in MORE_PIECES}
ROWS = [*(name for name in CONSTRUCTS if name not in _MORE), *tortures(*sorted(_MORE))]


@pytest.mark.slow
@pytest.mark.parametrize("construct", ROWS)
def test_every_construct_takes_work_in_proportion_to_its_length(construct: str) -> None:
    short, long = (CONSTRUCTS[construct](length) for length in (400, 1600))
    blocks("".join(f"```{language}\nx\n```\n" for language in ("py", "js", "md")))  # loads lexers
    blocks(CONSTRUCTS[construct](250))  # loads what else is loaded but once
    few, many = (calls(partial(blocks, text)) for text in (short, long))
    assert many <= 1.5 * few * len(long) / len(short) + 200


@pytest.mark.slow
@pytest.mark.parametrize("construct", ROWS)
def test_no_construct_is_refused(construct: str) -> None:
    text = CONSTRUCTS[construct](3000)
    assert parse(text) or not text.strip()
