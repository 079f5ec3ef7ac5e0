"""The chat: puts the session, the engine's events and the widgets together.

Everything that happens goes through `_show`: the user's acts and the engine's events become Changes
of the session, and each Change has its place on the screen.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen

from amulet_local.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.presets import load_presets
from amulet_local.protocol import Event
from amulet_local.realignment import BASE
from tui.actions import CHAT, bindings, shown_key
from tui.changes import (
    Asked,
    Began,
    Change,
    ChosenModel,
    Ended,
    Noticed,
    Steering,
    TakenBack,
    Unusable,
    Wrote,
)
from tui.screens.help import HelpScreen
from tui.screens.picker import Choice, PresetPicker
from tui.session import Session
from tui.shelf import Shelf
from tui.widgets.dial import Dial
from tui.widgets.keys import KeyLine
from tui.widgets.offer import Offer
from tui.widgets.prompt import Prompt
from tui.widgets.status import StatusLine
from tui.widgets.steering import SteeringPanel
from tui.widgets.transcript import Transcript

_POLLS_PER_S = 16


class ChatScreen(Screen[None]):
    """One chat. model: a name or path, "" for the default. notices: sentences to begin with."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHAT, first=True)

    class ModelFound(Message):
        """There is a model to load."""

        def __init__(self, model: ChosenModel) -> None:
            super().__init__()
            self.model = model

    class ModelMissing(Message):
        """There is none; why."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(
        self,
        session: Session,
        engine: EngineHandle,
        shelf: Shelf,
        model: str,
        notices: Sequence[str],
    ) -> None:
        super().__init__()
        self.session = session
        self._events, self._shelf, self._model = engine.events, shelf, model
        self._notices = notices
        self._keys_shown = (False, False, False)
        self._transcript, self._offer, self._prompt = Transcript(), Offer(shelf), Prompt()

    def compose(self) -> ComposeResult:
        """The chat and the message being written, how it is steered, how things stand."""
        with Container(id="room"):
            with Vertical(id="talk"):
                yield self._transcript
                yield self._offer
                yield self._prompt
            yield SteeringPanel()
        yield StatusLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Be ready to write at once; the model comes behind."""
        self._more_below = f"↓ there is more below · {shown_key(self.app, CHAT, 'newest')}"
        self.set_focus(self._prompt)
        self._show(Noticed(notice) for notice in self._notices)
        self._find(self._model)
        self.set_interval(1 / _POLLS_PER_S, self.poll)

    # -- what happens, and how it shows -------------------------------------------------------

    def poll(self) -> None:
        """Take in what the engine said since, and draw it in one go."""
        if self.session.replying or not self._events.empty():
            events = _drain(self._events)
            self._show(change for event in events for change in self.session.take(event))
            self._transcript.draw()
        self._prompt.say("" if self._transcript.following else self._more_below)

    def _show(self, changes: Iterable[Change] = ()) -> None:
        """Show what changes, and how things stand after it."""
        for change in changes:
            match change:
                case Asked():
                    self._transcript.ask(change)
                case Began():
                    self._transcript.begin(change.id)
                case Wrote():
                    self._transcript.write(change.id, change.text)
                case Ended():
                    self._transcript.end(change)
                case TakenBack():
                    self._transcript.take_back(change.id)
                    self._prompt.give_back(change.text)
                case Noticed():
                    self._transcript.notice(change.text, serious=change.serious)
                case Unusable():
                    self._offer.show(change.text)
        pending = self.session.replying not in (None, self.session.steering)
        self.query_one(SteeringPanel).show(self.session.steering, pending=pending)
        self.query_one(StatusLine).status = self.session.status
        doing = (self.busy, self._offer.display, self._offer.fetching)
        if doing != self._keys_shown:
            self._keys_shown = doing
            self.refresh_bindings()

    # -- the model ----------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _find(self, name: str) -> None:
        try:
            self.post_message(self.ModelFound(self._shelf.find(name)))
        except AmuletError as error:
            self.post_message(self.ModelMissing(str(error)))

    @on(ModelFound)
    def _load(self, message: ModelFound) -> None:
        self._offer.hide()
        self._show(self.session.load(message.model))

    @on(ModelMissing)
    @on(Offer.Ended)
    def _offer_model(self, message: ModelMissing | Offer.Ended) -> None:
        self._show([Unusable(message.reason)])

    @on(Offer.Fetched)
    def _find_fetched(self) -> None:
        self._find("")

    # -- what the user does -------------------------------------------------------------------

    @on(Prompt.Sent)
    def _send(self, message: Prompt.Sent) -> None:
        self._show(self.session.ask(message.text))

    @on(Dial.Moved)
    def _set_strength(self, message: Dial.Moved) -> None:
        self.session.steering = replace(self.session.steering, strength=message.strength)
        self._show()

    @on(Dial.Left)
    def _write_on(self) -> None:
        self.set_focus(self._prompt)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Leave out of the footer what there is nothing to do for."""
        if action in ("stop", "settle"):
            return self.busy == (action == "stop")
        if action == "fetch":
            return self._offer.display and not self._offer.fetching
        return True

    @property
    def busy(self) -> bool:
        """Whether there is something to stop."""
        return bool(self.session.replying or self.session.waiting or self._offer.fetching)

    def action_fetch(self) -> None:
        """Fetch the default model."""
        self._offer.accept()
        self._show()

    def action_pick_preset(self) -> None:
        """Choose a preset; files may have changed, so they are read anew."""
        self.app.push_screen(
            PresetPicker(load_presets(), self.session.steering.preset), self._steer
        )

    def _steer(self, choice: Choice | None) -> None:
        if choice:
            preset = choice.preset
            self.session.steering = Steering(preset, preset.strength if preset else BASE)
            self._show()

    def action_steer(self) -> None:
        """To the dial and back."""
        dial = self.query_one(Dial)
        if dial.disabled:
            self.notify("Choose a preset first: the dial says how strongly it is followed.")
        self.set_focus(self._prompt if dial.has_focus or dial.disabled else dial)

    def action_stop(self) -> None:
        """Stop what is under way."""
        self._offer.cancel()
        self._show(self.session.stop())

    def action_settle(self) -> None:
        """Where one writes, with the newest text in sight."""
        self.set_focus(self._prompt)
        self._transcript.follow()

    def action_new_chat(self) -> None:
        """Leave this chat and begin another."""
        self.session.clear()
        self._transcript.clear()
        self.set_focus(self._prompt)
        self._show()

    def action_help(self) -> None:
        """What the keys do."""
        self.app.push_screen(HelpScreen())

    def action_page(self, direction: int) -> None:
        """Scroll through the chat."""
        self._transcript.page(direction)

    def action_newest(self) -> None:
        """Follow the newest text."""
        self._transcript.follow()


def _drain(events: queue.SimpleQueue[Event]) -> Iterator[Event]:
    """What is in the queue now."""
    while True:
        try:
            yield events.get_nowait()
        except queue.Empty:
            return
