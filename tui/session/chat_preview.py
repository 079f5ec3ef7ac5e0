"""A look into a chat: its last question and reply, or the message that a search found.

The store and a row of the list of chats go in; blocks to be drawn come out, short ones. This reads
the store and parses Markdown, so it belongs on a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from textual.content import Content, Span

from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History
from amulet_local.chats.listing import Summary, day_in_words
from amulet_local.chats.search import Hit, Snippet
from amulet_local.chats.wishes import wish_lines
from tui.markdown.parsing import Block, blocks
from tui.markdown.sanitising import clean
from tui.markdown.styled import Styled

MARK = "bold underline"  # what a search found, told without colour
UNTITLED = "Untitled"

_PARTS = 6
_LONGEST = 4000  # characters of a message
_BEFORE = 240  # characters before the first word found
_BAR = "▌ "


@dataclass(frozen=True)
class ChatPreview:
    """head: what chat it is. parts: the last of what was said, a part from each question on, so
    many messages in each; `before` messages come before them."""

    head: tuple[Block, ...] = ()
    parts: tuple[tuple[Block, ...], ...] = ()
    counts: tuple[int, ...] = ()
    before: int = 0


def preview_of(store: History, row: Summary | Hit, words: str) -> ChatPreview:
    """What to show of a row. words: what was searched for. Raises AmuletError."""
    chat = row.id if isinstance(row, Summary) else row.chat
    summary, conversation = store.summary(chat), store.load(chat)
    head = (Block("heading", Styled(clean(summary.title) or UNTITLED), gap=False), _facts(summary))
    if isinstance(row, Hit):
        if row.message not in conversation:  # deleted since
            return ChatPreview(head)
        whole = store.marked(row.message, words)
        conversation.select(row.message)
        found = _found(row, whole, conversation.path())
        return ChatPreview(head, (tuple(found),), (1,))
    path = conversation.path()
    starts = [at for at, node in enumerate(path) if node.message.role == "user"][-_PARTS:]
    ends = [*starts[1:], len(path)]
    parts = [path[start:end] for start, end in zip(starts, ends, strict=True)]
    return ChatPreview(
        head,
        tuple(tuple(block for node in part for block in _said(node)) for part in parts),
        tuple(map(len, parts)),
        starts[0] if starts else 0,
    )


def quiet(text: str, *, gap: bool = True) -> Block:
    """Words of ours between those of the chat."""
    return Block("text", Styled(text, (Span(0, len(text), ".address"),)), gap=gap)


def in_messages(number: int) -> str:
    """A number of messages, in words."""
    return f"{number:,} message{'' if number == 1 else 's'}"


def marked(snippet: Snippet) -> Content:
    """A text in which what was found can be told from the rest; made safe piece by piece."""
    parts: list[Content] = []
    end = 0
    for start, stop in snippet.marks:
        parts.append(Content(clean(snippet.text[end:start])))
        parts.append(Content.styled(clean(snippet.text[start:stop]), MARK))
        end = stop
    return Content("").join([*parts, Content(clean(snippet.text[end:]))])


def _found(hit: Hit, whole: Snippet, path: tuple[Node, ...]) -> list[Block]:
    """The message found, around the words, with its question or its reply. path: on which it is."""
    text = marked(_around(whole))
    styled = Styled(text.plain, tuple(text.spans))
    place = [node.id for node in path].index(hit.message)
    if hit.role == "user":
        answers = path[place + 1 : place + 2]
        return [Block("text", styled, _BAR, _BAR), *(it for node in answers for it in _said(node))]
    return [*_said(path[place - 1]), Block("text", styled)]


def _around(whole: Snippet) -> Snippet:
    """A part of a text that has its first mark."""
    first = whole.marks[0][0] if whole.marks else 0
    start = max(0, first - _BEFORE)
    if start:
        space = whole.text.find(" ", start, first)
        start = space + 1 if space >= 0 else start
    dots = "…" if start else ""
    by = len(dots) - start
    marks = tuple(
        (left + by, right + by) for left, right in whole.marks if right - start < _LONGEST
    )
    return Snippet(dots + _cut(whole.text[start:]), marks)


def _said(node: Node) -> list[Block]:
    text = _cut(node.message.text)
    if node.message.role == "user":
        wish = _cut("\n".join(wish_lines(node.message.wish)))
        told = f"{text}\n{wish}" if wish else text
        return [Block("text", Styled(clean(told)), _BAR, _BAR)]
    first, *rest = blocks(text) or [Block("text", Styled("…"))]
    return [replace(first, gap=True), *rest]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _facts(chat: Summary) -> Block:
    when = f"{day_in_words(chat.day)}, {datetime.fromtimestamp(chat.changed):%H:%M}"
    return quiet(f"{in_messages(chat.messages)} · {when}", gap=False)
