"""What a model writes becomes blocks; nothing is lost, and growing text ends as whole text does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token

from tests.checks import some, tortures
from tui.markdown.dialect import parse
from tui.markdown.growing import GrowingMarkdown
from tui.markdown.parsing import CODE_LINES, Block, blocks, links
from tui.markdown.styled import Styled

PIECES = [
    *(
        "# ",
        "a",
        "b ",
        "\n",
        "\n\n",
        "    ",
        "  ",
        "> ",
        "- ",
        "1. ",
        "10. ",
        "```\n",
        "```python\n",
    ),
    *("|a|b|\n|-|-|\n", "|1|2|\n", "`", "*", "**", "---\n", "[x](y)", "#", "~~", "\t", "\\", "<b>"),
    *(
        "[1]: z\n",
        "&#27;",
        "  \n",
        "def f():\n",
        "===\n",
        "```md\n",
        "````\n",
        "~~~\n",
        "https://y ",
    ),
    *("\\(", "\\)", "\\[", "\\]", "$", "$$", "\\begin{x}", "\\end{x}", "_", ":", "| ", "\\\n"),
]


def texts(found: list[Block]) -> list[str]:
    return [block.styled.text for block in found]


def styles(text: str) -> dict[str, str]:
    """Style -> the text that has it, of the first block."""
    styled = blocks(text)[0].styled
    return {str(span.style): styled.text[span.start : span.end] for span in styled.spans}


def without_colours(found: list[Block]) -> list[Block]:
    """Code that comes in several blocks has those of the whole at the end only."""
    return [
        replace(block, styled=Styled(block.styled.text)) if block.kind == "code" else block
        for block in found
    ]


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.data())
def test_text_that_grows_ends_as_the_whole_text_does(
    pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces)
    growing, shown, at = GrowingMarkdown(), list[Block](), 0
    while at < len(text):
        size = data.draw(st.integers(1, 7))
        kept, following = growing.add(text[at : at + size])
        shown[kept:] = following
        at += size
    assert growing.finish() == blocks(text)
    assert without_colours(shown) == without_colours(blocks(text))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), st.sampled_from(PIECES))
def test_no_letter_is_lost(letters: list[str], between: str) -> None:
    text = between.join(letters)
    shown = "".join(
        block.styled.text + "".join(cell.text for row in block.rows for cell in row)
        for block in blocks(text)
    )
    assert [letter for letter in letters if letter not in shown] == []


def test_emphasis_code_and_links_are_styled_and_say_where_they_lead() -> None:
    assert styles("**a** *b* `c` ~~d~~ [e](http://f)") == {
        ".strong": "a",
        ".em": "b",
        ".code_inline": "c",
        ".s": "d",
        ".link": "e",
        ".address": " (http://f)",
    }
    assert texts(blocks("<http://a.b> ![alt](c.png)")) == ["http://a.b alt (c.png)"]


def test_html_and_reference_definitions_are_shown_as_text() -> None:
    assert texts(blocks("<script>x</script> a<br>b")) == ["<script>x</script> a<br>b"]
    assert texts(blocks("<div>\n\n[1]: http://source")) == ["<div>", "[1]: http://source"]


def test_markup_of_the_screen_is_only_text() -> None:
    text = "[bold red]x[/] [/b] [@click=app.quit]y[/]"
    (block,) = blocks(text)
    assert block.styled.content.plain == text
    assert block.styled.spans == ()


@pytest.mark.parametrize("text", ["\x1b[2Ja", "&#27;[2Ja", "`\x1b[2Ja`", "```\n\x1b[2Ja\n```"])
def test_escapes_do_not_survive_whatever_they_hide_in(text: str) -> None:
    (block,) = blocks(text)
    assert "\x1b" not in block.styled.text
    assert "a" in block.styled.text


def test_line_breaks_are_kept_as_the_model_made_them() -> None:
    assert texts(blocks("Roses are red\nViolets are blue")) == ["Roses are red\nViolets are blue"]


def test_nesting_becomes_a_gutter() -> None:
    found = blocks("- a\n  - b\n\n    c\n9. d\n10. e\n\n> f\n> - g")
    assert [(block.first, block.styled.text) for block in found] == [
        ("• ", "a"),
        ("  ◦ ", "b"),
        ("    ", "c"),
        (" 9. ", "d"),
        ("10. ", "e"),
        ("▎ ", "f"),
        ("▎ • ", "g"),
    ]
    assert all(len(block.first) == len(block.rest) for block in some(found))


def test_tight_lists_are_tight_and_paragraphs_are_apart() -> None:
    assert [block.gap for block in blocks("a\n\n- b\n- c\n\nd")] == [False, True, False, True]


def test_a_table_has_as_many_cells_in_every_row() -> None:
    (block,) = blocks("| a | b |\n|---|---|\n| **1** | |\n| 2 |")
    assert [[cell.text for cell in row] for row in block.rows] == [["a", "b"], ["1", ""], ["2", ""]]


def test_long_code_comes_in_several_blocks_that_are_one_to_the_eye() -> None:
    lines = [f"x{number} = 1" for number in range(2 * CODE_LINES + 3)]
    found = blocks("```python\n" + "\n".join(lines) + "\n```")
    assert len(found) == 3
    assert "\n".join(texts(found)).split("\n") == lines
    assert [block.gap for block in found] == [False, False, False]


def test_code_across_blocks_is_highlighted_as_a_whole_at_the_end() -> None:
    text = '```python\nx = """' + "\nword" * (CODE_LINES + 2) + '\n"""\n```'
    growing = GrowingMarkdown()
    _, before = growing.add(text)
    after = growing.finish()
    assert before[-1].styled.text == after[-1].styled.text
    assert before[-1].styled.spans != after[-1].styled.spans


@pytest.mark.parametrize("language", ["", "nonsense", "python title=[x]", "mermaid", "[/b]"])
def test_code_in_any_language_is_shown(language: str) -> None:
    assert texts(blocks(f"```{language}\nif x:\n\ty\n```")) == ["if x:\n    y"]


GROWS = {
    "items": ("", "- item with *some* words\n"),
    "code": ("```python\n", "    code = 1\n"),
    "one line": ("", "words and "),
    "a word": ("", "letters"),
    "mathematics": ("\\[\n", "a_1 + b\n"),
    "blank lines": ("", "\n"),
}
# More of the same kinds.
MORE_GROWS = {
    "code in Markdown": ("```md\n", "```py\nx\n```\n"),
    "brackets": ("", "[ "),
    "definitions": ("", "[a]: b\n"),
    "combining characters": ("", "a\u0301"),
    "rows": ("| h | i |\n|---|---|\n", "| a | b |\n"),
    "items in items": ("- a\n", "  - item with some words\n"),
    "quotes": ("", "> a quoted line\n"),
    "code that may go on": ("```\n```py\n```\n", "words\n\n"),
    "lines": ("", "a line of words\n"),
    "addresses": ("", "a://b https://c.d "),
    "emphasis": ("", "*a_b "),
    "backticks": ("", "` a "),
    "entities": ("", "&amp;"),
    "HTML": ("", "<div>\n"),
    "tabs": ("", "a\t"),
    "spaces": ("", " "),
    "headings": ("", "# a"),
}


@contextmanager
def parsed() -> Iterator[list[int]]:
    """The lengths of what is parsed meanwhile."""
    lengths: list[int] = []

    def counted(text: str) -> list[Token]:
        lengths.append(len(text))
        return parse(text)

    with patch("tui.markdown.growing.parse", counted):
        yield lengths


@pytest.mark.slow
@pytest.mark.parametrize("what", [*GROWS, *tortures(*MORE_GROWS)])
def test_a_token_late_in_a_long_reply_is_as_good_as_never_parsed(what: str) -> None:
    first, piece = (GROWS | MORE_GROWS)[what]
    growing = GrowingMarkdown()
    growing.add(first + piece * (20_000 // len(piece)))
    with parsed() as lengths:
        for _ in range(20):
            growing.add(piece)
    assert len(lengths) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("what", [*GROWS, *tortures(*MORE_GROWS)])
def test_until_it_is_parsed_what_is_new_is_shown_as_it_was_written(what: str) -> None:
    first, piece = (GROWS | MORE_GROWS)[what]
    growing, shown = GrowingMarkdown(), list[Block]()
    whole = first + piece * (20_000 // len(piece))
    shown[0:] = growing.add(whole)[1]
    before = len(shown)
    for word in ("One *two* ", "three\n", "\tfour", "\n", "five six", "\n- seven"):
        kept, following = growing.add(word)
        assert kept >= before - 1
        assert len(following) == 1
        shown[kept:] = following
        whole += word
    said = "\n".join(texts(shown)[max(0, before - 1) :])
    assert said.endswith(
        (
            "One *two* three\n\tfour\nfive six\n- seven",
            "One *two* three\n    four\nfive six\n- seven",
        )
    )
    assert growing.finish() == blocks(whole)


def test_all_parsing_comes_to_a_fixed_number_of_times_each_character() -> None:
    growing = GrowingMarkdown()
    with parsed() as lengths:
        for _ in range(1000):
            growing.add("Words without an end, ten at a time; this is how they come. " * 2)
    assert len(growing.text) == 120_000
    assert sum(lengths) < 60 * len(growing.text)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([*PIECES, "word "]), min_size=10, max_size=60))
def test_nothing_is_lost_while_parsing_waits(pieces: list[str]) -> None:
    numbered = [f"{piece}w{number}w" for number, piece in enumerate(pieces)]
    growing, shown = GrowingMarkdown(), list[Block]()
    with patch("tui.markdown.growing._PARSED_AT_ONCE", 0), patch("tui.markdown.growing._SHARE", 2):
        for piece in some(numbered):
            kept, following = growing.add(piece)
            shown[kept:] = following
            seen = "".join(
                block.styled.text + "".join(cell.text for row in block.rows for cell in row)
                for block in shown
            )
            assert piece.rsplit("w", 2)[1] in seen
    assert growing.finish() == blocks("".join(numbered))


def test_a_long_paragraph_comes_in_several_blocks_that_are_one_to_the_eye() -> None:
    lines = [f"line {number} of **some** text" for number in range(300)]
    found = blocks("\n".join(lines))
    assert len(found) > 3
    assert "\n".join(texts(found)) == "\n".join(lines).replace("*", "")
    assert [block.gap for block in found] == [False] * len(found)
    spans = [(block.styled.text, span) for block in found for span in block.styled.spans]
    assert [text[span.start : span.end] for text, span in spans] == ["some"] * 300


def test_a_line_without_end_is_broken_at_a_space() -> None:
    text = "words " * 5000 + "end"
    assert " ".join(texts(blocks(text))) == text
    assert max(map(len, texts(blocks(text)))) <= 8000
    assert "".join(texts(blocks("x" * 20_000))) == "x" * 20_000


def test_a_link_across_blocks_leads_where_it_did() -> None:
    text = f"{'word ' * 1590}[{'name ' * 30}](http://a.b) and [c](http://d.e)"
    found = blocks(text)
    shown = [
        block.styled.text[link.start : link.end] for block in found for link in block.styled.links
    ]
    assert len(found) == 2
    assert " ".join(shown) == f"{'name ' * 29}name  (http://a.b) c (http://d.e)"
    assert [link.address for link in links(text)] == ["http://a.b", "http://d.e"]
