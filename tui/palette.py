"""Every command by its words: the registry of actions, for Textual's command palette."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.message import Message
from textual.widgets import Input, OptionList

from tui.actions import APP, Action, shown_keys

_NOT_LISTED = ("interrupt", "command_palette", "settle")


class Palette(CommandPalette):
    """Textual's, which is left once, as any Dialog is."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Leave it, with what was chosen."""
        return super().dismiss(result) if self.is_active else AwaitComplete()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _choose_once(self, event: Message) -> None:
        """What is chosen when it has been left would be done another time."""
        if not self.is_active:
            event.prevent_default()


class ActionProvider(Provider):
    """What can be done on this screen, if it says so in ACTIONS, and in the app."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in self._actions():
            yield DiscoveryHit(action.help, partial(self._do, action), help=self._ways(action))

    async def search(self, query: str) -> Hits:
        """Those whose words fit."""
        matcher = self.matcher(query)
        for action in self._actions():
            if score := matcher.match(f"{action.help} {action.command}"):
                text = matcher.highlight(action.help)
                yield Hit(score, text, partial(self._do, action), help=self._ways(action))

    def _actions(self) -> Iterator[Action]:
        for action in (*getattr(self.screen, "ACTIONS", ()), *APP):
            method = f"action_{action.name.removeprefix('screen.').split('(')[0]}"
            known = hasattr(self.screen, method) or hasattr(self.app, method)
            if known and action.name not in _NOT_LISTED:
                yield action

    def _ways(self, action: Action) -> str:
        ways = shown_keys(self.app, action)
        return "  ".join([*ways, f"/{action.command}"] if action.command else ways)

    async def _do(self, action: Action) -> None:
        name = action.name.removeprefix("screen.")
        on_screen = hasattr(self.screen, f"action_{name.split('(')[0]}")
        await self.app.run_action(name, self.screen if on_screen else self.app)
