"""What a model thinks before it answers, apart from the answer, while both are being written.

Text goes in piece by piece, thought and answer come out, the same wherever the pieces end. The
marks between them are those of the families that think: a pair of tags around the thought, or a
header before every message of a reply. Nothing here knows of tokens' ids or of how a thought is
shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from amulet_local.prompts.thought_marks import (
    CONTROL_WRAPS,
    FINAL,
    HEADER_LIMIT,
    HEADERS,
    KNOWN,
    NO_HEADER,
    SENTENCES,
    TAG_BEGUN,
    TURN,
    WRAPS,
    Marks,
    marks_behind,
    opened_thought,
    starting_tag,
    tells_a_thought,
)

CANNOT = "cannot think before it answers: its chat template knows of no thoughts."  # who: a name


def without_thought(prompt: str, answer: str = "") -> str:
    """A prompt behind which the model answers at once: a thought that the prompt opens, or that
    all turns of the family begin with, is there and empty.

    answer: what the template writes between the beginning of a turn and its answer.
    """
    opened = opened_thought(prompt)
    if opened == TURN and answer in ("", FINAL):
        return f"{prompt}<|channel|>analysis<|message|><|end|>{TURN}{FINAL}"
    if KNOWN.search(answer) or opened == TURN:
        return prompt + answer
    end = ThoughtSplitter(opened).end
    if not end:
        return prompt
    if re.match(r"<\w", opened):
        return f"{prompt.rstrip()}\n\n{end}\n\n"
    return f"{prompt}{end}\n" if opened in SENTENCES else prompt + end


class ThoughtSplitter:
    """One reply. opened: how the prompt has begun it already, if it has; see opened_thought.

    answering: whether the thought, if there was one, has ended.
    """

    def __init__(self, opened: str = "", *, answering: bool = False) -> None:
        self._held, self._opened = opened, bool(opened)
        self._marks = Marks()
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
        first = marks == Marks()
        headers = HEADERS if first else dict.fromkeys(marks.begins, marks)
        tags = first or not marks.begins
        wraps = (CONTROL_WRAPS if first else WRAPS) if tags else {}
        if begin := next(filter(held.startswith, headers), ""):
            self._held, self._marks, self._step = held, headers[begin], self._header
            return True
        if tags and (mark := starting_tag(held)):
            self._marks = marks_behind(mark)
            return self._enter(held[len(mark) :], thinking=True)
        if wrap := next(filter(held.startswith, wraps), ""):
            self._marks, self._gaps[False] = Marks(silent=(*marks.silent, wraps[wrap])), ""
            return self._enter(held[len(wrap) :], thinking=False)
        coming = (*headers, *wraps, *(SENTENCES if tags else ()))
        if any(mark.startswith(held) for mark in coming) or (tags and TAG_BEGUN.fullmatch(held)):
            return False
        return self._enter(self._held, thinking=False)

    def _header(self) -> bool:
        """The header of a message, which says whether the message is a thought."""
        held = self._held
        if none := NO_HEADER.match(held):
            return self._no_header(none.end())
        found = _first(held[:HEADER_LIMIT], (*self._marks.header_ends, *self._marks.ends))
        if not found and len(held) < HEADER_LIMIT:
            return False
        if not found:
            return self._no_header()
        self._opened = False
        index, mark = found
        header, text = held[:index], held[index + len(mark) :]
        if mark in self._marks.ends:  # of a message without a text
            self._held, self._step = text, self._before
            return True
        thinking = tells_a_thought(header + mark)
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
        index, mark = found
        self._tell(index)
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


def _first(text: str, marks: Iterable[str]) -> tuple[int, str] | None:
    """The first of the marks in a text, and where it is."""
    found = [(index, mark) for mark in marks if (index := text.find(mark)) >= 0]
    return min(found, default=None)


def _begun(text: str, marks: Iterable[str]) -> int:
    """The length of the longest end of a text that begins a mark."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
