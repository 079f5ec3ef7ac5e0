"""One line that is asked for: a title, a path. What is wrong with it is said below it.

What is to be done with the line is a function, which runs on a thread while the form stays; so a
line that fails can be mended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from amulet_local.errors import AmuletError
from amulet_local.system import paths
from tui.actions import LINE, bindings, shown_key
from tui.markdown.sanitising import clean, sentence
from tui.screens.dialog import Dialog
from tui.system.completion import propose_path
from tui.unexpected import as_sentences
from tui.widgets.fields import Line

T = TypeVar("T")


class Unsure(Exception):  # noqa: N818
    """No error but a question; Enter, pressed once more, says yes to it."""


class LineForm(Dialog[T | None], Generic[T]):
    """Dismissed with what `act` returns for the line, or None.

    suggester: proposes how to go on. at_once: do it with the line as it is, and stay only if that
    fails. act: gets the line, and whether the user has said yes to the question that it raised as
    Unsure. What it raises as AmuletError is shown.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(LINE)

    class Told(Message):
        """The line cannot be taken as it is; why."""

        def __init__(self, text: str, asked: str = "") -> None:
            super().__init__()
            self.text, self.asked = text, asked

    class Done(Message):
        """The line was taken."""

        def __init__(self, result: Any) -> None:
            super().__init__()
            self.result = result

    def __init__(
        self,
        title: str,
        line: str,
        hint: str,
        act: Callable[[str, bool], T],
        suggester: Suggester | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        super().__init__()
        self._title, self._hint, self._act = title, hint, act
        self._input = Line(line, suggester=suggester, select_on_focus=False)
        self._at_once = at_once
        self._told_of = ""  # the line that something is said about
        self._asked = ""  # the line that Unsure was about

    def compose(self) -> ComposeResult:
        """The line, and what there is to say."""
        with Vertical(id="line"):
            yield self._input
            yield Static(id="told")

    def on_mount(self) -> None:
        """Name the keys."""
        form = self.query_one("#line")
        form.border_title = Content(clean(self._title))
        form.border_subtitle = f"enter confirms · {shown_key(self.app, LINE, 'close')} cancels"
        self._say(self._hint)
        if self._at_once:
            self._submit()

    @on(Input.Changed)
    def _begin_anew(self, message: Input.Changed) -> None:
        if message.value.strip() != self._told_of:
            self._told_of = self._asked = ""
            self._say(self._hint)

    @on(Input.Submitted)
    def _submit(self) -> None:
        if line := self._input.value.strip():
            self._told_of = line
            self._do(line, line == self._asked)

    @work(thread=True, exclusive=True)
    def _do(self, line: str, sure: bool) -> None:
        try:
            with as_sentences(Unsure):
                result = self._act(line, sure)
        except Unsure as question:
            self.post_message(self.Told(str(question), line))
        except AmuletError as error:
            self.post_message(self.Told(str(error)))
        else:
            self.post_message(self.Done(result))

    @on(Told)
    def _mend(self, message: Told) -> None:
        self._asked = message.asked
        self._say(f"! {sentence(message.text)}", "serious")

    @on(Done)
    def _end(self, message: Done) -> None:
        self.dismiss(message.result)

    def _say(self, text: str, classes: str = "") -> None:
        told = self.query_one("#told", Static)
        told.set_classes(classes)
        told.display = bool(text)
        told.update(Content(clean(text)))

    def action_complete(self) -> None:
        """Take what is proposed."""
        self._input.action_end()
        self._input.action_cursor_right()

    def action_close(self) -> None:
        """Leave it as it is."""
        self.dismiss(None)


class Paths(Suggester):
    """Proposes files and folders. suffix: that files must have."""

    def __init__(self, suffix: str = "") -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suffix = suffix

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, if there is one to go on to."""
        return propose_path(value, paths.current_folder(), self._suffix) or None
