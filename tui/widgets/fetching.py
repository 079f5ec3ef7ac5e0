"""A model on its way to this disk, in one line, while the chat goes on: fetched, written anew, or
only measured in other formats.

The work runs on a thread, which tells of its progress in messages and stops when asked to; the
screen learns of its end by Arrived, Measured or Ended. A fetch that is cut short goes on from there
the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.filesize import decimal
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ProgressBar, Static
from textual.worker import get_current_worker

from amulet_local.errors import AmuletError
from amulet_local.path_text import as_text
from tui.markdown.sanitising import clean, sentence
from tui.unexpected import as_sentences

if TYPE_CHECKING:
    from models.fetch import Progress
    from models.format_trial import Trial
    from models.pull import Pulled

Bring = Callable[["Callable[[Progress], object]", Callable[[], bool]], "Pulled | Trial"]

_STOP = "/pull stop cancels"


class Progressed(Message):
    """So much of a model is here; told by the widget that fetches it."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def can_replace(self, message: Message) -> bool:
        """Only the latest counts."""
        return isinstance(message, Progressed)


class FetchLine(Widget):
    """Shown while a model comes. what: its name, or where it is."""

    class Arrived(Message):
        """It is here, under a name, as a file."""

        def __init__(self, name: str, path: str) -> None:
            super().__init__()
            self.name, self.path = name, path

    class Measured(Message):
        """What other formats of it came to."""

        def __init__(self, trial: Trial) -> None:
            super().__init__()
            self.trial = trial

    class Ended(Message):
        """It is not; why."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(self) -> None:
        super().__init__()
        self.what = ""
        self._stopping = False
        self.display = False

    def compose(self) -> ComposeResult:
        """What, and how far."""
        yield Static(id="what")
        yield ProgressBar(total=1, show_eta=False)  # without a total it moves, even out of sight

    def begin(self, what: str, bring: Bring) -> bool:
        """Have it brought by `bring`, which blocks; False where another one is on its way."""
        if self.display:
            return False
        self.what, self.display, self._stopping = what, True, False
        self._say("starting")
        self.query_one(ProgressBar).update(total=None)
        self._work(bring)
        return True

    def cancel(self) -> None:
        """Stop it; Ended follows."""
        self._stopping = True
        self._say("stopping")
        self.workers.cancel_node(self)

    def on_click(self) -> None:
        """Stop it by the mouse."""
        self.cancel()

    def _say(self, how_far: str) -> None:
        key = "" if self._stopping else f" · {_STOP}"
        self.query_one("#what", Static).update(Content(f"↓ {clean(self.what)}: {how_far}{key}"))

    @work(thread=True, exclusive=True)
    def _work(self, bring: Bring) -> None:
        worker = get_current_worker()
        try:
            with as_sentences():
                brought = bring(
                    lambda progress: self.post_message(Progressed(progress)),
                    lambda: worker.is_cancelled,
                )
        except AmuletError as error:
            self.post_message(self.Ended(sentence(str(error))))
            return
        from models.format_trial import Trial  # which has been imported if it is one

        if isinstance(brought, Trial):
            self.post_message(self.Measured(brought))
        else:
            self.post_message(self.Arrived(brought.name, as_text(brought.path)))

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        progress = message.progress
        if self._stopping:  # which is told; this was on its way
            return
        self.query_one(ProgressBar).update(total=progress.total or None, progress=progress.done)
        if progress.stage == "writing":
            self._say(f"{progress.done:,} of {progress.total:,} tensors")
            return
        if progress.stage == "measuring":
            percent = 100 * progress.done // max(1, progress.total)
            self._say(f"{progress.type.upper()} measured {percent}%")
            return
        of = f" of {decimal(progress.total)}" if progress.total else ""
        stage = "" if progress.stage == "fetching" else f"{progress.stage} "
        self._say(f"{stage}{decimal(progress.done)}{of}")

    @on(Arrived)
    @on(Measured)
    @on(Ended)
    def _hide(self) -> None:
        self.display = False
        self.query_one(ProgressBar).update(total=1, progress=0)
