"""Texts that no stream holds any more, with their keys and values, in the memory of the process.

In one pool of cells a row goes over every cell in use, those of conversations that wait for their
next message too. So what nobody writes on is moved out of the pool, and back once it is asked for,
which takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from amulet_local.runtime.streams import Stream

_MOST = 512 * 1024 * 1024  # bytes


@dataclass(frozen=True, eq=False)
class Parked:
    """A text, and what `Context.state` gave for it. is_whole: see Stream; a state leaves out what a
    sliding window hides."""

    tokens: list[int]
    is_whole: bool
    state: bytes


class Parking:
    """Parked texts; the one that was parked or used longest ago gives way first.

    window: whether the model has a sliding window. most: bytes.
    """

    def __init__(self, *, window: bool, most: int = _MOST) -> None:
        self._window, self._most = window, most
        self.texts: list[Parked] = []

    def park(self, stream: Stream) -> None:
        """Move what a stream holds here; it is empty afterwards."""
        if stream.tokens:
            state = stream.context.state(stream.sequence)
            whole = stream.is_whole and not self._window
            self.texts.append(Parked(list(stream.tokens), whole, state))
            stream.cut(0)
        while sum(len(text.state) for text in self.texts) > self._most:
            del self.texts[0]

    def fetch(self, text: Parked, stream: Stream, length: int) -> None:
        """Let an empty stream hold the first tokens of a parked text, which stays parked unless
        that is all of it. Where there are too few cells for the whole, the stream stays empty."""
        self.texts.remove(text)
        if length < len(text.tokens):
            self.texts.append(text)
        if stream.context.restore(stream.sequence, text.state):
            stream.tokens[:] = text.tokens
            stream.cut(length)
        else:
            stream.cut(0, uncertain=True)
