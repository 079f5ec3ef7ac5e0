"""What models write and CommonMark would spoil is shown as they meant it, in linear time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.markdown.dialect import parse
from tui.markdown.growing import GrowingMarkdown
from tui.markdown.parsing import Block, blocks, code_blocks, links


def shown(text: str) -> str:
    """All that is shown of a text, with a line for each block and cell."""
    pieces = [
        styled
        for block in blocks(text)
        for styled in (block.styled, *(cell for row in block.rows for cell in row))
    ]
    return "\n".join(styled.text for styled in pieces if styled.text)


def styled_as(text: str) -> list[tuple[str, str]]:
    """What has which style."""
    return [
        (str(span.style), block.styled.text[span.start : span.end])
        for block in blocks(text)
        for span in block.styled.spans
    ]


MIXED = [
    *("a", " ", "\n", "\n\n", "    ", "\t", "> ", "- ", "1. ", "# ", "|a|b|\n|-|-|\n", "|", "=\n"),
    *(
        "```\n",
        "```py\n",
        "```md\n",
        "````\n",
        "~~~\n",
        "`",
        "*",
        "_",
        "~~",
        "[",
        "![",
        "](b)",
        "<",
    ),
    *("\\", "\\(", "\\)", "\\[", "\\]", "$", "$$", "\\begin{x}", "\\end{x}", "&amp;", "&#27;", ":"),
    *(
        "http://",
        "https://a.b",
        "mailto:",
        "mailto:a@b",
        "@",
        "\u0301",
        "\u2028",
        "\ud800",
        "\x1b[",
    ),
]

# -- mathematics ----------------------------------------------------------------------------------

AS_WRITTEN = [
    r"\(x\)",
    r"\[x\]",
    r"\[",
    r"\(",
    r"\]",
    r"x\,dx",
    r"\int\!f\,dx\;\text{and}\:y",
    r"the set \{1, 2\}, a norm \|x\|, G\"odel, a\ b",
    r"a \\ b \\",
    r"\\(x\\)",
    r"\(a_b * c * d_e\)",
    r"\(a*b*c\) and \[_d_ **e**\]",
    r"$a_1*b*c$ and $$x^*y^*$$",
    r"$\alpha$/$\beta$, ($x$), the $n$th",
    r"\begin{align} a_1 &= b*c* \\ &amp; d \end{align}",
    r"\begin{bmatrix*} 1 & _2_ \\ 3 & _4_ \end{bmatrix*}",
    r"$x \% y \& z \_ \# \$ w$",
    r"\(f(x) = [a](b)\) and $<http://a>$",
    "\\[\nx\n= y\n=\n- *z*\n+ 1\n# 2\n> 3\n1. 4\n---\n\\]",
    "$$\n    a * b\n\\\\\n c * d\n$$",
    "\\begin{cases}\n- a_1\n- _b_\n\\end{cases}",
    "\\(a\n*b* c\\)",
    r"\(\( _a_ \)",
    r"regex \d+\.\w*".replace(r"\.", r"\s"),
    r"C:\Users\name",
    "\\",
    "$",
    "$$",
    "$$$ $$$$",
    r"\begin{a}",
    r"\begin{a} x \end{b}",
]


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_mathematics_is_shown_as_it_was_written(text: str) -> None:
    assert shown(text) == text
    assert styled_as(text) == []


@pytest.mark.parametrize("text", [text for text in AS_WRITTEN if "\n" not in text])
@pytest.mark.parametrize(
    ("before", "after"), [("# ", ""), ("- ", ""), ("> ", ""), ("Let **", "** be. "), ("[", "](b)")]
)
def test_wherever_it_stands(text: str, before: str, after: str) -> None:
    if after and not text.strip("\\$()[]{}"):
        before, after = "Let ", " be."  # half a mark is no mathematics
    assert text in shown(before + text + after)


def test_display_mathematics_is_a_block_in_items_and_quotes() -> None:
    found = blocks("- a\n  \\[\n  - b\n  = c\n  \\]\n- d\n\n> $$\n> - e\n> $$\n>\n> f")
    assert [(block.first, block.styled.text) for block in found] == [
        ("• ", "a"),
        ("  ", "\\[\n- b\n= c\n\\]"),
        ("• ", "d"),
        ("▎ ", "$$\n- e\n$$"),
        ("▎ ", "f"),
    ]


def test_mathematics_without_an_end_does_not_reach_beyond_a_blank_line() -> None:
    assert styled_as("$$\na *b*\n\n*c*") == [(".em", "c")]
    assert styled_as("\\(a\n\n*c* \\)") == [(".em", "c")]


def test_code_is_not_mathematics() -> None:
    assert styled_as(r"`\(x\)`, `$a$` and $a `b$c`") == [
        (".code_inline", r"\(x\)"),
        (".code_inline", "$a$"),
        (".code_inline", "b$c"),
    ]
    assert code_blocks("```\n\\[ *x* \\]\n$$\n```\n") == ["\\[ *x* \\]\n$$\n"]


@pytest.mark.parametrize(
    "text",
    [
        "$5 and *$10*",
        "$5 *and* $10",
        "$5-*a*-$10",
        "$1,000.50 for *this*, 10$ for that",
        "US$5 *to* US$6",
        "$HOME *and* $PATH",
        r"\$5 *and* \$6",
        "$5M *in* 2020, $6M",
        "5 $ *and* 6 $",
        "a$ *b* $c",
        "$20k *or* $30k?",
    ],
)
def test_amounts_of_money_are_prose(text: str) -> None:
    assert [style for style, _ in styled_as(text)] == [".em"]
    assert shown(text) == text.replace("*", "").replace("\\", "")


def test_a_backslash_still_makes_markup_text() -> None:
    text = r"\*a\* \_b\_ \`c\` \~\~d\~\~ \<http://e\> \&amp; \$f\$"
    assert shown(text) == "*a* _b_ `c` ~~d~~ <http://e> &amp; $f$"
    assert [shown(f"\\{mark} a") for mark in "#-+>"] == ["# a", "- a", "+ a", "> a"]
    assert shown("1\\. a") == "1. a"
    assert shown("a\\\n  b") == "a\nb"


# -- fences in fences -----------------------------------------------------------------------------

INNER = "# T\n\n```py\nx = 1\n```\n\nThen:\n\n```sh\nls\n```\n"
FENCED = {
    "markdown": (f"```markdown\n{INNER}```\n\nafter", INNER),
    "md": (f"```md\n{INNER}```\nafter", INNER),
    "a title": (f"```Markdown title=x\n{INNER}```\nafter", INNER),
    "text": (f"```text\n{INNER}```\nafter", INNER),
    "no info": (f"```\n{INNER}```\nafter", INNER),
    "code": (f"```python\ns = '''\n{INNER}'''\n```\nafter", f"s = '''\n{INNER}'''\n"),
    "two deep": (f"```md\n```md\n{INNER}```\n```\nafter", f"```md\n{INNER}```\n"),
    "longer within": (f"```md\n````md\n{INNER}````\n```\nafter", f"````md\n{INNER}````\n"),
    "longer around": (f"````md\n{INNER}````\nafter", INNER),
    "longer around, bare": ("````\n```\na\n```\n````\nafter", "```\na\n```\n"),
    "tildes around": (f"~~~md\n{INNER}~~~\nafter", INNER),
    "tildes within": ("```md\n~~~py\n```\nafter", "~~~py\n"),
    "inline code": (
        "```md\nUse ```x``` so:\n```y``` z\n```\nafter",
        "Use ```x``` so:\n```y``` z\n",
    ),
    "indented": (
        "```md\n1. a\n   ```py\n   x\n   ```\n```\nafter",
        "1. a\n   ```py\n   x\n   ```\n",
    ),
    "far in": ("```md\n1. a\n\n    ```py\n    x\n```\nafter", "1. a\n\n    ```py\n    x\n"),
}


@pytest.mark.parametrize("case", FENCED)
def test_a_fence_that_holds_fences_is_one_block_to_read_and_to_copy(case: str) -> None:
    text, code = FENCED[case]
    found = blocks(text)
    assert [(block.kind, block.styled.text) for block in found] == [
        ("code", code.rstrip("\n")),
        ("text", "after"),
    ]
    assert code_blocks(text) == [code]


@pytest.mark.parametrize(("before", "rest"), [("- ", "  "), ("1. ", "   "), ("> ", "> ")])
def test_also_in_items_and_quotes(before: str, rest: str) -> None:
    lines = f"```md\n{INNER}```".split("\n")
    text = before + f"\n{rest}".join(lines) + "\n\nafter"
    assert [block.kind for block in blocks(text)] == ["code", "text"]
    assert code_blocks(text) == [INNER]


@pytest.mark.parametrize("case", FENCED)
def test_a_growing_one_ends_as_the_whole_does(case: str) -> None:
    text = FENCED[case][0]
    growing, seen = GrowingMarkdown(), list[Block]()
    for letter in text:
        kept, following = growing.add(letter)
        seen[kept:] = following
    assert seen == growing.finish() == blocks(text)


def test_markdown_is_one_block_at_every_moment_while_it_is_written() -> None:
    text = f"```markdown\n{INNER}```"
    growing, seen, kinds = GrowingMarkdown(), list[Block](), set[tuple[str, ...]]()
    for at, letter in enumerate(text):
        kept, following = growing.add(letter)
        seen[kept:] = following
        if at >= len("```"):
            kinds.add(tuple(block.kind for block in seen))
    assert kinds == {("code",)}


def test_after_code_that_was_not_ended_a_reply_is_not_all_code() -> None:
    text = "```python\nforgotten\n\nThen run\n```bash\nls\n```\nprose\n\n```bash\nps\n```\nmore"
    assert [block.kind for block in blocks(text)] == ["code", "text", "code", "text"]


@pytest.mark.parametrize("text", ["> 1. ```\n> ", "- ```md\n  ", "> ```\n> ", "> - $$\n> "])
def test_code_and_mathematics_may_end_in_an_empty_line_of_what_they_lie_in(text: str) -> None:
    assert len(blocks(text)) == 1


def test_code_is_copied_as_it_is_shown() -> None:
    text = "```\na\u2028b\r\n\x1b[2Jc\n```\n\n    d\n\n- ```py\n  e\n  ```"
    assert code_blocks(text) == ["a\nb\n[2Jc\n", "d\n", "e\n"]
    assert [block.styled.text for block in blocks(text)] == ["a\nb\n[2Jc", "d", "e"]


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://a.org/x_(y)_z, and", "https://a.org/x_(y)_z"),
        ("(https://a.org)", "https://a.org"),
        ("**https://a.org**", "https://a.org"),
        ("*https://a.org/b*c*.", "https://a.org/b*c"),
        ("HTTPS://a.org/?q=1&r=2#s!", "HTTPS://a.org/?q=1&r=2#s"),
        ("“https://a.org/b”", "https://a.org/b%E2%80%9D"),
        ("| a |\n|-|\n| http://localhost:8080/x |", "http://localhost:8080/x"),
        ("write to mailto:a@b.org.", "mailto:a@b.org"),
        ("https://a.org/b](c)", "https://a.org/b"),
    ],
)
def test_an_address_ends_where_the_sentence_goes_on(text: str, address: str) -> None:
    assert [link.address for link in links(text)] == [address]


@pytest.mark.parametrize(
    "text",
    [
        "a://b",
        "xhttp://a.b",
        "http://",
        "https:// a",
        "mailto:a",
        "ftp://a.b",
        "www.a.b",
        "mailto:[a@b",
        "http://_",
    ],
)
def test_other_words_with_a_colon_are_words(text: str) -> None:
    assert links(text) == []
    assert shown(text) == text


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(MIXED), max_size=12))
def test_any_mixture_is_read_and_its_code_copied_as_it_is_shown(pieces: list[str]) -> None:
    text = "".join(pieces)
    links(text)
    code = [block.styled.text for block in blocks(text) if block.kind == "code"]
    assert "\n".join(code).split() == "\n".join(code_blocks(text)).split()


# -- depth and time -------------------------------------------------------------------------------


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


PIECES = [
    *("word and ", "word\n", "word\n\n", "a://b ", "http://b.c ", "http://", "http://a_*b*_ "),
    *(
        "mailto:a@b ",
        "mailto:",
        "a@a@a@",
        "www.",
        "://",
        ":",
        "[",
        "[]",
        "[a](",
        "[a](<b",
        '[a](b "',
    ),
    *("![", "![[]()", "[a][b] ", "[a]: b\n", "[a]: b\n\n", "*", "*_", "*a_b", "*a_b ", "*a **b "),
    *(
        "a*b_c~~",
        "a**b",
        "~~a",
        "~~a~~~",
        "`",
        "` a `` b ``` c ",
        "\\`a",
        "<",
        "<a ",
        "<a:",
        "<!-- ",
    ),
    *(
        "<? ",
        "<div>\n",
        "<div>\na\n\n",
        "&",
        "&amp;",
        "&#1",
        "&#1;",
        "\\",
        "\\(",
        "\\( a ",
        "\\[ a ",
    ),
    *("\\[ a\n", "$", "$a ", "a$ ", "$a$", "$$a ", "$$ a\n", "$$\n", "\\begin{a}", "\\begin{a}\n"),
    *(
        "\\end{a}",
        "\\begin{a} \\end{b}\n",
        ">",
        "> ",
        "> a\n",
        ">>>>>>>>>> a\n",
        "- ",
        "1. ",
        "> - ",
    ),
    *(
        "- a\n",
        "- a\n\n",
        "1. a\n",
        "-\n",
        "- \\[ a\n",
        "> \\[ a\n",
        "- ```\n",
        "- ```py\n  b\n  ```\n",
    ),
    *(
        "|",
        "|a|\n|-\n",
        "|a|b|\n|-|-|\n|c|\n",
        "-|",
        "```\n",
        "```py\n",
        "```md\n",
        "```md\n```py\n",
    ),
    *(
        "```py\n```js\n```\n",
        "```py\n```\n",
        "~~~\n",
        "~~~ py\n",
        "    x = 1\n",
        "    x\n\n\n",
        "a\n=\n",
    ),
    *(
        "=",
        "-",
        "- - ",
        "#",
        "# a\n",
        "\n",
        " \n",
        " ",
        "a\t",
        "\t",
        "-\ta\n",
        "a\\\n",
        "a  \n",
        "!",
    ),
    *("\u200b", "a\u0301", "\u0301", "👩\u200d", "漢", "\u2028", "\x1b[", "*[`<&$\\", "\ud800"),
]
CONSTRUCTS: dict[str, Made] = {
    **{repr(piece): repeated(piece) for piece in PIECES},
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


def calls(text: str) -> int:
    """How many functions are called for the blocks of a text, in Python and below."""
    count = 0

    def heard(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(heard)
    try:
        blocks(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_every_construct_takes_work_in_proportion_to_its_length(construct: str) -> None:
    short, long = (CONSTRUCTS[construct](length) for length in (400, 1600))
    blocks("".join(f"```{language}\nx\n```\n" for language in ("py", "js", "md")))  # loads lexers
    assert calls(long) <= 1.5 * calls(short) * len(long) / len(short) + 200


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_no_construct_is_refused(construct: str) -> None:
    assert parse(CONSTRUCTS[construct](6000)) or not CONSTRUCTS[construct](6000).strip()
