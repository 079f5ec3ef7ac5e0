"""Replies are written: assignments go in, replies come out, many at once in one batch a step.

Every method gets the same prompts, the same sampler and the same seed; beam search alone draws
nothing. What a reply says does not depend on what is written beside it, as far as the rounding of
quantised weights goes (see generation/batch.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from typing import cast

from amulet_local.engine.requests import combination_of
from amulet_local.evaluation.beam import beam_search
from amulet_local.evaluation.plan import Assignment
from amulet_local.evaluation.records import Setting, Skipped, WrittenReply
from amulet_local.evaluation.subject import Subject
from amulet_local.generation.batch import BatchItem, write_batch
from amulet_local.generation.decoding import Combine
from amulet_local.generation.detokenizer import GrowingText
from amulet_local.generation.reply import GrowingReply
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.alignment import Method as WritingMethod
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Finished, Reply, Step
from amulet_local.realignment import Combination
from amulet_local.runtime.lockstep import Lockstep

TOGETHER = 8  # replies at once: the rows of larger batches cost hardly less each

Written = Callable[[WrittenReply | Skipped], None]


class Writer:
    """Writes replies of one model under one setting."""

    def __init__(self, subject: Subject, setting: Setting) -> None:
        self._subject, self._setting = subject, setting
        self._prompt = lru_cache(maxsize=None)(self._make_prompt)

    def write(self, assignments: Sequence[Assignment], written: Written) -> None:
        """Write them all, and tell of each as it ends. Raises DecodeError."""
        fitting = [each for each in assignments if self._fits(each, written)]
        if not fitting:
            return
        longest = max(len(prompt) for each in fitting for prompt in self._prompts(each))
        length = longest + self._setting.max_tokens
        together = [each for each in fitting if each.variant.method != "beam"]
        if together:
            most = max(len(_streams(each)) for each in together)
            at_once = max(1, 2 * TOGETHER // most)
            with self._subject.streams(max(2 * TOGETHER, most), length) as lockstep:
                for start in range(0, len(together), at_once):
                    self._write_together(lockstep, together[start : start + at_once], written)
        for width in sorted({each.variant.beams for each in fitting} if fitting else ()):
            searched = [each for each in fitting if _beams(each) == width]
            if searched:
                with self._subject.streams(width, length) as lockstep:
                    for each in searched:
                        written(self._search(lockstep, each))

    def _fits(self, assignment: Assignment, written: Written) -> bool:
        """Whether the prompts leave room for the longest reply; tells of it where not."""
        longest = max(len(prompt) for prompt in self._prompts(assignment))
        length, wanted = self._subject.length, self._setting.max_tokens
        if longest + wanted <= length:
            return True
        reason = f"its prompt leaves no room for {wanted:,} more tokens in a context of {length:,}"
        written(Skipped(*assignment.key, reason))
        return False

    def _prompts(self, assignment: Assignment) -> list[list[int]]:
        """The prompts of the streams that the method looks at: base, pref, or both."""
        question, preference = assignment.question.question, assignment.preference
        prefs = preference.each if assignment.faders else (preference.words,)
        words = dict(enumerate(("", *prefs)))
        return [
            self._prompt(question, words[stream], preference.instead)
            for stream in _streams(assignment)
        ]

    def _make_prompt(self, question: str, words: str, instead: bool) -> list[int]:
        setting = self._setting
        return self._subject.prompt(
            question, setting.system, words, setting.placement, instead=instead
        )

    def _write_together(
        self, lockstep: Lockstep, assignments: Sequence[Assignment], written: Written
    ) -> None:
        collected = [_Collected(each) for each in assignments]

        def emit(event: Event) -> None:
            if isinstance(event, Step):
                collected[event.id].add(event)
            elif isinstance(event, Finished):
                written(collected[event.id].reply(event))

        with ExitStack() as opened:
            items = []
            for number, assignment in enumerate(assignments):
                strength, guard = assignment.strength_and_guard
                prompts = self._prompts(assignment)
                request = self._request(number, assignment, strength, guard)
                stop = self._subject.prompter.stop
                reply = GrowingReply(request, self._subject.vocabulary, stop, strength, emit)
                opened.enter_context(closing(reply))
                combination = combination_of(
                    request, _streams(assignment), self._subject.vocabulary
                )
                items.append(BatchItem(reply, prompts, _always(combination)))
            work, room = self._subject.work, self._setting.max_tokens
            write_batch(lockstep, items, room, work, lambda done, total: None)

    def _request(self, number: int, assignment: Assignment, strength: float, guard: float) -> Reply:
        setting = self._setting
        return Reply(
            id=number,
            messages=(Message("user", assignment.question.question),),
            seed=setting.seed,
            system=setting.system,
            alignment=Alignment(
                preference="" if assignment.faders else assignment.wish,
                mix=assignment.faders,
                method=cast(WritingMethod, assignment.variant.method),
                strength=strength,
                guard=guard,
                placement=setting.placement,
                sampling=setting.sampling,
            ),
            max_tokens=setting.max_tokens,
            trace=True,
        )

    def _search(self, lockstep: Lockstep, assignment: Assignment) -> WrittenReply:
        vocabulary = self._subject.vocabulary
        (prompt,) = self._prompts(assignment)
        best = beam_search(
            lockstep,
            prompt,
            vocabulary.ends_turn,
            assignment.variant.beams,
            self._setting.max_tokens,
        )
        text = GrowingText(vocabulary.piece, self._subject.prompter.stop)
        pieces = [text.add(token) for token in best.tokens]
        pieces.append(text.finish())
        return _record(
            assignment,
            text=text.text,
            token_ids=tuple(text.tokens),
            pieces=tuple(pieces),
            ended=best.ended or text.stopped,
        )


def _streams(assignment: Assignment) -> tuple[int, ...]:
    """Those of its method; of a mix, one for each preference."""
    faders = len(assignment.faders)
    return tuple(range(1 + faders)) if faders else assignment.variant.streams


class _Collected:
    """The steps of one reply, until it has ended."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._pieces: list[str] = []
        self._shifts: list[float] = []

    def add(self, step: Step) -> None:
        self._pieces.append(step.text)
        if step.shift is not None:
            self._shifts.append(round(step.shift, 4))

    def reply(self, finished: Finished) -> WrittenReply:
        rest = finished.text[len("".join(self._pieces)) :]
        return _record(
            self._assignment,
            text=finished.text,
            token_ids=finished.token_ids,
            pieces=(*self._pieces, rest) if rest else tuple(self._pieces),
            shifts=tuple(self._shifts),
            ended=finished.reason == "stop",
        )


def _always(combination: Combination) -> Combine:
    return lambda: combination


def _record(assignment: Assignment, **result: object) -> WrittenReply:
    strength, guard = assignment.strength_and_guard
    return WrittenReply(
        question=assignment.question.index,
        asked=assignment.question.question,
        preference=assignment.preference.name,
        words=assignment.preference.words,
        variant=assignment.variant.name,
        method=assignment.variant.method,
        strength=strength,
        guard=guard,
        instead=assignment.preference.instead,
        verifiers=assignment.question.verifiers,
        beams=_beams(assignment),
        **result,  # type: ignore[arg-type]
    )


def _beams(assignment: Assignment) -> int:
    return assignment.variant.beams if assignment.variant.method == "beam" else 0
