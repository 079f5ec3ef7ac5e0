"""A small model that writes ahead: loaded beside the large one, realigned in the same way."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing

import msgspec

from amulet_local.errors import UsageError
from amulet_local.generation.continuations import Record
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import Combination, Row, Workspace, combined
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.load_defaults import layers_asked
from amulet_local.runtime.lockstep import Lockstep


class DraftModel:
    """A small model with streams of its own.

    Raises UsageError unless its vocabulary is the large model's, and what loading and evaluating
    raise. close: frees its cache and weights.
    """

    def __init__(
        self, path: str, options: LoadOptions, vocabulary: Vocabulary, target: Lockstep
    ) -> None:
        with ExitStack() as owned:
            model = Model(path, gpu_layers=layers_asked(options), devices=options.devices)
            owned.callback(model.close)
            if not model.vocabulary.equals(vocabulary):
                raise UsageError(
                    f"{path} cannot draft for this model because its vocabulary differs; choose "
                    "a smaller model of the same family."
                )
            own = msgspec.structs.replace(options, context=target.length, streams="one-context")
            self.lockstep = owned.enter_context(closing(Lockstep(model, own)))
            self._work = Workspace(vocabulary.size)
            self._relative_cost = _step_seconds(self.lockstep) / _step_seconds(target)
            self.close = owned.pop_all().close

    def writer(
        self,
        prompts: Mapping[int, Sequence[int]],
        written: Sequence[int],
        combine: Callable[[], Combination],
    ) -> ModelWriter:
        """What writes ahead in one reply: greedy, combined as the reply is."""
        self.lockstep.open(max(prompts) + 1)

        def choose(logits: Sequence[Row]) -> int:
            return int(combined(logits, combine(), self._work).argmax())

        return ModelWriter(self.lockstep, prompts, written, choose, self._relative_cost)


def _step_seconds(lockstep: Lockstep) -> float:
    """The median time of a few steps of two short streams."""
    lockstep.prefill({0: [0, 1], 1: [0, 2]})
    times = []
    for _ in range(5):
        began = time.perf_counter()
        lockstep.advance([1])
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class ModelWriter:
    """A small model writes ahead in one reply; see speculative.WritesAhead.

    lockstep: the small model's streams. prompts, written: those of the reply. choose: a token from
    logits (streams, vocabulary). relative_cost: of one of its steps, in the large model's steps.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        prompts: Mapping[int, Sequence[int]],
        written: Sequence[int],
        choose: Callable[[Sequence[Row]], int],
        relative_cost: float,
    ) -> None:
        self._lockstep = lockstep
        self._choose = choose
        self.relative_cost = relative_cost
        self._texts = {stream: [*prompt, *written] for stream, prompt in prompts.items()}
        self._open: list[int] = []  # guesses under way, the next one last
        self._record = Record(0.75)

    @property
    def acceptance(self) -> float:
        """See WritesAhead."""
        return self._record.acceptance

    def observe(self, token: int) -> None:
        """See WritesAhead. Guesses behind a wrong one say nothing."""
        if self._open:
            right = self._open.pop() == token
            self._record.add(right)
            if not right:
                self._open.clear()
        for text in self._texts.values():
            text.append(token)

    def write(self, length: int) -> list[int]:
        """See WritesAhead."""
        logits: Sequence[Row] = self._lockstep.prefill(self._texts)
        draft = [self._choose(logits)]
        while len(draft) < length:
            (logits,) = self._lockstep.advance(draft[-1:])
            draft.append(self._choose(logits))
        self._open = draft[::-1]
        return draft
