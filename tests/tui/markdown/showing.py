"""Markdown as it is shown, as plain text."""

from __future__ import annotations

from tui.markdown.parsing import blocks


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
