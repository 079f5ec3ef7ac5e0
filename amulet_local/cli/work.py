"""Long work on the command line: a bar with the time left, on standard error."""

from __future__ import annotations

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from amulet_local.cli.output import console
from amulet_local.evaluation.records import Skipped


class WorkBar:
    """Watches an evaluation (see evaluate.Observer) and remembers what it skipped. A context
    manager; on terminals only is anything shown."""

    def __init__(self) -> None:
        self.skips: list[Skipped] = []
        shown = console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:10}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True),
            console=shown,
            disable=not shown.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> WorkBar:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def begin(self, what: str, rows: float) -> None:
        """A stage of so many rows begins."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=max(rows, 1.0))

    def done(self, rows: float) -> None:
        """So many rows are done."""
        if self._task is not None:
            self._progress.advance(self._task, rows)

    def skipped(self, skipped: Skipped) -> None:
        """Something could not be done."""
        self.skips.append(skipped)
