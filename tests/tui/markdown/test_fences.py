"""Fences that hold fences: one block to read, to copy and while it is written."""

from __future__ import annotations

import pytest

from tui.markdown.growing import GrowingMarkdown
from tui.markdown.parsing import Block, blocks, code_blocks

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
