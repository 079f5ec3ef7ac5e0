"""What a model writes becomes blocks; nothing is lost, and growing text ends as whole text does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks import calls, some
from tui.markdown import CODE_LINES, Block, GrowingMarkdown, blocks

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
    *("[1]: z\n", "&#27;", "  \n", "def f():\n", "===\n"),
]


def texts(found: list[Block]) -> list[str]:
    return [block.styled.text for block in found]


def styles(text: str) -> dict[str, str]:
    """Style -> the text that has it, of the first block."""
    styled = blocks(text)[0].styled
    return {str(span.style): styled.text[span.start : span.end] for span in styled.spans}


@settings(deadline=None, max_examples=300)
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
    assert shown == growing.finish() == blocks(text)


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


@pytest.mark.parametrize(
    "line",
    ["- item with some words\n", "    code = 1\n", "A paragraph of words.\n\n", "| a | b |\n"],
)
def test_growing_text_is_parsed_in_far_less_than_a_frame(line: str) -> None:
    start = "| h | i |\n|---|---|\n" if line.startswith("|") else ""
    start = "```python\n" if line.startswith("    ") else start

    def work(lines: int) -> int:
        """Of one more token behind so many lines, in calls: a millisecond has some 5,000."""
        growing = GrowingMarkdown()
        growing.add(start + line * lines)
        return calls(lambda: growing.add("more "))

    assert work(300) < 100_000
    assert work(600) < 2.2 * work(300)
