"""Mathematics in Markdown is shown as it was written; money is prose."""

from __future__ import annotations

import pytest

from tests.tui.markdown.showing import shown, styled_as
from tui.markdown.parsing import blocks, code_blocks

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
