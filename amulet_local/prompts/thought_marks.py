"""The marks that families of models put around a thought, and where they stand in a text.

A pair of tags around the thought, or a header before every message of a reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """The marks of a family, as far as they count once a reply has begun with one of them.

    ends: end a thought, or a message. begins: begin the header of a message, which goes up to one
    of header_ends and tells what the message is. silent: stand around the answer.
    """

    ends: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    header_ends: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


TURN = "<|start|>assistant"
FINAL = "<|channel|>final<|message|>"
_HARMONY = Marks(
    ends=("<|end|>", "<|return|>", "<|call|>", "<|eom|>", "<|eot|>"),
    begins=("<|start|>", "<|channel|>"),
    header_ends=("<|message|>",),
)
_SOLAR = Marks(
    ends=("<|end|>", "<|flush|>", "<|calls|>"),
    begins=("<|begin|>",),
    header_ends=("<|think|>", "<|content|>", "<|tool_calls|>"),
)
_KIMI = Marks(
    ends=(
        *(f"<|close|>{name}<|sep|>" for name in ("think", "response", "message")),
        "<|end_of_msg|>",
    ),
    begins=("<|open|>",),
    header_ends=("<|sep|>",),
)
_GEMMA = Marks(ends=("<channel|>",), begins=("<|channel>",), header_ends=("\n",))
_MEDGEMMA = Marks(ends=("<unused95>",), begins=("<unused94>",), header_ends=("\n",))

# What a reply of theirs begins with.
HEADERS = {
    TURN: _HARMONY,
    **{f"<|channel|>{name}": _HARMONY for name in ("analysis", "commentary", "final")},
    **dict.fromkeys(("<|begin|>assistant", "<|think|>", "<|content|>"), _SOLAR),
    **dict.fromkeys(("<|open|>think", "<|open|>response"), _KIMI),
    **dict.fromkeys(("<|channel>thought", "<|channel>final"), _GEMMA),
    "<unused94>thought": _MEDGEMMA,
}
HEADER_LIMIT = 300  # characters; what goes on for longer is no header
NO_HEADER = re.compile(r"<\|(?:start|begin)\|>assistant\s*(?=[^\s<])(?!t\Z|to\Z|to=)")

_WORD = "(?:think|thinking|thought|thoughts|reason|reasoning)"
_TAG = re.compile(
    rf"""
      <(?:\w{{1,16}}[:_])? {_WORD} (?::\w{{1,16}})?>    # <think>, <seed:think>, <think:x>
    | \[{_WORD}\]                                       # [THINK]
    | ◁{_WORD}▷
    # <|START_THINKING|>, <|begin_of_thought|>, <|x:begin_think:x|>
    | <\|(?:\w{{1,16}}:)?(?:start|begin)_(?:of_)?{_WORD}(?::\w{{1,16}})?\|>
    | <\|{_WORD}_(?:start|begin)\|>
    | <\|inner_prefix\|>
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAG_END = (
    rf"</(?:\w+[:_])?{_WORD}(?::\w+)?>|\[/{_WORD}\]|◁/{_WORD}▷"
    rf"|<\|(?:\w+:)?end_(?:of_)?{_WORD}(?::\w+)?\|>"
    rf"|<\|{_WORD}_end\|>|<\|inner_suffix\|>"
)
TAG_BEGUN = re.compile(r"<[\w:]{0,48}|<\|[\w:]{0,60}\|?|\[[A-Za-z]{0,9}|◁\w{0,9}")

# Sentences that some write instead of tags, and what ends the thought then.
SENTENCES = {
    "Here is my thought process:": "Here is my response:",
    "Here are my reasoning steps:": "[BEGIN FINAL RESPONSE]",
}
WRAPS = {
    "<response>": "</response>",
    "<answer>": "</answer>",
    "<|START_TEXT|>": "<|END_TEXT|>",
    "<|START_RESPONSE|>": "<|END_RESPONSE|>",
    "<|begin_of_solution|>": "<|end_of_solution|>",
}
CONTROL_WRAPS = {begin: end for begin, end in WRAPS.items() if begin.startswith("<|")}


def marks_behind(mark: str) -> Marks:
    """What counts behind a tag, or a sentence, that begins a thought."""
    if end := SENTENCES.get(mark):
        return Marks(ends=(end,), silent=("[END FINAL RESPONSE]",))
    if not mark.startswith("<|"):
        return Marks(ends=(f"{mark[0]}/{mark[1:]}",))
    end = mark
    for word, other in (("start", "end"), ("begin", "end"), ("prefix", "suffix")):
        end = end.replace(word, other).replace(word.upper(), other.upper())
    around = (*CONTROL_WRAPS, *CONTROL_WRAPS.values())
    return Marks(ends=(end, *CONTROL_WRAPS), silent=around)


_OPENED = re.compile(
    rf"(?P<tag>(?x:{_TAG.pattern})|{'|'.join(map(re.escape, SENTENCES))})\s*\Z"
    r"|(?s:<\|(?:start|begin)\|>assistant(?:(?!<\|(?:start|begin)\|>).)*)\Z"
    r"|<\|open\|>\w+<\|sep\|>\Z|(?:<\|channel>|<unused94>)\w+\n\Z",
    re.IGNORECASE,
)
KNOWN = re.compile(
    rf"(?x:{_TAG.pattern})|{_TAG_END}|<\|channel(?:\|>analysis|>thought)"
    r"|<\|begin\|>assistant<\|think\|>|<unused94>thought|\[BEGIN[ ]FINAL[ ]RESPONSE\]"
    r"|Here[ ]is[ ]my[ ]thought[ ]process:",
    re.IGNORECASE,
)


_FAMILIES = (
    frozenset(("<|begin|>", "<|think|>", "<|content|>")),
    frozenset(("<|open|>", "<|close|>", "<|sep|>")),
)
_PART = re.compile(
    rf"(?x:{_TAG.pattern})|{_TAG_END}"
    r"|<\|(?:channel|message|start|end|constrain|eom)\|>|<\|channel>|<channel\|>|<unused9[45]>"
    r"|<\|(?:start|end)_(?:text|response)\|>|<\|(?:begin|end)_of_solution\|>",
    re.IGNORECASE,
)


def knows_of_thoughts(template: str) -> bool:
    """Whether the source of a chat template names a mark of a thought."""
    return bool(KNOWN.search(template))


def mark_tokens(texts: Iterable[str]) -> frozenset[str]:
    """Those of a vocabulary's tokens that are marks, or parts of them, even where the vocabulary
    calls them control tokens. Those that could be others' too count with all of their family."""
    texts = frozenset(texts)
    return frozenset(
        text
        for text in texts
        if _PART.fullmatch(text) or any(text in family <= texts for family in _FAMILIES)
    )


def opened_thought(prompt: str) -> str:
    """The mark with which a prompt has begun the model's thought already, or the header of a
    message; "" where it has not."""
    match = _OPENED.search(prompt)
    return (match["tag"] or match[0]) if match else ""


def starting_tag(text: str) -> str:
    """The tag, or the sentence, that a text begins with, and a thought with it; "" without one."""
    match = _TAG.match(text)
    return match[0] if match else next(filter(text.startswith, SENTENCES), "")


def tells_a_thought(header: str) -> bool:
    """Whether a message with this header is a thought, or words to a tool, and no answer."""
    channels = re.findall(r"<\|channel\|>\s*(\w+)", header)
    if channels and channels[-1] in ("analysis", "commentary"):
        return True
    return bool(re.search(r"think|thought|tool_calls|\bto=(?!user\b|assistant\b|all\b)", header))
