"""One question answered in several ways side by side, where the answers part, and a blind vote.

Ways to steer go in; columns come out that grow as the engine writes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from amulet_local.chats.chat import completed
from amulet_local.chats.conversation import Node
from amulet_local.chats.followed import Check, checks_of
from amulet_local.chats.ids import new_id
from amulet_local.chats.votes import Ballot, Choice, Tally
from amulet_local.engine.client import EngineHandle
from amulet_local.presets.preset import Preset
from amulet_local.protocol.alignment import Method
from amulet_local.protocol.message import wishing
from amulet_local.protocol.messages import MOST_COMPARED, Died, Event, Failed, Finished, Reply, Step
from amulet_local.strengths import BASE, LINEAR, PROMPT, label, strength_and_guard
from tui.session.requests import origin_of
from tui.session.session import Session
from tui.session.steering import SteeringChoice, heard

LONGEST = 512  # tokens of a column: each has a cache of its own while they are written
SAME = 0.005  # between strengths


@dataclass(eq=False)
class Column:
    """One way to answer. method: how it is written, which for a mix does not follow from its
    strength: its faders may come to 1 in all, and are heard one by one all the same. wish: of the
    question. request: None until the engine is asked. trouble: why it came to nothing, in a
    sentence."""

    steering: SteeringChoice
    method: Method
    request: Reply | None = None
    steps: list[Step] = field(default_factory=list)
    finished: Finished | None = None
    trouble: str = ""
    wish: str = ""

    @classmethod
    def at(cls, steering: SteeringChoice) -> Column:
        """For a strength: at 1, all preferences are only asked for, in one prompt."""
        return cls(steering, method_of(steering.strength))

    @classmethod
    def of(cls, steering: SteeringChoice) -> Column:
        """For what is set: the faders of a mix are heard one by one."""
        method = method_of(steering.strength)
        return cls(steering, "amulet" if steering.mix and method == "pref" else method)

    @property
    def text(self) -> str:
        """What is written so far."""
        return self.finished.text if self.finished else "".join(step.text for step in self.steps)

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return bool(self.finished or self.trouble)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether it does what the question's wish and the preference ask for, where that is
        certain: the columns without them too."""
        if not self.finished or self.finished.reason != "stop":
            return ()
        faders = heard(self.steering.faders)
        preferences = tuple(it.preference for it in faders if it.strength > 0 or len(faders) == 1)
        return checks_of(preferences, self.wish, self.text)

    @property
    def name(self) -> str:
        """Its strength, in words."""
        strength = self.steering.strength
        if self.method == "amulet":
            return f"{strength:.2f} {'in all' if self.steering.mix else label(strength)}"
        return "base" if self.method == "base" else "prompt only"


class Comparison:
    """Columns that are written together; those added meanwhile are written after.

    shuffle: puts a list in another order, in place. winner: the column voted for, if any.
    """

    def __init__(
        self,
        session: Session,
        question: Node,
        columns: Iterable[Column],
        shuffle: Callable[[list[Column]], None] = random.shuffle,
    ) -> None:
        self.question = question
        self.columns = [replace(column, wish=question.message.wish) for column in columns]
        self.blind = False
        self.winner: Column | None = None
        self._session, self._shuffle = session, shuffle
        self._seed: int | None = None

    # -- writing ------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether something is being written."""
        return any(column.request and not column.ended for column in self.columns)

    def begin(self) -> str:
        """Have all that is not written yet be written, unless something is. Returns why it cannot
        be, in a sentence; empty otherwise."""
        new = [column for column in self.columns if not column.request]
        if self.running or not new:
            return ""
        for column in new:
            column.request = self._request(column)
        requests = tuple(column.request for column in new if column.request)

        def ask(engine: EngineHandle) -> None:
            engine.compare(requests)

        refusal = self._session.lend(self._take, ask)
        if refusal:
            for column in new:
                column.request = None
        return refusal

    def again(self) -> None:
        """Forget what is written, so that it is written once more, by another seed."""
        self._seed, self.winner, self.blind = None, None, False
        self.columns = [
            Column(column.steering, column.method, wish=column.wish) for column in self.columns
        ]

    def stop(self) -> None:
        """Leave what is written as it is; what waits for its turn goes."""
        self.columns = [column for column in self.columns if column.request]
        if self.running:
            self._session.care.halt()

    def close(self) -> None:
        """Nobody looks any more."""
        if self.running:
            self._session.take_back()

    def _request(self, column: Column) -> Reply:
        """As it would be asked in the chat, all with one seed and without a thought; base and
        prompt only as they are without Amulet, so unguarded."""
        request = self._session.request(self.question, column.steering)
        self._seed = request.seed if self._seed is None else self._seed
        method, alignment = column.method, request.alignment
        _, guard = strength_and_guard(method, alignment.strength, alignment.guard)
        return structs.replace(
            request,
            messages=wishing(request.messages, "" if method == "base" else request.wish),
            seed=self._seed,
            alignment=structs.replace(
                alignment,
                method=method,
                preference="" if method == "base" else alignment.preference,
                mix=() if method == "base" else alignment.mix,
                guard=guard,
            ),
            trace=method != "base",
            max_tokens=min(LONGEST, request.max_tokens),
            thinking=False,
        )

    def _take(self, event: Event) -> None:
        match event:
            case Step():
                for column in self._asked(event.id):
                    if len(column.steps) < LONGEST:
                        column.steps.append(event)
            case Finished():
                for column in self._asked(event.id):
                    column.finished = event
            case Failed(id=int(asked)) if self._asked(asked):
                self._fail(event.text)
            case Failed(id=None) | Died():
                self._fail(event.text)

    def _asked(self, request: int) -> list[Column]:
        return [it for it in self.columns if it.request and it.request.id == request]

    def _fail(self, why: str) -> None:
        for column in self.columns:
            if column.request and not column.ended:
                column.trouble = why

    # -- which columns ------------------------------------------------------------------------

    def add(self, added: Column) -> str:
        """One more column at the end; returns why not, in a sentence, or nothing."""
        if len(self.columns) >= MOST_COMPARED:
            return f"There is room for at most {MOST_COMPARED} columns; remove one first."
        if any(
            added.method == column.method and same(added.steering, column.steering)
            for column in self.columns
        ):
            return "That column is already there."
        self.winner = None
        self.columns.append(replace(added, wish=self.question.message.wish))
        return ""

    def remove(self, column: Column) -> str:
        """Take a column away; returns why not, in a sentence, or nothing."""
        if len(self.columns) < 2:
            return "This is the last column."
        if column.request and not column.ended:
            return "This column is still being written; stop it first."
        self.columns.remove(column)
        return ""

    # -- what is seen -------------------------------------------------------------------------

    def parting(self, number: int) -> int | None:
        """The index in a column's text at which it leaves the first column's; in the first, at
        which the first other leaves it. None while they say the same."""
        first, column = self.columns[0], self.columns[number]
        others = self.columns[1:] if column is first else [column]
        found = [parts(first, other) for other in others]
        return min((index for index in found if index is not None), default=None)

    def reply(self, column: Column) -> Node | None:
        """A column as a reply of the chat; None while it is not complete, or where it is empty."""
        request, finished = column.request, column.finished
        if not request or not finished or not finished.text:
            return None
        origin = origin_of(request, column.steering, self._session.model)
        node = self._session.chat.conversation.reply(self.question.id, origin)
        return replace(completed(node, column.steps, finished), id=new_id())

    # -- voting -------------------------------------------------------------------------------

    def hide(self) -> str:
        """Shuffle the columns, and show no names; returns why not, in a sentence, or nothing."""
        if not all(column.ended for column in self.columns):
            return "You can vote once all columns are finished or stopped."
        if sum(bool(column.text) for column in self.columns) < 2:
            return "There is nothing to choose between."
        self.columns = [column for column in self.columns if column.text]
        self._shuffle(self.columns)
        self.blind, self.winner = True, None
        return ""

    def vote(self, number: int | None) -> None:
        """Unveil the columns; number: of the best one, kept with the strengths it was up against.
        Raises AmuletError where that cannot be stored."""
        self.blind = False
        if number is None:
            return
        self.winner = self.columns[number]
        model = self._session.model
        if any(column.steering.mix for column in self.columns):
            ballot_of_mixes = [strengths_of(column.steering) for column in self.columns]
            known = [mix for mix in ballot_of_mixes if mix is not None]
            if model and len(known) == len(ballot_of_mixes):
                self._session.history.votes.add_mixes(model.name, known, number)
            return
        presets = [column.steering.preset for column in self.columns]
        if model and all(presets):
            ballot = [
                Choice(preset.name, column.steering.strength)
                for preset, column in zip(presets, self.columns, strict=True)
                if preset
            ]
            self._session.history.votes.add(model.name, ballot, number)

    def ballots(self) -> list[Ballot]:
        """All votes on this model. Raises AmuletError."""
        model = self._session.model
        return self._session.history.votes.ballots(model.name if model else "")

    def tally(self, preset: Preset) -> Tally:
        """How the votes for a preset went so far. Raises AmuletError."""
        model = self._session.model
        return self._session.history.votes.tally(model.name if model else "", preset.name)


def method_of(strength: float) -> Method:
    """How a column at a strength is written: where Amulet has nothing to do, without it."""
    if abs(strength - BASE) < SAME:
        return "base"
    return "pref" if abs(strength - PROMPT) < SAME else "amulet"


def usual(steering: SteeringChoice, otherwise: float = LINEAR) -> Sequence[Column]:
    """What to begin with: base, prompt only, and realigned as it is set (or else as is usual)."""
    columns = [Column.of(steering), *(Column.of(steering.at(s)) for s in (otherwise, LINEAR))]
    realigned = next(column for column in columns if column.method == "amulet")
    return [*(Column.at(steering.at(strength)) for strength in (BASE, PROMPT)), realigned]


def strengths_of(steering: SteeringChoice) -> dict[str, float] | None:
    """By preset, of what is heard; None where some of it is words, of which no vote is kept."""
    faders = heard(steering.faders)
    if not all(fader.preset for fader in faders):
        return None
    return {fader.preset.name: fader.strength for fader in faders if fader.preset}


def left_out(steering: SteeringChoice) -> Sequence[Column]:
    """A mix without each of the preferences that are heard, one after the other."""
    faders = heard(steering.mix)
    if len(faders) < 2:
        return ()
    mixes = ([replace(it, muted=it.muted or it is out) for it in steering.mix] for out in faders)
    return [Column.of(steering.with_faders(mix)) for mix in mixes]


def same(one: SteeringChoice, other: SteeringChoice) -> bool:
    """Whether two ways to steer come to the same replies; without a strength, all do."""
    if abs(one.strength - other.strength) >= SAME:
        return False
    if method_of(one.strength) == "base":
        return True
    return rounded(one) == rounded(other)


def rounded(steering: SteeringChoice) -> SteeringChoice:
    """At strengths that nobody could tell apart from others so rounded."""
    mix = tuple(replace(it, strength=round(it.strength, 2)) for it in steering.mix)
    return replace(steering, strength=BASE, mix=mix)


def parts(one: Column, other: Column) -> int | None:
    """The index at which two texts part; None while one of them may still go on like the other."""
    shorter, longer = sorted((one, other), key=lambda column: len(column.text))
    letters = enumerate(zip(shorter.text, longer.text, strict=False))
    index = next((at for at, (a, b) in letters if a != b), len(shorter.text))
    ends_there = index == len(shorter.text)
    if ends_there and (len(longer.text) == index or not shorter.ended):
        return None
    return index


def with_preset(steering: SteeringChoice, changed: Preset) -> SteeringChoice:
    """The same, by a preset as it is now, if it goes by that one; the strength stays."""
    known = steering.preset and steering.preset.name == changed.name
    return replace(steering, preset=changed, given=True) if known else steering
