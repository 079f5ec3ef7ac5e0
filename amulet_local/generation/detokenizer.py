"""A reply's text as it grows token by token: whole characters only, stop strings held back."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence


class GrowingText:
    """Tokens in, certain text out.

    piece: the bytes of a token. stop: strings that end the text and do not belong to it. begun:
    tokens that come before it, and said: their text as far as it was told; the text begins with
    the rest of theirs, were it a part of a character. Where said is not their text, it is taken
    for all of it.
    """

    def __init__(
        self,
        piece: Callable[[int], bytes],
        stop: Sequence[str] = (),
        begun: Sequence[int] = (),
        said: str = "",
    ) -> None:
        self._piece = piece
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        before = "".join(self._decoder.decode(piece(token)) for token in begun)
        self._held = before[len(said) :] if before.startswith(said) else ""
        self._decoded = len(self._held)  # characters so far, certain or held
        self._ends: list[int] = []  # of each token, in characters, one that it breaks off included
        self._certain: list[str] = []
        self.tokens: list[int] = []
        self.stopped = False

    @property
    def text(self) -> str:
        """All that is certain so far."""
        return "".join(self._certain)

    def add(self, token: int) -> str:
        """What became certain with one more token: nothing while a character is incomplete or a
        stop string may be coming. Sets `stopped` once it is certain which one comes first."""
        self.tokens.append(token)
        self._take(self._decoder.decode(self._piece(token)))
        self._ends.append(self._decoded + bool(self._decoder.getstate()[0]))
        coming = len(self._held) - self._possible_stop()
        # Where a longer one may have begun before it, the next tokens decide which ends the text.
        index = self._first_stop()
        return self._stop_at(index) if 0 <= index <= coming else self._release(coming)

    def finish(self) -> str:
        """What was held back until the end. After a stop string, `tokens` ends with the text."""
        told = ""
        if not self.stopped:
            self._take(self._decoder.decode(b"", final=True))
            index = self._first_stop()
            told = self._stop_at(index) if index >= 0 else self._release(len(self._held))
        if self.stopped:
            size = len(self.text)
            kept = next((i for i, end in enumerate(self._ends) if end > size), len(self._ends))
            del self.tokens[kept:]
        return told

    def _take(self, text: str) -> None:
        self._held += text
        self._decoded += len(text)

    def _first_stop(self) -> int:
        """Where the first stop string begins in the held text; -1 if none is there."""
        indices = (self._held.find(text) for text in self._stop)
        return min((index for index in indices if index >= 0), default=-1)

    def _stop_at(self, index: int) -> str:
        self.stopped = True
        self._held = self._held[:index]
        return self._release(index)

    def _release(self, length: int) -> str:
        released, self._held = self._held[:length], self._held[length:]
        self._certain.append(released)
        return released

    def _possible_stop(self) -> int:
        """The length of the longest end of the held text that begins a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(text.startswith(self._held[-length:]) for text in self._stop):
                return length
        return 0
