"""`amulet models quantize`: which quantisation of a model suits this machine, measured here, or a
copy in one; and what `pull` and `info` say of it.

Copies are made from the most precise file of the model that is on this disk.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.filesize import decimal

from amulet_local.cli.output import confirmed, console, say, write
from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import Offload, estimate_offload, free_memory
from amulet_local.settings import load_settings
from amulet_local.system import paths
from models import library
from models.cards import ModelCard, require_chat_model
from models.memory import estimate
from models.quantisation import quantise, rounded_twice

if TYPE_CHECKING:
    from models.fetch import OnProgress
    from models.format_trial import Outlook, Trial


def copied(path: Path, type_: str, *, quiet: bool) -> Path:
    """Write a model in a type that was asked for. Raises as `quantise` does."""
    from models.sources import best_source

    card = _chat_model(path)
    source = best_source(card, _cards(load_settings(say).engine))
    if source is not card:
        say(f"the copy is made from {source.path.name}, the most precise file of this model here.")
    if twice := rounded_twice(source, type_):
        say(f"{source.path.name}: {twice}.")
    return _write(source.path, type_, quiet=quiet)


def tried(path: Path, *, yes: bool = False, as_json: bool = False) -> dict[str, Any]:
    """Measure what other formats of a model come to, tell it, and write what is worth it where
    the user agrees; what there is to tell, for JSON. Raises as `format_trial.run` does."""
    from models import format_trial

    options = load_settings(say).engine
    promised = _outlook(_chat_model(path), options)
    if not promised:
        if not as_json:
            write(f"No other format of {path.name} is known to be faster here.\n")
        return {"path": as_text(path), "tried": [], "best": None, "written": None}
    with _bar(quiet=as_json) as on_progress:
        trial = format_trial.run(promised, options, on_progress)
    written = _offered(path, trial, yes=yes, as_json=as_json)
    return {
        "path": as_text(path),
        "source": trial.source,
        "tried": [
            {**msgspec.structs.asdict(each), "worth_it": each.is_worth_it} for each in trial.tried
        ],
        "best": trial.best.type if trial.best else None,
        "written": as_text(written) if written else None,
    }


def offer(path: Path) -> None:
    """The same behind a fetch, once for a model, and only where a format may be faster and good
    enough; what prevents it is no reason to fail."""
    from models.inspection import inspect

    try:
        promised = _outlook(inspect(path), load_settings(say).engine)
        if promised and promised.is_promising and not promised.trial:
            write(f"{promised.sentence}; measuring it (Ctrl+C stops that).\n")
            tried(path)
    except AmuletError as error:
        say(str(error))
    except KeyboardInterrupt:
        say(f"stopped; to measure it later: {_command(path)}")


def hint(card: ModelCard, placing: Offload, options: LoadOptions) -> str:
    """What is known of other formats of a model, and the command for more; "" for nothing."""
    from models import format_trial

    try:
        others = _cards(options)
    except NotUsableError:  # a folder that nobody needs for a file with a path
        return ""
    promised = format_trial.outlook(card, placing, others, options)
    if not promised:
        return ""
    if not promised.trial:
        return f"{promised.sentence}; to measure it: {_command(card.path)}"
    return f"{promised.sentence}{_what_to_do(card.path, promised.trial)}"


def can_ask() -> bool:
    """Whether somebody sees a bar, and can answer."""
    return sys.stdin.isatty() and console(stderr=True).is_terminal


def _outlook(card: ModelCard, options: LoadOptions) -> Outlook | None:
    from models import format_trial

    devices = library.usable_devices(options)
    placing = estimate_offload(estimate(card, options), options, devices, free_memory())
    return format_trial.outlook(card, placing, _cards(options), options)


def _chat_model(path: Path) -> ModelCard:
    from models.inspection import inspect

    card = inspect(path)
    require_chat_model(card)
    return card


def _cards(options: LoadOptions) -> list[ModelCard]:
    return [model.card for model in library.listing(options=options).models]


def _offered(path: Path, trial: Trial, *, yes: bool, as_json: bool) -> Path | None:
    """The copy that was written because it is worth it, and wanted."""
    best, copy = trial.best, trial.copy
    if not as_json:
        write(f"{trial.sentence}\n")
    if best and copy and not paths.exists(copy):
        asks = not yes and not as_json and can_ask()
        if yes or (asks and confirmed(f"Write the {best.type.upper()} copy?")):
            return _write(from_text(trial.source), best.type, quiet=as_json)
    if not as_json and (more := _what_to_do(path, trial)):
        write(f"{more.strip()}\n")
    return None


def _what_to_do(path: Path, trial: Trial) -> str:
    """Behind the sentence about a trial; "" where nothing is worth it."""
    best, copy = trial.best, trial.copy
    if not best or not copy:
        return ""
    if paths.exists(copy):
        return f" It is here: {copy}"
    return f" To write it: {_command(path)} --type {best.type}"


def _command(path: Path) -> str:
    return f"amulet models quantize {shlex.quote(as_text(path))}"


def _write(source: Path, type_: str, *, quiet: bool) -> Path:
    from models.fetch import Progress

    with _bar(quiet=quiet) as on_progress:
        target = quantise(
            source, type_, lambda done, total: on_progress(Progress("writing", done, total, type_))
        )
    if not quiet:
        write(f"Wrote {target} ({decimal(target.stat().st_size)})\n")
    return target


@contextmanager
def _bar(*, quiet: bool) -> Iterator[OnProgress]:
    """How far a copy is, on terminals only."""
    from rich.progress import BarColumn, Progress, TextColumn

    from models.fetch import Progress as Fetched

    shown = console(stderr=True, quiet=quiet)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Fetched) -> None:
            what = f"{progress.stage} {progress.type.upper()}"
            bar.update(task, description=what, completed=progress.done, total=progress.total)

        yield show
