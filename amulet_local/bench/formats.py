"""Two formats of one model beside each other: how long each takes for a step in lockstep, and how
well each expects a text of ours.

Two files go in, three numbers come out. The files take turns, step by step and piece by piece of
the text, so that other programs slow both of them down alike. What is fast enough, or good enough,
is not known here.

    perplexity = exp( mean over the tokens of the text of -log p(token | tokens before it) )
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib import resources
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amulet_local.errors import NotUsableError
from amulet_local.generation.teacher_forcing import teacher_forced
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import log_softmax
from amulet_local.runtime.autotune import two_prompts
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import with_autotuned
from amulet_local.runtime.lockstep import Lockstep

_PROMPT = 128  # tokens, before the steps that are timed
_STEPS = 24
_FEWEST_STEPS = 8
_LONGEST_S = 10.0  # in which all steps are taken, of models that are slow
_WARM_UP = 2  # steps, in which llama.cpp makes room
_PIECE = 256  # tokens
_FEWEST_PIECES = 2
_BROKEN = 10.0  # nats a token more than the other file, and beyond


class Measured(NamedTuple):
    """A format, relative to another one of the same model.

    speed: steps of two rows in the time of one. perplexity: 1.01 is one percent more. margin: two
    standard errors of that, by the differences from token to token.
    """

    speed: float
    perplexity: float
    margin: float


class Formats:
    """One file, with which others are compared, on the processor. options: how all are loaded, with
    at least 256 tokens of context.

    close: frees it. Raises what loading a model raises.
    """

    def __init__(self, present: str, options: LoadOptions) -> None:
        self._options = with_autotuned(options, present)
        self._present = _Format(present, self._options)
        self.close = self._present.close

    def compare(
        self,
        copy: str,
        on_progress: Callable[[int, int], object],
        is_settled: Callable[[Measured], bool],
    ) -> Measured:
        """Measure another file of the same model.

        on_progress(done, in all). is_settled: asked with what is known after each piece of the
        text; the rest is then left out. Raises what loading a model raises, and NotUsableError
        where the file holds another model.
        """
        present = self._present
        with closing(_Format(copy, self._options)) as other:
            if other.pieces != present.pieces:
                raise NotUsableError(
                    f"{copy} holds another model, which reads text in other tokens; rename it."
                )
            pieces = len(present.pieces)
            in_all = _STEPS + pieces
            speed = _speed(present, other, lambda done: on_progress(done, in_all))
            differences = np.empty(0)
            for number in range(pieces):
                piece = other.surprises(number) - present.surprises(number)
                differences = np.concatenate([differences, piece])
                on_progress(_STEPS + number + 1, in_all)
                found = _measured(speed, differences)
                if number + 1 >= _FEWEST_PIECES and is_settled(found):
                    break
            return found


def text() -> str:
    """What perplexity is measured on: some pages of prose that were written for this."""
    return resources.files(__package__).joinpath("prose.txt").read_text("utf-8")


class _Format:
    """One loaded file. pieces: the text's tokens, as many at a time as fit."""

    def __init__(self, path: str, options: LoadOptions) -> None:
        with ExitStack() as owned:
            self.model = owned.enter_context(closing(Model(path, gpu_layers=0)))
            self._lockstep = owned.enter_context(closing(Lockstep(self.model, options)))
            tokens = self.model.vocabulary.tokenize(text())
            self.pieces = [tokens[k : k + _PIECE] for k in range(0, len(tokens) - 1, _PIECE)]
            self._surprises: dict[int, NDArray[np.float64]] = {}
            self.close = owned.pop_all().close

    def begin_steps(self) -> None:
        """Be where `step` begins."""
        self._lockstep.prefill(two_prompts(self.model, _PROMPT))

    def step(self, token: int) -> float:
        """Seconds in llama_decode for one more token on both streams."""
        before = self._lockstep.decode_s
        self._lockstep.advance([token])
        return self._lockstep.decode_s - before

    def surprises(self, number: int) -> NDArray[np.float64]:
        """-log p in nats of each token of a piece but the first, float64 (tokens - 1,)."""
        if number not in self._surprises:
            first, *tokens = self.pieces[number]
            blocks = teacher_forced(self._lockstep, {0: [first]}, tokens)
            rows = (row for (row,) in chain.from_iterable(blocks))
            found = [-log_softmax(row)[token] for row, token in zip(rows, tokens, strict=True)]
            self._surprises[number] = np.array(found, np.float64)
        return self._surprises[number]


def _speed(present: _Format, other: _Format, on_progress: Callable[[int], object]) -> float:
    """The median, over pairs of steps, of how many times as fast the other is."""
    for each in (present, other):
        each.begin_steps()
    ratios: list[float] = []
    spent = 0.0
    for number in range(-_WARM_UP, _STEPS):
        if number >= _FEWEST_STEPS and spent > _LONGEST_S:
            break
        # Who begins changes from pair to pair: what the first leaves in caches slows the second.
        order = (present, other) if number % 2 else (other, present)
        took = {each: each.step(number + _WARM_UP) for each in order}
        spent += sum(took.values())
        if number >= 0:
            ratios.append(took[present] / took[other])
            on_progress(number + 1)
    return statistics.median(ratios)


def _measured(speed: float, differences: NDArray[np.float64]) -> Measured:
    """differences: of the surprises, token by token, in nats."""
    if not np.isfinite(differences).all():  # no number came out of a file that is broken
        return Measured(speed, math.exp(_BROKEN), 0.0)
    more = float(differences.mean())
    error = float(differences.std()) / math.sqrt(len(differences))
    return Measured(speed, math.exp(min(_BROKEN, more)), min(1.0, 2 * error))
