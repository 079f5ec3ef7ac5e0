"""What a model thinks before it answers, apart from the answer, while both are being written.

Text goes in piece by piece, thought and answer come out, the same wherever the pieces end. The
marks between them are those of the families that think: a pair of tags around the thought, or a
header before every message of a reply. Nothing here knows of tokens' ids or of how a thought is
shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

CANNOT = "cannot think before it answers: its chat template knows of no thoughts."  # who: a name


@dataclass(frozen=True)
class _Marks:
    """The marks of a family, as far as they count once a reply has begun with one of them.

    ends: end a thought, or a message. begins: begin the header of a message, which goes up to one
    of header_ends and tells what the message is. silent: stand around the answer.
    """

    ends: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    header_ends: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


_TURN = "<|start|>assistant"
_FINAL = "<|channel|>final<|message|>"
_HARMONY = _Marks(
    ends=("<|end|>", "<|return|>", "<|call|>", "<|eom|>", "<|eot|>"),
    begins=("<|start|>", "<|channel|>"),
    header_ends=("<|message|>",),
)
_SOLAR = _Marks(
    ends=("<|end|>", "<|flush|>", "<|calls|>"),
    begins=("<|begin|>",),
    header_ends=("<|think|>", "<|content|>", "<|tool_calls|>"),
)
_KIMI = _Marks(
    ends=(
        *(f"<|close|>{name}<|sep|>" for name in ("think", "response", "message")),
        "<|end_of_msg|>",
    ),
    begins=("<|open|>",),
    header_ends=("<|sep|>",),
)
_GEMMA = _Marks(ends=("<channel|>",), begins=("<|channel>",), header_ends=("\n",))
_MEDGEMMA = _Marks(ends=("<unused95>",), begins=("<unused94>",), header_ends=("\n",))

# What a reply of theirs begins with.
_HEADERS = {
    _TURN: _HARMONY,
    **{f"<|channel|>{name}": _HARMONY for name in ("analysis", "commentary", "final")},
    **dict.fromkeys(("<|begin|>assistant", "<|think|>", "<|content|>"), _SOLAR),
    **dict.fromkeys(("<|open|>think", "<|open|>response"), _KIMI),
    **dict.fromkeys(("<|channel>thought", "<|channel>final"), _GEMMA),
    "<unused94>thought": _MEDGEMMA,
}
_HEADER_LIMIT = 300  # characters; what goes on for longer is no header
_NO_HEADER = re.compile(r"<\|(?:start|begin)\|>assistant\s*(?=[^\s<])(?!t\Z|to\Z|to=)")

_WORD = "(?:think|thinking|thought|thoughts|reason|reasoning)"
_TAG = re.compile(
    rf"""
      <(?:\w{{1,16}}[:_])? {_WORD} (?::\w{{1,16}})?>    # <think>, <seed:think>, <think:x>
    | \[{_WORD}\]                                       # [THINK]
    | ◁{_WORD}▷
    | <\|(?:start|begin)_(?:of_)?{_WORD}\|>             # <|START_THINKING|>, <|begin_of_thought|>
    | <\|{_WORD}_(?:start|begin)\|>
    | <\|inner_prefix\|>
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAG_END = (
    rf"</(?:\w+[:_])?{_WORD}(?::\w+)?>|\[/{_WORD}\]|◁/{_WORD}▷|<\|end_(?:of_)?{_WORD}\|>"
    rf"|<\|{_WORD}_end\|>|<\|inner_suffix\|>"
)
_TAG_BEGUN = re.compile(r"<[\w:]{0,48}|<\|\w{0,24}\|?|\[[A-Za-z]{0,9}|◁\w{0,9}")

# Sentences that some write instead of tags, and what ends the thought then.
_SENTENCES = {
    "Here is my thought process:": "Here is my response:",
    "Here are my reasoning steps:": "[BEGIN FINAL RESPONSE]",
}
_WRAPS = {
    "<response>": "</response>",
    "<answer>": "</answer>",
    "<|START_TEXT|>": "<|END_TEXT|>",
    "<|START_RESPONSE|>": "<|END_RESPONSE|>",
    "<|begin_of_solution|>": "<|end_of_solution|>",
}
_CONTROL_WRAPS = {begin: end for begin, end in _WRAPS.items() if begin.startswith("<|")}


def _tagged(mark: str) -> _Marks:
    """What counts behind a tag, or a sentence, that begins a thought."""
    if end := _SENTENCES.get(mark):
        return _Marks(ends=(end,), silent=("[END FINAL RESPONSE]",))
    if not mark.startswith("<|"):
        return _Marks(ends=(f"{mark[0]}/{mark[1:]}",))
    end = mark
    for word, other in (("start", "end"), ("begin", "end"), ("prefix", "suffix")):
        end = end.replace(word, other).replace(word.upper(), other.upper())
    around = (*_CONTROL_WRAPS, *_CONTROL_WRAPS.values())
    return _Marks(ends=(end, *_CONTROL_WRAPS), silent=around)


_OPENED = re.compile(
    rf"(?P<tag>(?x:{_TAG.pattern})|{'|'.join(map(re.escape, _SENTENCES))})\s*\Z"
    r"|(?s:<\|(?:start|begin)\|>assistant(?:(?!<\|(?:start|begin)\|>).)*)\Z"
    r"|<\|open\|>\w+<\|sep\|>\Z|(?:<\|channel>|<unused94>)\w+\n\Z",
    re.IGNORECASE,
)
_KNOWN = re.compile(
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
    return bool(_KNOWN.search(template))


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


def without_thought(prompt: str, answer: str = "") -> str:
    """A prompt behind which the model answers at once: a thought that the prompt opens, or that
    all turns of the family begin with, is there and empty.

    answer: what the template writes between the beginning of a turn and its answer.
    """
    opened = opened_thought(prompt)
    if opened == _TURN and answer in ("", _FINAL):
        return f"{prompt}<|channel|>analysis<|message|><|end|>{_TURN}{_FINAL}"
    if _KNOWN.search(answer) or opened == _TURN:
        return prompt + answer
    end = ThoughtSplitter(opened).end
    if not end:
        return prompt
    if re.match(r"<\w", opened):
        return f"{prompt.rstrip()}\n\n{end}\n\n"
    return f"{prompt}{end}\n" if opened in _SENTENCES else prompt + end


class ThoughtSplitter:
    """One reply. opened: how the prompt has begun it already, if it has; see opened_thought.

    answering: whether the thought, if there was one, has ended.
    """

    def __init__(self, opened: str = "", *, answering: bool = False) -> None:
        self._held, self._opened = opened, bool(opened)
        self._marks = _Marks()
        # Where the reply is: before a mark that may come, in the header of a message, in a text.
        self._step = self._before
        self._thinking = False
        self._thought: list[str] = []
        self._answer: list[str] = []
        # What comes between what was told and more of it; None while it goes on.
        self._gaps: dict[bool, str | None] = {True: None, False: None}
        self._read()
        if answering:
            self._enter("", thinking=False)
            self._gaps[False] = None

    @property
    def thought(self) -> str:
        """What is certain of the thought."""
        return "".join(self._thought)

    @property
    def answer(self) -> str:
        """What is certain of the answer."""
        return "".join(self._answer)

    @property
    def answered(self) -> bool:
        """Whether anything of the answer is certain."""
        return bool(self._answer)

    @property
    def end(self) -> str:
        """What would end the thought that goes on; "" where none does."""
        return self._marks.ends[0] if self._thinking else ""

    def add(self, text: str) -> tuple[str, str]:
        """What became certain of thought and answer with more text."""
        before = len(self._thought), len(self._answer)
        self._held += text
        self._read()
        return self._since(*before)

    def finish(self) -> tuple[str, str]:
        """What was held back until the end; a header that was cut off is none of it."""
        before = len(self._thought), len(self._answer)
        if self._step != self._header:
            self._tell(len(self._held))
        return self._since(*before)

    def _since(self, thought: int, answer: int) -> tuple[str, str]:
        return "".join(self._thought[thought:]), "".join(self._answer[answer:])

    def _read(self) -> None:
        """Each step reads as much as is certain, and says whether there may be more to read."""
        while self._step():
            pass

    def _before(self) -> bool:
        """A mark, or the answer. Behind a thought, another may follow."""
        marks, held = self._marks, self._held.lstrip()
        first = marks == _Marks()
        headers = _HEADERS if first else dict.fromkeys(marks.begins, marks)
        tags = first or not marks.begins
        wraps = (_CONTROL_WRAPS if first else _WRAPS) if tags else {}
        if begin := next(filter(held.startswith, headers), ""):
            self._held, self._marks, self._step = held, headers[begin], self._header
            return True
        if tags and (mark := _tag(held)):
            self._marks = _tagged(mark)
            return self._enter(held[len(mark) :], thinking=True)
        if wrap := next(filter(held.startswith, wraps), ""):
            self._marks, self._gaps[False] = _Marks(silent=(*marks.silent, wraps[wrap])), ""
            return self._enter(held[len(wrap) :], thinking=False)
        coming = (*headers, *wraps, *(_SENTENCES if tags else ()))
        if any(mark.startswith(held) for mark in coming) or (tags and _TAG_BEGUN.fullmatch(held)):
            return False
        return self._enter(self._held, thinking=False)

    def _header(self) -> bool:
        """The header of a message, which says whether the message is a thought."""
        held = self._held
        if none := _NO_HEADER.match(held):
            return self._no_header(none.end())
        found = _first(held[:_HEADER_LIMIT], (*self._marks.header_ends, *self._marks.ends))
        if not found and len(held) < _HEADER_LIMIT:
            return False
        if not found:
            return self._no_header()
        self._opened = False
        place, mark = found
        header, text = held[:place], held[place + len(mark) :]
        if mark in self._marks.ends:  # of a message without a text
            self._held, self._step = text, self._before
            return True
        thinking = _tells_a_thought(header + mark)
        if self._thought if thinking else self._answer:
            self._gaps[thinking] = "\n\n"
        elif self._thought:
            self._gaps[thinking] = ""
        return self._enter(text, thinking=thinking)

    def _no_header(self, length: int = 0) -> bool:
        """What began as one is text, but for what the prompt has begun of it, of this length."""
        mark = next(filter(self._held.startswith, self._marks.begins))
        self._enter(self._held[length if self._opened else 0 :], thinking=False)
        if not self._opened:
            self._tell(len(mark))
        self._opened = False
        return True

    def _within(self) -> bool:
        """A thought, or an answer, up to a mark that counts in it."""
        marks = self._marks
        ends = marks.ends if self._thinking or marks.begins else ()
        counting = (*marks.begins, *ends, *(() if self._thinking else marks.silent))
        found = _first(self._held, counting)
        if not found:
            self._tell(len(self._held) - _begun(self._held, counting))
            return False
        place, mark = found
        self._tell(place)
        if mark in marks.begins:
            self._step = self._header
            return True
        self._held = self._held[len(mark) :]
        if mark in ends:
            if self._thinking and not self._answer:
                self._gaps[False] = ""
            self._thinking, self._step = False, self._before
        return True

    def _enter(self, text: str, *, thinking: bool) -> bool:
        self._held, self._thinking, self._step = text, thinking, self._within
        return True

    def _tell(self, length: int) -> None:
        """Tell the beginning of what is held."""
        text, self._held = self._held[:length], self._held[length:]
        gap = self._gaps[self._thinking]
        if gap is not None:
            text = text.lstrip()
            if text:
                text, self._gaps[self._thinking] = gap + text, None
        if text:
            (self._thought if self._thinking else self._answer).append(text)


def _tag(text: str) -> str:
    """The tag, or the sentence, that a text begins with, and a thought with it; "" without one."""
    match = _TAG.match(text)
    return match[0] if match else next(filter(text.startswith, _SENTENCES), "")


def _tells_a_thought(header: str) -> bool:
    channels = re.findall(r"<\|channel\|>\s*(\w+)", header)
    if channels and channels[-1] in ("analysis", "commentary"):
        return True
    return bool(re.search(r"think|thought|tool_calls|\bto=(?!user\b|assistant\b|all\b)", header))


def _first(text: str, marks: Iterable[str]) -> tuple[int, str] | None:
    """The first of the marks in a text, and where it is."""
    places = [(place, mark) for mark in marks if (place := text.find(mark)) >= 0]
    return min(places, default=None)


def _begun(text: str, marks: Iterable[str]) -> int:
    """The length of the longest end of a text that begins a mark."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
