"""What a model thinks before it answers, apart from the answer, while both are being written.

Text goes in piece by piece, thought and answer come out. The marks between them are those of the
families that think: Qwen and its like, gpt-oss's channels, Gemma's. Nothing here knows of tokens'
ids or of how a thought is shown.
"""

from __future__ import annotations

import re

CANNOT = "cannot think before it answers: its chat template knows of no thoughts."  # who: a name

_FINAL = "<|channel|>final<|message|>"
_TURN = "<|start|>assistant"
_MARKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<|channel|>analysis<|message|>": f"<|end|>{_TURN}{_FINAL}",
    "<|channel>thought": "<channel|>",
}

# Tokens that are marks, or parts of them, even where the vocabulary calls them control tokens.
MARK_TOKENS = frozenset(
    (
        *("<think>", "</think>", "<thinking>", "</thinking>"),
        *("<|channel|>", "<|message|>", "<|start|>", "<|end|>"),
        *("<|channel>", "<channel|>"),
    )
)


_OPENED = re.compile(r"<think(ing)?>\s*\Z")


def opened_thought(prompt: str) -> str:
    """The mark with which a prompt has begun the model's thought already; "" where it has not."""
    match = _OPENED.search(prompt)
    return match[0].strip() if match else ""


def without_thought(prompt: str) -> str:
    """A prompt behind which the model answers at once: a thought that the prompt opens, or that
    all turns of the family begin with, is there and empty."""
    if mark := opened_thought(prompt):
        return f"{prompt.rstrip()}\n\n{_MARKS[mark]}\n\n"
    if prompt.endswith(_TURN):
        return f"{prompt}<|channel|>analysis<|message|><|end|>{_TURN}{_FINAL}"
    return prompt


class ThoughtSplitter:
    """One reply. opened: the mark with which the prompt has begun a thought already, if it has.

    answering: whether the thought, if there was one, has ended.
    """

    def __init__(self, opened: str = "", *, answering: bool = False) -> None:
        self._held = ""
        self._end = _MARKS.get(opened, "")
        self._begins = not answering and not opened
        self.answering = answering
        self._answered = answering
        self.thought = self.answer = ""

    def add(self, text: str) -> tuple[str, str]:
        """What became certain of thought and answer with more text."""
        self._held += text
        thought = ""
        if self._begins:
            self._begin()
        if self._end and not self.answering:
            place = self._held.find(self._end)
            certain = place if place >= 0 else len(self._held) - _begun(self._held, self._end)
            thought, self._held = self._held[:certain], self._held[certain:]
            if place >= 0:
                self._held = self._held[len(self._end) :]
                self.answering = True
        return self._told(thought, self._take() if self.answering else "")

    def finish(self) -> tuple[str, str]:
        """What was held back until the end."""
        held, self._held = self._held, ""
        return self._told(held, "") if self._end and not self.answering else self._told("", held)

    def _begin(self) -> None:
        """Find out what the reply begins with, as soon as that is certain."""
        start = self._held.lstrip()
        for mark in (*_MARKS, _FINAL):
            if start.startswith(mark):
                self._held, self._end = start[len(mark) :], _MARKS.get(mark, "")
                self.answering = not self._end
                self._begins = False
                return
        if start and not any(mark.startswith(start) for mark in (*_MARKS, _FINAL)):
            self._begins, self.answering, self._answered = False, True, True

    def _take(self) -> str:
        """All that is held, without the line breaks between a thought and its answer."""
        text, self._held = self._held, ""
        if not self._answered:
            text = text.lstrip()
            self._answered = bool(text)
        return text

    def _told(self, thought: str, answer: str) -> tuple[str, str]:
        self.thought += thought
        self.answer += answer
        return thought, answer


def _begun(text: str, mark: str) -> int:
    """The length of the longest end of a text that begins a mark."""
    lengths = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((length for length in lengths if mark.startswith(text[-length:])), 0)
