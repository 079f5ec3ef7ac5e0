"""What is to be written: every question with every preference by every variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from amulet_local.evaluation.questions import Question
from amulet_local.evaluation.records import Key, Setting, WrittenReply
from amulet_local.evaluation.variants import Variant
from amulet_local.presets.preset import USUAL_STRENGTH
from amulet_local.protocol.alignment import USUAL_GUARD, Fader, Sampling

GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class Preference:
    """A preference as a preset, or the user's words, gives it: with its own strength and guard.

    instead: the words are the whole question with the preference in it, and stand in its place.
    each: of a mix, its preferences one by one, as strong as this says each; the words have all.
    signs: 1 or -1 for each of them, where some are led away from.
    """

    name: str
    words: str
    strength: float = USUAL_STRENGTH
    guard: float = USUAL_GUARD
    instead: bool = False
    each: tuple[str, ...] = ()
    signs: tuple[int, ...] = ()


NOTHING = Preference("", "", 0.0, 0.0)  # what base follows


@dataclass(frozen=True)
class Assignment:
    """A reply that is wanted. preference: NOTHING for base, whose reply serves all of them."""

    question: Question
    preference: Preference
    variant: Variant

    @property
    def key(self) -> Key:
        """What it is the reply to."""
        return self.question.index, self.preference.name, self.variant.name

    @property
    def wish(self) -> str:
        """The preference in words; of a question with an instruction in it, what is the
        instruction's, as far as it stands at the end."""
        return self._wish_of(self.preference.words)

    @property
    def faders(self) -> tuple[Fader, ...]:
        """The same of each preference of a mix, where it is more than prompted for."""
        strength, _ = self.strength_and_guard
        several = self.preference.each if len(self.variant.streams) > 1 else ()
        signs = self.preference.signs or (1,) * len(several)
        return tuple(
            Fader(self._wish_of(words), sign * strength)
            for words, sign in zip(several, signs, strict=bool(several))
        )

    def _wish_of(self, words: str) -> str:
        question = self.question.question
        if not self.preference.instead:
            return words
        same = takewhile(lambda pair: pair[0] == pair[1], zip(words, question, strict=False))
        return words[sum(1 for _ in same) :].strip()

    @property
    def strength_and_guard(self) -> tuple[float, float]:
        """By its variant and its preference."""
        return self.variant.strength_and_guard(self.preference.strength, self.preference.guard)

    def is_met_by(self, reply: WrittenReply | None) -> bool:
        """Whether a reply is the one that is wanted."""
        return reply is not None and (
            reply.asked == self.question.question
            and (reply.words, reply.instead) == (self.preference.words, self.preference.instead)
            and reply.verifiers == self.question.verifiers
            and (reply.strength, reply.guard) == self.strength_and_guard
        )


def crossed(
    questions: Sequence[Question], preferences: Sequence[Preference]
) -> list[tuple[Question, Preference]]:
    """Every question with every preference."""
    return [(question, preference) for question in questions for preference in preferences]


@dataclass(frozen=True)
class Plan:
    """A whole evaluation. pairs: which question goes with which preference, those of one question
    together. pref is always among the variants: the others are compared to it."""

    setting: Setting
    pairs: Sequence[tuple[Question, Preference]]
    variants: Sequence[Variant]

    @property
    def is_verified(self) -> bool:
        """Whether programs say of replies what they are asked, so that no judge has to."""
        return any(question.verifiers for question, _ in self.pairs)

    def assignments(self) -> Iterator[Assignment]:
        """All replies wanted, those to one question together."""
        begun: set[int] = set()
        for question, preference in self.pairs:
            for variant in self.variants:
                if variant.method != "base":
                    yield Assignment(question, preference, variant)
                elif question.index not in begun:
                    yield Assignment(question, NOTHING, variant)
            begun.add(question.index)
