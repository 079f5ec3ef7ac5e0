"""Replies are judged by a model: how likely it finds them, and which of two it would choose.

Replies go in, Likelihoods and Verdicts come out. The judge gets the questions as the writer did,
in its own chat template. It is best another model than the writer; any GGUF will do. The quality
of a text is asked of the writer itself, whose base is what realignment must not leave too far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice

from amulet_local.evaluation.likelihood import log_probabilities
from amulet_local.evaluation.plan import Preference
from amulet_local.evaluation.questions import bundled_questions
from amulet_local.evaluation.records import (
    Judgement,
    Likelihoods,
    Setting,
    Skipped,
    Verdict,
    WrittenReply,
    digest,
)
from amulet_local.evaluation.subject import Subject
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.realignment import log_softmax
from amulet_local.runtime.lockstep import Lockstep

OTHERS = 2  # other questions that a reply is compared with
_ANSWER = "Reply"  # how the judge's answer is made to begin

Judged = Callable[[Judgement | Skipped], None]


class Judge:
    """One model that judges the replies of one evaluation."""

    def __init__(self, subject: Subject, setting: Setting) -> None:
        self._subject, self._setting = subject, setting
        self._prompt = lru_cache(maxsize=None)(self._make_prompt)

    @property
    def name(self) -> str:
        """What its judgements are filed under."""
        return self._subject.name

    def likelihoods(
        self,
        replies: Sequence[tuple[WrittenReply, Preference]],
        judged: Judged,
        *,
        others: int = OTHERS,
    ) -> None:
        """How likely each reply is, by a preference that need not be its own, and after so many
        other questions."""
        jobs = []
        for reply, preference in replies:
            prompts = self._prompts(reply.asked, preference, others)
            tokens = self._tokens(reply)
            if self._fits(reply, preference, max(map(len, prompts)) + len(tokens) + 1, judged):
                jobs.append((reply, preference, prompts, tokens))
        if not jobs:
            return
        length = max(max(map(len, prompts)) + len(tokens) + 1 for _, _, prompts, tokens in jobs)
        with self._subject.streams(2 + others, length) as lockstep:
            for reply, preference, prompts, tokens in jobs:
                sums = log_probabilities(
                    self._subject, lockstep, prompts, tokens, ended=reply.ended
                ).sum(axis=1)
                without, with_preference, *after_others = map(float, sums)
                judged(
                    Likelihoods(
                        judge=self.name,
                        question=reply.question,
                        preference=preference.name,
                        variant=reply.variant,
                        digest=digest(preference.words, reply.text),
                        tokens=len(tokens) + reply.ended,
                        with_preference=with_preference,
                        without=without,
                        others=tuple(after_others),
                    )
                )

    def verdicts(
        self, pairs: Sequence[tuple[WrittenReply, WrittenReply, Preference]], judged: Judged
    ) -> None:
        """Which of two replies, `variant`'s and pref's, is closer to a preference; in both orders,
        since small judges like a place more than a text."""
        jobs = []
        for ours, theirs, preference in pairs:
            orders = [(ours.text, theirs.text), (theirs.text, ours.text)]
            prompts = [self._ballot(ours.asked, preference.words, *texts) for texts in orders]
            if self._fits(ours, preference, max(map(len, prompts)), judged):
                jobs.append((ours, theirs, preference, prompts))
        if not jobs:
            return
        length = max(len(prompt) for *_, prompts in jobs for prompt in prompts)
        with self._subject.streams(2, length) as lockstep:
            for ours, theirs, preference, prompts in jobs:
                first, second = self._leanings(lockstep, prompts)
                judged(
                    Verdict(
                        judge=self.name,
                        question=ours.question,
                        preference=preference.name,
                        variant=ours.variant,
                        digest=digest(preference.words, ours.text, theirs.text),
                        first=first,
                        second=-second,
                    )
                )

    def _leanings(self, lockstep: Lockstep, prompts: Sequence[Sequence[int]]) -> list[float]:
        """How much rather A than B follows each ballot, in nats."""
        a, b = (self._subject.vocabulary.tokenize(f"{_ANSWER} {letter}")[-1] for letter in "AB")
        rows = [log_softmax(row) for row in lockstep.prefill(dict(enumerate(prompts)))]
        return [float(row[a] - row[b]) for row in rows]

    def _ballot(self, question: str, wanted: str, one: str, other: str) -> list[int]:
        """The prompt that asks for a choice, up to where the letter comes."""
        text = (
            f"Two replies were written to one question.\n\nQuestion: {question}\n\n"
            f"Reply A: {one.strip()}\n\nReply B: {other.strip()}\n\n"
            f"The reader asked for this: {wanted}\n"
            "Which reply does that better and still answers the question, Reply A or Reply B?"
        )
        answer = self._subject.vocabulary.tokenize(f"{_ANSWER} A")[:-1]
        return [*self._subject.prompt(text, DEFAULT_SYSTEM), *answer]

    def _prompts(self, question: str, preference: Preference, others: int) -> list[list[int]]:
        asked = (each.question for each in bundled_questions() if each.question != question)
        return [
            self._prompt(question, "", False),
            self._prompt(question, preference.words, preference.instead),
            *(self._prompt(other, "", False) for other in islice(asked, others)),
        ]

    def _make_prompt(self, question: str, words: str, instead: bool) -> list[int]:
        setting = self._setting
        return self._subject.prompt(
            question, setting.system, words, setting.placement, instead=instead
        )

    def _tokens(self, reply: WrittenReply) -> tuple[int, ...]:
        """The reply as the judge reads it: as it was sampled, if the tokens mean the same to it."""
        vocabulary = self._subject.vocabulary
        ids = reply.token_ids
        if all(token < vocabulary.size for token in ids):
            said = b"".join(map(vocabulary.piece, ids)).decode("utf-8", "replace")
            if said == reply.text:
                return ids
        return tuple(vocabulary.tokenize(reply.text))

    def _fits(
        self, reply: WrittenReply, preference: Preference, needed: int, judged: Judged
    ) -> bool:
        length = self._subject.length
        if needed <= length:
            return True
        reason = f"it does not fit in the judge's context of {length:,} tokens"
        judged(Skipped(reply.question, preference.name, reply.variant, reason))
        return False
