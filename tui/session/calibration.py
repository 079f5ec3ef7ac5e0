"""What strength a model bears, found by its engine while the chat is at rest.

A few questions, each with a wish of its own, are answered by prompting and at rising strengths, all
of a question in one batch. Replies at a strength that surprise the model without the wish at most
half as much again as prompted ones, and repeat themselves no more, are still well written; the
largest such strength is what the model bears, and *gently*, *clearly* and *firmly* follow it. It is
`amulet calibrate` in small: whether replies stay on the question is not judged here.

Whatever the chat wants of the engine comes first: the question under way is then begun anew.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import structs

from amulet_local.engine.client import EngineHandle
from amulet_local.errors import cause
from amulet_local.evaluation.scores.repetition import distinct_3
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import Calibrated, keep_bearing
from amulet_local.presets.firmness import WORDS, strength_of
from amulet_local.presets.preset import Preset, Presets
from amulet_local.presets.quality import MARGIN, Quality, has_gone_too_far, largest_kept
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Event, Failed, Finished, Reply, Step
from amulet_local.strengths import PROMPT
from tui.session.session import Session

STRENGTHS = (PROMPT, 2.0, 2.5, 3.0, 4.0, 5.0)  # as many as are compared in one batch
WISHES = ("concise", "bullet-points", "formal", "explain-like-im-ten", "uplifting", "pleasant")
TOKENS = 64
LIMIT_S = 110.0
_FEWEST = 2  # questions that tell anything


@dataclass
class _Written:
    """A reply. surprises: -log p_base of its tokens, in nats."""

    text: str = ""
    surprises: list[float] = field(default_factory=list)
    ended: bool = False


class Calibration:
    """One search, for the model that is loaded as it begins. told: what it came to, in a sentence,
    once it is over."""

    def __init__(
        self, session: Session, presets: Presets, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from amulet_local.evaluation.questions import bundled_questions

        assert session.model, "something is loaded"
        self.told = ""
        self._session, self._clock = session, clock
        self._file, self._name = as_text(session.model.path), session.model.name
        self._wishes = [presets.get(name) for name in WISHES]
        self._questions = [it.question for it in bundled_questions()[:: 40 // len(WISHES)]]
        self._answered: list[list[_Written]] = []  # by question, then by strength
        self._under_way: dict[int, _Written] = {}
        self._begun_at = 0.0
        self._spent_s = self._longest_s = 0.0

    def go_on(self) -> None:
        """Begin the next question, if the engine is at rest and there is time for one."""
        session = self._session
        if self.told or session.care.is_borrowed_by(self._take):
            return
        if not session.model or as_text(session.model.path) != self._file:
            self.told = f"{self._name} is no longer loaded, so it was not measured."
        elif len(self._answered) == len(WISHES) or self._spent_s + self._longest_s > LIMIT_S:
            self._conclude()
        else:
            self._ask()

    def stop(self) -> None:
        """Give it up."""
        if self._session.care.is_borrowed_by(self._take):
            self._session.take_back()
        self.told = f"{self._name} was not measured; the usual strengths stay."

    def _ask(self) -> None:
        number = len(self._answered)
        wish, question = self._wishes[number], self._questions[number]
        requests = tuple(_request(self._session.next_id(), question, wish, s) for s in STRENGTHS)

        def begin(engine: EngineHandle) -> None:
            engine.compare(requests)

        self._under_way = {request.id: _Written() for request in requests}
        self._begun_at = self._clock()
        self._session.care.borrow(self._take, begin)

    def _take(self, event: Event) -> None:
        match event:
            case Step() if written := self._under_way.get(event.id):
                if event.logp_base is not None and math.isfinite(event.logp_base):
                    written.surprises.append(-event.logp_base)
            case Finished() if written := self._under_way.get(event.id):
                written.text, written.ended = event.text, event.reason != "cancelled"
                if all(each.ended for each in self._under_way.values()):
                    self._keep_answers()
            case Failed() if event.id is None or event.id in self._under_way:
                self._give_up(event.text)
            case Died():
                self._give_up(event.text)

    def _keep_answers(self) -> None:
        self._session.care.give_back()
        took = self._clock() - self._begun_at
        self._spent_s, self._longest_s = self._spent_s + took, max(self._longest_s, took)
        self._answered.append(list(self._under_way.values()))

    def _give_up(self, why: str) -> None:
        self._session.care.give_back()
        self.told = f"How much {self._name} can take could not be measured: {why}"

    def _conclude(self) -> None:
        if len(self._answered) < _FEWEST:
            self.told = (
                f"{self._name} is too slow here to be measured within two minutes; the usual "
                "strengths stay."
            )
            return
        best = largest_kept(self._tried(), MARGIN)
        found = Calibrated.of(self._wishes[0], best)
        words = ", ".join(f"{word} is {strength_of(word, best.strength):.3g}" for word in WORDS)
        self.told = f"{self._name} writes well up to strength {best.strength:g}: {words}."
        try:
            keep_bearing(self._file, found)
        except OSError as error:
            self.told += f" This could not be saved ({cause(error)})."
        self._session.steering = self._session.steering  # at what is usual on this model now

    def _tried(self) -> list[Quality]:
        """The strengths above prompting, until two in a row went too far."""
        surprise, variety = zip(*map(self._scores, range(len(STRENGTHS))), strict=True)
        tried: list[Quality] = []
        for number, strength in enumerate(STRENGTHS[1:], 1):
            ratio = math.exp(surprise[number] - surprise[0])
            tried.append(Quality(strength, ratio, variety[number] / (variety[0] or 1.0), 1.0))
            if has_gone_too_far(tried, MARGIN):
                break
        return tried

    def _scores(self, number: int) -> tuple[float, float]:
        """Of the replies at a strength: the mean surprise of a token, and distinct-3."""
        replies = [answers[number] for answers in self._answered]
        surprises = [statistics.fmean(it.surprises) for it in replies if it.surprises]
        variety = statistics.fmean(distinct_3(it.text) for it in replies)
        return (statistics.fmean(surprises) if surprises else 0.0), variety


def _request(number: int, question: str, wish: Preset, strength: float) -> Reply:
    prompted = strength == PROMPT
    return Reply(
        id=number,
        messages=(Message("user", question),),
        seed=0,
        system=wish.system or DEFAULT_SYSTEM,
        alignment=Alignment(
            preference=wish.words(),
            method="pref" if prompted else "amulet",
            strength=strength,
            guard=0.0 if prompted else wish.guard,
            placement=wish.placement,
            sampling=structs.replace(wish.sampling, temperature=0.0),
        ),
        max_tokens=TOKENS,
        trace=True,
    )
