"""The app around the screens: what ends it, and what happens when it ends.

`run_chat` is what the command line calls. Whatever ends the app (a key, a signal, an error), the
terminal is given back whole and the engine's process is closed.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic
from types import MappingProxyType
from typing import ClassVar

from rich.console import RenderableType
from textual import constants, events, work
from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.events import Callback
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.theme import ThemeProvider
from textual.widgets import Input, TextArea

from amulet_local.chats.history import History, history_file
from amulet_local.engine.client import EngineHandle, EngineProcess
from amulet_local.errors import AmuletError
from amulet_local.presets.mixing import Chosen, Together
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.template_process import the_process
from amulet_local.protocol.loading import LoadOptions
from amulet_local.safe_text import clean
from amulet_local.settings import load_settings
from amulet_local.system.heap import give_back_large_blocks
from amulet_local.unexpected import told
from tui.actions import APP, QUIT, bindings, key_problems, keys_of
from tui.gate import Gate
from tui.markdown.sanitising import sentence
from tui.palette import ActionProvider, Palette
from tui.screens.chat import ChatScreen
from tui.screens.help import HelpScreen
from tui.session.better_model import last_model
from tui.session.model_store import ModelStore, needs_of
from tui.session.session import Session
from tui.session.steering import FaderChoice, SteeringChoice
from tui.stylesheet import ParsedOnce
from tui.system.clipboard import copy
from tui.system.garbage import LOOK_S, Leftovers, collect_rarely, forget_drawn
from tui.system.links import open_address, openable
from tui.system.signals import Ending, exiting
from tui.themes import DARK, OWN, first_theme, remember
from tui.unexpected import met, survive

_PATIENCE_S = 2.0
_FORGET_S = 30.0

survive()


def run_chat(
    model: str,
    faders: Sequence[Chosen],
    together: Together,
    strength: float | None,
    options: LoadOptions,
    thinking: bool | None = None,
    *,
    temporary: bool = False,
) -> int:
    """Open the chat and return its exit code. "" is the model that was chosen last, else the
    default one. faders, together: preferences to begin with; at this strength, if there is one.
    thinking: whether replies begin with a thought, None for what is
    set. temporary: begin with a chat that is never stored.

    Raises NotUsableError where config.toml is not valid, AmuletError where the app has failed.
    """
    notices: list[str] = []
    settings, presets = load_settings(notices.append), load_presets()
    steering = SteeringChoice.to_mix([FaderChoice.of(each, "") for each in faders], together)
    steering = steering.at(strength) if faders and strength is not None else steering
    notices += [*presets.problems, *key_problems(settings.keys)]
    collect_rarely()
    give_back_large_blocks()
    engine = EngineProcess(needs_of)
    with History(history_file(), unkept=True, in_turn=True) as history:
        notices += [history.notice] if history.notice else []
        session = Session(engine, history, settings, options, steering, temporary=temporary)
        if thinking is not None:
            session.think(thinking)
        with exiting():
            theme = first_theme(settings.theme)
        model = model or last_model()
        app = AmuletApp(session, engine, ModelStore(), model, notices, settings.keys, theme)

        def give_up() -> None:
            engine.kill()
            the_process.kill()
            app.give_back_terminal()

        ending = Ending(app.leave, give_up)
        ending.on_signals()
        app.on_exit, app.on_quit_key = ending.begin, ending.asked
        try:
            app.run()
        finally:
            ending.begin(app.return_code or 0)
            session.replies.end()  # before the engine, for which there may be no time
            if lost := history.close():
                lost = f"{lost} {session.unsaved.rescue(session.chat)}".rstrip()
            engine.close()
    if app.failure or lost:
        raise AmuletError(app.failure or lost)
    return app.return_code or 0


class AmuletApp(App[None]):
    """One chat screen, and how to leave it. notices: sentences to begin with.

    failure: what to tell the user where an error of our own has ended it. on_exit: hears that the
    end begins, and with which code. on_quit_key: hears, on another thread, that the key to quit was
    pressed; the event is set once the app has come to it.
    """

    TITLE = "Amulet"
    CSS_PATH = ["styles/app.tcss", "styles/chats.tcss", "styles/heat.tcss"]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {ActionProvider}
    COMMAND_PALETTE_BINDING = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-roomy"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (26, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = bindings(APP, first=True)

    def __init__(
        self,
        session: Session,
        engine: EngineHandle,
        model_store: ModelStore,
        model: str = "",
        notices: Sequence[str] = (),
        keys: Mapping[str, str] = MappingProxyType({}),
        theme: str = DARK.name,
    ) -> None:
        super().__init__()
        self.own_keys = dict(keys)
        self.set_keymap(self.own_keys)
        self._quit_keys = keys_of(QUIT, self.own_keys)
        for own in OWN:
            self.register_theme(own)
        self.theme = theme
        self.stylesheet = ParsedOnce(variables=self.get_css_variables())
        self._chat = ChatScreen(session, engine, model_store, model, notices)
        self._gate, self._leftovers = Gate(), Leftovers()
        self._quit_asked_at = -_PATIENCE_S
        self._begun = False
        self._told_at: dict[tuple[type, str], float] = {}  # errors by their place, when last told
        self.on_exit: Callable[[int], None] = lambda _code: None
        self.on_quit_key: Callable[[Event], None] = lambda _heard: None
        self.failure = ""

    def get_default_screen(self) -> ChatScreen:
        """The chat."""
        return self._chat

    def on_mount(self) -> None:
        """What is chosen is kept; what was drawn is drawn again after a shell was there."""
        self.theme_changed_signal.subscribe(self, lambda theme: remember(theme.name))
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        self.set_interval(_FORGET_S, forget_drawn)
        self.set_interval(LOOK_S, self._leftovers.look)

    def on_ready(self) -> None:
        """From here on, the chat is there to go on with, whatever fails."""
        self._begun = True

    def get_driver_class(self) -> type[Driver]:
        """How the terminal is used; TEXTUAL_DRIVER counts first, as with any app of Textual's."""
        if sys.platform == "win32" or constants.DRIVER:
            return super().get_driver_class()
        from tui.system.terminal import SteadyDriver

        return SteadyDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line that is drawn goes through."""
        return [*super().get_line_filters(), self._gate]

    def copy_to_clipboard(self, text: str) -> None:
        """By the terminal's own clipboard: all that widgets of Textual's copy, too."""
        super().copy_to_clipboard(clean(text))

    def exit(
        self,
        result: None = None,
        return_code: int = 0,
        message: RenderableType | None = None,
    ) -> None:
        """End, within a bounded time."""
        self.on_exit(return_code)
        super().exit(result, return_code, message)

    def leave(self, code: int) -> bool:
        """End with this exit code; for other threads. False where there is nothing yet to bring to
        an end. Raises RuntimeError where it has ended."""
        if self._loop and self._begun:
            self._loop.call_soon_threadsafe(lambda: self.exit(return_code=code))
        return self._begun

    def typed(self, key: str) -> None:
        """A key was typed, told by the thread that reads them once it has passed it on, whatever
        the main one is at."""
        if key in self._quit_keys and (loop := self._loop):
            heard = Event()
            self.on_quit_key(heard)
            behind_it = self._post_message(Callback(heard.set))
            with suppress(RuntimeError):  # the loop has ended, and the app with it
                asyncio.run_coroutine_threadsafe(behind_it, loop)

    def give_back_terminal(self) -> None:
        """Have the terminal as it was, at once, whatever the app is at; for other threads."""
        if give_back := getattr(self._driver, "give_back", None):
            give_back()

    async def on_event(self, event: events.Event) -> None:
        """See App. What is pasted while another window is in front (by a program that dictates, or
        through tmux) is for what had the focus, as keys are; it was for nothing. A click outside of
        the screen, as while the terminal grows, takes the focus from nothing."""
        if isinstance(event, events.MouseEvent) and not self.size.contains(event.x, event.y):
            return
        if isinstance(event, events.Paste) and not self.app_focus:
            self.app_focus = True
        await super().on_event(event)

    def action_suspend(self) -> None:
        """Ctrl+Z: back to the shell, until its `fg`. The engine goes on meanwhile."""
        if sys.platform != "win32" and self._driver and self._driver.can_suspend:
            from tui.system.terminal import can_return

            if can_return():
                self.action_suspend_process()
                return
        self.notify("This app was not started from a shell, so it cannot be suspended.")

    def action_interrupt(self) -> None:
        """Ctrl+C: copy, or stop, or (twice) quit."""
        if self._copy():
            return
        if self._chat.busy:
            self._chat.action_stop()
            return
        now = monotonic()
        if now - self._quit_asked_at < _PATIENCE_S:
            self.exit()
            return
        self._quit_asked_at = now
        self.notify("Press Ctrl+C again to quit.", timeout=_PATIENCE_S)

    def action_help(self) -> None:
        """All keys and commands, or back from them."""
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        else:
            self.push_screen(HelpScreen())

    def action_open_address(self, address: str) -> None:
        """Open a link that is pointed at, and say which; what may not be opened, never is."""
        if openable(address):
            self.notify(f"Opening {address}", timeout=_PATIENCE_S)
            self._open_address(address)
        else:
            self.notify(f"Only web and mail links can be opened from here, not {address}")

    @work(thread=True, group="address")
    def _open_address(self, address: str) -> None:
        if not open_address(address):
            self.call_from_thread(self._give_address, address)

    def _give_address(self, address: str) -> None:
        """Where no browser is, as on a machine far away."""
        copy(self, address)
        self.notify(f"No browser is available here; the address has been copied: {address}")

    def action_command_palette(self) -> None:
        """All commands by their words."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_choose_theme(self) -> None:
        """Choose how it looks, from a list that shows each."""
        self.push_screen(Palette([ThemeProvider], placeholder="Search for themes…"))

    def command_choose_theme(self, name: str) -> None:
        """Have it look like the theme of this name."""
        if name in self.available_themes:
            self.theme = name
        else:
            self.notify(f"There is no theme called {name}; /theme lists them.", severity="warning")

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Tell something; never read as markup, whatever Textual's widgets ask for, since names
        of files and chats are told."""
        super().notify(
            clean(message), title=title, severity=severity, timeout=timeout, markup=False
        )

    def _copy(self) -> bool:
        """Copy what is selected, if anything is."""
        focused = self.focused
        text = focused.selected_text if isinstance(focused, Input | TextArea) else ""
        text = text or self.screen.get_selected_text() or ""
        if text:
            copy(self, text)
            self.screen.clear_selection()
            self.notify("Copied.", timeout=_PATIENCE_S)
        return bool(text)

    def _handle_exception(self, error: Exception) -> None:
        """In place of Textual's end with a traceback: one sentence, and the app stays. Only where
        it has not come as far as the chat, it ends, with the sentence."""
        if self._exception is None:  # tests fail by it when the app has ended
            self._exception = error
            self._exception_event.set()
        cause = met(error)
        if not self._begun:
            self.failure = told(cause)
            self._return_code = 1
            self.panic()
            return
        where = (type(cause), str(traceback.extract_tb(cause.__traceback__)[-1:]))
        now = monotonic()
        if now - self._told_at.get(where, -inf) < self.NOTIFICATION_TIMEOUT:
            return  # as a timer would go on to tell it
        self._told_at[where] = now
        self.notify(sentence(told(cause)), severity="error")
