"""What guesses ahead in the replies of one loaded model: a drafter for each goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from amulet_local.engine.habits import Habits
from amulet_local.engine.requests import Prompts
from amulet_local.generation.continuations import Continuations
from amulet_local.generation.decoding import Combine
from amulet_local.generation.draft_model import DraftModel
from amulet_local.generation.speculative import USUAL_STEP_COST, Cost, Drafter, Guesser, linear_cost
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.block_costs import Table, cost_of
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.lockstep import Lockstep


class Guessing:
    """lockstep: the model's. path: of its file. costs: the measured table of blocks of tokens, as
    far as there is one by now.

    Raises what loading a draft model raises. close: frees it, and keeps what was learned.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        path: str,
        options: LoadOptions,
        vocabulary: Vocabulary,
        costs: Callable[[], Table],
    ) -> None:
        self._options, self._costs = options, costs
        self._possible = options.draft != "off" and lockstep.can_rewind
        self._habits = Habits(path, vocabulary.size)
        self._model: DraftModel | None = None
        with ExitStack() as owned:
            if self._possible and options.draft != "ngram":
                self._model = DraftModel(options.draft, options, vocabulary, lockstep)
                owned.callback(self._model.close)
            owned.callback(self._habits.keep, now=True)
            self.close = owned.pop_all().close

    @property
    def streams(self) -> tuple[Lockstep, ...]:
        """A draft model's, which a stop must reach too."""
        return (self._model.lockstep,) if self._model else ()

    def drafter(
        self,
        prompts: Prompts,
        written: Sequence[int],
        combine: Combine,
        *,
        learns: bool = False,
        alone: bool = True,
    ) -> Drafter | None:
        """For one reply, if guesses can be made. learns: from it, and goes by what was learned.
        alone: no others are written with it; in company, only copies are looked for."""
        if not self._possible:
            return None
        (first, *_) = prompts.values()
        habits = (self._habits.table() if learns else Continuations()) if alone else None
        ahead = self._model.writer(prompts, written, combine) if self._model else None
        return Guesser([*first, *written], self._cost(len(prompts)), habits, ahead)

    def reply_ended(self) -> None:
        """Keep what was learned; when nobody waits for anything."""
        self._habits.keep()

    def _cost(self, streams: int) -> Cost:
        """What a block of tokens costs: as the user says, as was measured, or as is usual."""
        table = self._costs()
        if not table or self._options.step_cost:
            return linear_cost(self._options.step_cost or USUAL_STEP_COST)
        return for_streams(cost_of(table), streams)


def for_streams(cost: Cost, streams: int) -> Cost:
    """The cost of blocks on so many streams by that on two, which is one of rows, two a token."""
    if streams <= 2:
        return cost
    step = cost((streams + 1) // 2)
    return lambda block: cost((streams * block + 1) // 2) / step
