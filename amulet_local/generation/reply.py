"""One reply while it is written: tokens become text and events, and it is told when to end.

Decoded tokens go in, Step and Finished events come out. Nothing here knows of streams or prompts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple
from typing import Protocol

from msgspec.structs import replace

from amulet_local.generation.decoding import Decoded
from amulet_local.generation.detokenizer import GrowingText
from amulet_local.generation.sampling import Sampler
from amulet_local.prompts.reasoning import ThoughtSplitter
from amulet_local.prompts.thought_marks import mark_tokens
from amulet_local.protocol.messages import (
    Candidate,
    Event,
    Finished,
    FinishReason,
    Reply,
    Stats,
    Step,
)
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.strengths import overall

Emit = Callable[[Event], None]


class GrowingReply:
    """The reply to one request. Close it when it has ended, however it did.

    begun: the tokens that the reply begins with; they are neither written again nor told.
    strength: to tell where one stream is enough. opened_thought: see ThoughtSplitter.
    """

    def __init__(
        self,
        request: Reply,
        vocabulary: Vocabulary,
        stop: Sequence[str],
        strength: float,
        emit: Emit,
        opened_thought: str = "",
    ) -> None:
        self.request = request
        self._strength = strength
        self.begun = begun_tokens(request, vocabulary)
        self.costs = Costs()
        self._vocabulary, self._emit = vocabulary, emit
        self._piece = _piece(vocabulary)
        said = request.begun.text if request.begun else ""
        self._text = GrowingText(self._piece, (*request.stop, *stop), self.begun, said)
        answering = bool(self.begun or request.thought)
        self._split = ThoughtSplitter(opened_thought, answering=answering)
        self._answer_start = 0
        with ExitStack() as owned:
            self.sampler = owned.enter_context(
                closing(
                    Sampler(
                        request.alignment.sampling,
                        request.seed,
                        vocabulary,
                        request.bias,
                        request.schema,
                    )
                )
            )
            self.sampler.accept(*request.thought, *self.begun)
            owned.pop_all()

    def close(self) -> None:
        """Free the sampler."""
        self.sampler.close()

    @property
    def tokens(self) -> list[int]:
        """All tokens of the reply so far, those that it began with included."""
        return [*self.begun, *self._text.tokens]

    @property
    def written(self) -> int:
        """How many tokens were taken."""
        return len(self._text.tokens)

    def take(self, decoded: Decoded) -> FinishReason | None:
        """Take one more token, and tell of it; returns why the reply has ended, if it has."""
        self.costs.token()
        if self._vocabulary.ends_turn(decoded.token):
            return "stop"
        measures = map(_if_known, astuple(decoded.measures)) if decoded.measures else ()
        thought, added = self._split.add(self._text.add(decoded.token))
        if not self._split.answered:
            self._answer_start = self.written
            self.costs.before_answer()
        strengths = decoded.strengths
        strength = overall(strengths) if strengths else self._strength
        step = Step(self.request.id, decoded.token, added, strength, *measures)
        if len(strengths) > 1:
            step = replace(step, strengths=strengths, shares=decoded.shares)
        if decoded.likeliest:
            step = replace(step, candidates=tuple(map(self._candidate, decoded.likeliest)))
        self._emit(replace(step, thought=thought) if thought else step)
        if self._text.stopped:
            return "stop"
        return "length" if self.written >= self.request.max_tokens else None

    def _candidate(self, likely: tuple[int, float]) -> Candidate:
        token, p = likely
        text = self._vocabulary.piece(token, special=True).decode("utf-8", "replace")
        return Candidate(token, text, p, self._vocabulary.ends_turn(token))

    def finish(self, reason: FinishReason) -> None:
        """Tell that the reply has ended."""
        text, split = self._text, self._split
        split.add(text.finish())
        split.finish()
        tokens, before = text.tokens, 0
        if split.thought or split.answer != text.text:
            before, tokens = self._answer_tokens(split.answer)
        stats = self.costs.stats(len(text.tokens), before)
        begun = self.request.begun
        begun_ids = tuple(self.begun) if begun and not begun.token_ids else ()
        self._emit(
            Finished(
                self.request.id,
                split.answer,
                tuple(tokens),
                reason,
                stats,
                split.thought,
                begun_ids,
            )
        )

    def _answer_tokens(self, answer: str) -> tuple[int, list[int]]:
        """How many tokens come before the answer, and its own, without marks behind it; none of the
        latter where a token belongs to both."""
        start = min(self._answer_start, len(self._text.tokens))
        for before in (max(0, start - 1), start) if answer else ():
            tokens = self._text.tokens[before:]
            while tokens:
                text = b"".join(map(self._piece, tokens)).decode("utf-8", "replace")
                if text == answer:
                    return before, tokens
                if not text.startswith(answer):
                    break
                tokens.pop()
        return start, []


def _piece(vocabulary: Vocabulary) -> Callable[[int], bytes]:
    """The bytes of a token; marks of a thought are seen even where they are control tokens."""
    tokens = {each.text: each.token for each in vocabulary.special_tokens}
    marks = {tokens[text] for text in mark_tokens(tokens)}
    if not marks:
        return vocabulary.piece
    return lambda token: vocabulary.piece(token, special=token in marks)


def begun_tokens(request: Reply, vocabulary: Vocabulary) -> list[int]:
    """The tokens of what the reply begins with: as they were sampled, else of its text."""
    if request.begun is None:
        return []
    return list(request.begun.token_ids) or vocabulary.tokenize(request.begun.text)


class Counts(Protocol):
    """What counts tokens and blocks evaluated so far; length: tokens that a stream can hold."""

    evaluated: int
    steps: int
    length: int


class Costs:
    """What a reply takes, from the request's arrival on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._prefill_s = self._first_token_s = self._before_answer_s = 0.0
        self._prompt_tokens = self._given = self._evaluated = self._streams = 0
        self._counts: Counts | None = None
        self._steps_before = 0

    @contextmanager
    def prefilling(
        self, lockstep: Counts, prompts: Mapping[int, Sequence[int]], written: int = 0
    ) -> Iterator[None]:
        """Count what is evaluated, and the time it takes, while prompts are read, with what is
        written of the reply at their ends."""
        if self._counts is None:
            self._counts, self._steps_before = lockstep, lockstep.steps
        began, evaluated = time.perf_counter(), lockstep.evaluated
        try:
            yield
        finally:
            self._prefill_s += time.perf_counter() - began
            self._count(list(prompts.values()), lockstep.evaluated - evaluated, written)

    def read(
        self, counts: Counts, prompts: Sequence[Sequence[int]], evaluated: int, written: int = 0
    ) -> None:
        """Count prompts that were read between the steps of other replies; all the time until the
        first of its own went into that."""
        if self._counts is None:
            self._prefill_s = time.perf_counter() - self._started
            self._counts, self._steps_before = counts, counts.steps
        self._count(prompts, evaluated, written)

    def _count(self, prompts: Sequence[Sequence[int]], evaluated: int, written: int) -> None:
        self._evaluated += evaluated
        self._given += sum(map(len, prompts))
        self._prompt_tokens = max(map(len, prompts)) - written
        self._streams = len(prompts)

    def token(self) -> None:
        """A token was chosen."""
        if not self._first_token_s:
            self._first_token_s = time.perf_counter() - self._started

    def before_answer(self) -> None:
        """The token is none of the answer's."""
        self._before_answer_s = time.perf_counter() - self._started

    def _held(self, tokens: int) -> int:
        """What the longest stream holds with so many: a full one has no room for the last."""
        held = self._prompt_tokens + tokens
        return min(held, self._counts.length) if self._counts else held

    def stats(self, tokens: int, thought_tokens: int = 0) -> Stats:
        """What it has come to, with so many tokens written, some of them before the answer."""
        decode_s = time.perf_counter() - self._started - self._prefill_s
        thought_s = max(0.0, self._before_answer_s - self._first_token_s)
        return Stats(
            prompt_tokens=self._prompt_tokens,
            cached_tokens=max(0, self._given - self._evaluated),
            evaluated_tokens=self._evaluated,
            tokens=tokens,
            prefill_s=self._prefill_s,
            first_token_s=self._first_token_s,
            decode_s=decode_s,
            tokens_per_s=tokens / decode_s if tokens else 0.0,
            context_tokens=self._held(tokens),
            streams=self._streams,
            blocks=self._counts.steps - self._steps_before if self._counts else 0,
            thought_tokens=thought_tokens,
            thought_s=thought_s if thought_tokens else 0.0,
        )


def _if_known(measure: float) -> float | None:
    """A measure of logits that rule tokens out may be no number, and is not told then."""
    return None if math.isnan(measure) else measure
