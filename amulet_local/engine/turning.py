"""Faders turned while a reply is written: which stand where, and so how its streams combine."""

from __future__ import annotations

from collections.abc import Sequence

from amulet_local.engine.requests import combination_of
from amulet_local.generation.decoding import Combine
from amulet_local.protocol.messages import Reply
from amulet_local.protocol.voices import Strengths, turned_to, voices_of
from amulet_local.realignment import Combination
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.strengths import BASE_STREAM


class Turning:
    """Of one reply at a time, by the id of its request. `turn` may be called on any thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._turned: tuple[int, Strengths] | None = None

    def turn(self, request: int, strengths: Strengths) -> None:
        """Have the faders of a reply stand like this, from its next token on."""
        self._turned = (request, strengths)

    def forget(self, request: Reply) -> None:
        """The reply has ended."""
        if self._turned and self._turned[0] == request.id:
            self._turned = None

    def now(self, request: Reply) -> Reply:
        """The request as its faders stand now; only the method amulet has any."""
        turned = self._turned
        if turned and turned[0] == request.id and request.alignment.method == "amulet":
            return turned_to(request, turned[1])
        return request

    def heard(self, request: Reply, streams: tuple[int, ...]) -> tuple[int, ...]:
        """The streams that a reply needs now; these are what it needed before."""
        now = self.now(request)
        if now is request:
            return streams
        return (BASE_STREAM, *(voice.stream for voice in voices_of(now.alignment, now.wish)))

    def combine(self, request: Reply, streams: Sequence[int]) -> Combine:
        """How these streams of a reply combine, wherever its faders stand."""
        turned: tuple[int, Strengths] | None = None
        combination = combination_of(self.now(request), streams, self._vocabulary)

        def combine() -> Combination:
            nonlocal turned, combination
            if self._turned is not turned:
                turned = self._turned
                combination = combination_of(self.now(request), streams, self._vocabulary)
            return combination

        return combine
