"""A fetch on the command line: how far it is, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from amulet_local.cli.output import console
from models.fetch import Progress as Fetched
from models.fetch import Stage


class _Watch:
    """Shows a fetch on standard error: a bar on a terminal, else a line as it begins."""

    def __init__(self, name: str, console: Console, bar: Progress) -> None:
        self._name = name
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", visible=False)
        self.stage: Stage | None = None

    def __call__(self, progress: Fetched) -> None:
        if self.stage is None and not self._console.is_terminal:
            size = f" ({decimal(progress.total)})" if progress.total else ""  # not all servers say
            self._console.print(f"Fetching {self._name}{size}")
        self.stage = progress.stage
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=progress.done,
            total=progress.total,
            visible=True,
        )


@contextmanager
def watching(name: str, *, quiet: bool) -> Iterator[_Watch]:
    """A bar for one fetch, by the name of what is fetched; `quiet` shows nothing."""
    shown = console(stderr=True, quiet=quiet)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    hidden = quiet or not shown.is_terminal
    with Progress(*columns, console=shown, transient=True, disable=hidden) as bar:
        yield _Watch(name, shown, bar)
