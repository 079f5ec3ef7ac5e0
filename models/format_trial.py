"""Which format of a model is the right one for this machine: measured here, and kept.

A model goes in, with the types that are worth trying (quantisation.worth_trying); how many times as
fast a copy in each would be in lockstep, and at how much more perplexity, comes out. Each copy is
made from the most precise file of the model (sources.py), measured beside the file that is there
(amulet_local/bench/formats.py), and removed again; all of it in a process of its own.

    python -m models.format_trial FILE SOURCE OPTIONS TYPE...     tells how far it is (apart.py)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec.structs import replace

from amulet_local.errors import NotUsableError
from amulet_local.files import read_json, write_whole
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import Offload, free_memory
from amulet_local.settings import autotune_folder, format_trial_file
from amulet_local.system import paths
from models.apart import run_apart, tell
from models.cards import ModelCard
from models.fetch import OnProgress, Progress, Stage
from models.memory import estimate
from models.quantisation import passing_copy, rounded_twice, target_of, worth_trying

if TYPE_CHECKING:
    from amulet_local.bench.formats import Measured

LEAST_SPEED = 1.2  # a fifth faster
MOST_PERPLEXITY = 1.01  # one percent more
_SURE = 1.5  # margins, of two standard errors each, from which on more text would change nothing
_CONTEXT = 512  # tokens, which is enough to measure with
_MOST_BYTES = 1 << 16

_Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1e6)]


class Tried(msgspec.Struct, frozen=True):
    """A type, and what a copy in it came to beside the model's own file.

    speed: steps in lockstep in the time of one. perplexity: relative, 1.01 is one percent more.
    margin: two standard errors of that.
    """

    type: str
    speed: _Ratio
    perplexity: _Ratio
    margin: _Ratio

    @property
    def is_fast(self) -> bool:
        """Whether it is fast enough to be worth some perplexity."""
        return self.speed >= LEAST_SPEED

    @property
    def is_worth_it(self) -> bool:
        """Whether it is fast enough, and good enough."""
        return self.is_fast and self.perplexity <= MOST_PERPLEXITY

    @property
    def is_settled(self) -> bool:
        """Whether more text would change nothing about that."""
        far = abs(math.log(max(self.perplexity, 1e-9) / MOST_PERPLEXITY))
        return not self.is_fast or far > _SURE * self.margin

    @property
    def cost(self) -> str:
        """Its perplexity, in words."""
        percent, margin = 100 * (self.perplexity - 1), 100 * self.margin
        return (
            f"{abs(percent):.1f}% (± {margin:.1f}) {'less' if percent < 0 else 'more'} perplexity"
        )


class Trial(msgspec.Struct, frozen=True):
    """What came of the types that were tried.

    type: of the model's file. source: the file that copies were made from. twice: that they are
    rounded twice, in words (see `rounded_twice`). told: whether the user was told of it unasked.
    """

    type: str
    source: str
    twice: str
    tried: tuple[Tried, ...]
    told: bool = False

    @property
    def best(self) -> Tried | None:
        """The first that is worth it."""
        return next((each for each in self.tried if each.is_worth_it), None)

    @property
    def copy(self) -> Path | None:
        """Where its file is, or will be."""
        return target_of(from_text(self.source), self.best.type) if self.best else None

    @property
    def sentence(self) -> str:
        """What was found, for the user."""
        twice = f"; {self.twice}" if self.twice else ""
        if best := self.best:
            return (
                f"Measured here, a {best.type.upper()} copy is {best.speed:.2f} times as fast as "
                f"{self.type} at {best.cost}, made from {from_text(self.source).name}{twice}."
            )
        found = " and ".join(
            f"{each.type.upper()} would be {each.speed:.2f} times as fast at {each.cost}"
            for each in self.tried
        )
        return f"Measured here beside {self.type}, {found}: not worth it{twice}."


@dataclass(frozen=True)
class Outlook:
    """What other formats promise a model: by measuring, else by rule of thumb.

    types: worth trying, the fastest first. source: what copies are made from. trial: what was
    found, None where nothing was measured yet.
    """

    card: ModelCard
    types: tuple[str, ...]
    source: ModelCard
    trial: Trial | None

    @property
    def is_promising(self) -> bool:
        """Whether a copy may be good enough: one whose weights are rounded to few bits for the
        second time hardly ever is."""
        return not all(rounded_twice(self.source, type_) for type_ in self.types)

    @property
    def sentence(self) -> str:
        """It in words, without its end where nothing was measured."""
        if self.trial:
            return self.trial.sentence
        types = " or ".join(type_.upper() for type_ in self.types)
        return f"On this processor a copy in {types} may be faster than {self.card.quantisation}"


def outlook(
    card: ModelCard, placing: Offload, cards: Iterable[ModelCard], options: LoadOptions
) -> Outlook | None:
    """What is known of other formats of a model; None where none is worth trying. cards: of all
    models here, for its most precise file."""
    types = worth_trying(card, placing)
    if not types:
        return None
    from models.sources import best_source  # what reads headers takes a while to import

    source = best_source(card, cards)
    trial = kept(card.path, options)
    current = trial and trial.source == as_text(source.path)
    return Outlook(card, types, source, trial if current else None)


def run(
    promised: Outlook,
    options: LoadOptions,
    on_progress: OnProgress,
    cancelled: Callable[[], bool] = lambda: False,
) -> Trial:
    """Try the types of a model that are worth it, until one is, and keep what was found.

    Blocks; nothing is left of a trial that fails or is given up. Raises UsageError where there is
    no room on the disk, NotUsableError where there is none in memory or a file cannot be measured,
    FetchCancelledError.
    """
    card, source = promised.card, promised.source
    short = replace(options, context=_CONTEXT)
    _require_memory(card, short)
    name = card.path.name
    found = run_apart(
        "models.format_trial",
        [str(card.path), str(source.path), msgspec.json.encode(short).decode(), *promised.types],
        on_progress,
        cancelled,
        stopped=f"stopped; no other format of {name} was measured.",
        crashed=f"no other format of {name} could be measured: the process crashed.",
    )
    tried = msgspec.json.decode(found, type=tuple[Tried, ...])
    twice = next(filter(None, (rounded_twice(source, each.type) for each in tried)), "")
    trial = Trial(card.quantisation, as_text(source.path), twice, tried)
    keep(card.path, options, trial)
    return trial


def kept(path: Path, options: LoadOptions) -> Trial | None:
    """What was found for a model on this machine, from a source that is still there."""
    if not paths.is_dir(autotune_folder()):  # to name a file in it takes a while
        return None
    try:
        trial = read_json(_file(path, options), _MOST_BYTES, Trial)
    except (OSError, ValueError):
        return None
    return trial if paths.is_file(from_text(trial.source)) else None


def keep(path: Path, options: LoadOptions, trial: Trial) -> None:
    """Keep it for as long as the file, the machine and llama.cpp stay the same; a full disk is no
    reason to fail."""
    with suppress(OSError):
        write_whole(_file(path, options), msgspec.json.encode(trial))


def _file(path: Path, options: LoadOptions) -> Path:
    loaded = f"{options.threads} {options.streams} {options.flash_attention} {options.kv_type}"
    return format_trial_file(as_text(path), loaded)


def _require_memory(card: ModelCard, options: LoadOptions) -> None:
    """Raises NotUsableError where two of these do not fit: a copy takes no more than the model."""
    needed, free = 2 * estimate(card, options).total, free_memory()
    if needed > free and not options.insist:
        raise NotUsableError(
            f"measuring another format of {card.path.name} needs about {needed / 1e9:.1f} GB of "
            f"memory, but only {free / 1e9:.1f} GB are free; close other programs and try again."
        )


# -- in the process -------------------------------------------------------------------------------


def try_types(
    present: Path,
    source: Path,
    types: Iterable[str],
    options: LoadOptions,
    on_progress: OnProgress,
) -> tuple[Tried, ...]:
    """Measure a copy in each type, until one is worth it; none of them is kept."""
    from amulet_local.bench.formats import Formats  # loads the native library, which is for here

    tried: list[Tried] = []
    with closing(Formats(as_text(present), options)) as formats:
        for type_ in types:

            def tell_of(stage: Stage, done: int, total: int, type_: str = type_) -> None:
                on_progress(Progress(stage, done, total, type_))

            def is_settled(measured: Measured, type_: str = type_) -> bool:
                return Tried(type_, *measured).is_settled

            with passing_copy(source, type_, partial(tell_of, "writing")) as copy:
                measured = formats.compare(as_text(copy), partial(tell_of, "measuring"), is_settled)
            tried.append(Tried(type_, *measured))
            if tried[-1].is_worth_it:
                break
    return tuple(tried)


def main() -> None:
    """Try types, and tell of it (see apart.py)."""
    present, source, options, *types = sys.argv[1:]
    tell(
        partial(
            try_types,
            Path(present),
            Path(source),
            types,
            msgspec.json.decode(options, type=LoadOptions),
        )
    )


if __name__ == "__main__":
    main()
