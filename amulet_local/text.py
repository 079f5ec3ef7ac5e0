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
        self._open = len(self._held.encode()) + len(self._decoder.getstate()[0])
        self._certain: list[str] = []
        self.tokens: list[int] = []
        self.stopped = False

    @property
    def text(self) -> str:
        """All that is certain so far."""
        return "".join(self._certain)

    def add(self, token: int) -> str:
        """What became certain with one more token: nothing while a character is incomplete or a
        stop string may be coming. Sets `stopped` once one is found."""
        self.tokens.append(token)
        self._held += self._decoder.decode(self._piece(token))
        found = [place for text in self._stop if (place := self._held.find(text)) >= 0]
        if found:
            self.stopped = True
            self._held = self._held[: min(found)]
            return self._release(len(self._held))
        return self._release(len(self._held) - self._possible_stop())

    def finish(self) -> str:
        """What was held back until the end. After a stop string, `tokens` ends with the text."""
        if not self.stopped:
            self._held += self._decoder.decode(b"", final=True)
            return self._release(len(self._held))
        size = len(self.text.encode())
        ends = self._open
        for count, token in enumerate(self.tokens):
            ends += len(self._piece(token))
            if ends > size:
                del self.tokens[count:]
                break
        return ""

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
