"""The chat: puts the session, the engine's events and the widgets together.

Everything that happens goes through `show`: the user's acts and the engine's events become Changes
of the session, and each Change has its place on the screen.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import OptionList, TextArea

from amulet_local.chats.conversation import Node
from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError, UsageError
from amulet_local.path_text import as_text
from amulet_local.protocol.messages import Event
from amulet_local.system import paths
from tui.actions import CHAT, MESSAGES, Action, bindings, commands, shown_key
from tui.completion import complete
from tui.screens.model_picker import ModelChoice, ModelPicker
from tui.screens.on_chats import OnChats
from tui.screens.on_steering import OnSteering
from tui.session import versions
from tui.session.changes import (
    BranchChanged,
    Change,
    ChosenModel,
    Ended,
    GivenBack,
    Noticed,
    Thinking,
    Unusable,
    Wrote,
)
from tui.session.model_store import Shelf
from tui.session.session import BUSY, Session
from tui.system.attachments import attach
from tui.unexpected import as_sentences
from tui.widgets.completions import Completions
from tui.widgets.fetching import Bring, FetchLine
from tui.widgets.keys import KeyLine
from tui.widgets.message import Entry
from tui.widgets.offer import Offer
from tui.widgets.prompt import Prompt
from tui.widgets.status import StatusLine
from tui.widgets.steering import SteeringPanel
from tui.widgets.title import TitleLine
from tui.widgets.transcript import Transcript

_POLLS_PER_S = 16  # while something is to be expected
_IDLE_POLLS_PER_S = 2
_DRAFT_AFTER_S = 0.5


class ChatScreen(OnChats, OnSteering):
    """One chat at a time. model: a name or path, "" for the default. notices: to begin with."""

    ACTIONS: ClassVar[Sequence[Action]] = (*CHAT, *MESSAGES)
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
        self.completions = Completions()
        self.transcript, self.prompt = Transcript(), Prompt(self.completions)
        self._events, self._model, self._notices = engine.events, model, notices
        self._keys_shown = (False, False, False)
        self._offer, self._title = Offer(shelf), TitleLine()
        self._fetching = FetchLine()
        self._shelf = shelf
        self._draft = ""
        self._often: Timer | None = None

    def compose(self) -> ComposeResult:
        """The chat and the message being written, how it is steered, how things stand."""
        yield self._title
        with Container(id="room"):
            with Vertical(id="talk"):
                yield self.transcript
                yield self._offer
                yield self._fetching
                yield self.completions
                yield self.prompt
            yield SteeringPanel()
        yield StatusLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Be ready to write at once; the model comes behind."""
        self._more_below = f"↓ there is more below · {shown_key(self.app, CHAT, 'newest')}"
        self.set_focus(self.prompt)
        self.recall()
        with suppress(AmuletError):  # which is told of when something is to be kept
            if not self.session.history.count():
                self.transcript.introduce()
        self.show([BranchChanged(), *(Noticed(notice) for notice in self._notices)])
        self._find(self._model)
        self._often = self.set_interval(1 / _POLLS_PER_S, self.poll, pause=True)
        self.set_interval(1 / _IDLE_POLLS_PER_S, self.poll)
        self.set_interval(_DRAFT_AFTER_S, self.save_draft)

    def recall(self) -> None:
        """What was typed before, in this chat and in others."""
        try:
            self.prompt.inputs = self.session.history.inputs()
            self._draft = self.session.chat.draft
        except AmuletError as error:
            self.show([Noticed(str(error), True)])
        self.prompt.write(self._draft)

    # -- what happens, and how it shows -------------------------------------------------------

    def poll(self) -> None:
        """Take in what the engine said since, and draw it in one go."""
        if self.session.replying or not self._events.empty():
            events = _drain(self._events)
            self.show(change for event in events for change in self.session.take(event))
            self.session.replies.save()
            self.transcript.draw()
        if self.editing is None:
            held = self.transcript.following or not self.session.path
            self.prompt.say("" if held else self._more_below)

    def show(self, changes: Iterable[Change] = ()) -> None:
        """Show what changes, and how things stand after it."""
        for change in changes:
            match change:
                case BranchChanged():
                    self._show_branch()
                case Wrote():
                    self.transcript.write(change.text)
                case Thinking():
                    told = (change.text, change.tokens, change.seconds)
                    self.transcript.think(*told, over=change.over)
                case Ended():
                    self.transcript.end(self.entry(change.node))
                case GivenBack():
                    self.prompt.give_back(change.text)
                case Noticed():
                    self.transcript.notice(change.text, serious=change.serious)
                case Unusable():
                    self._offer.show(change.text)
        session = self.session
        if self._often:
            self._often.resume() if session.expecting else self._often.pause()
        pending = session.replying not in (None, session.steering)
        calibrated = self.calibrated(session.steering.preset)
        self.query_one(SteeringPanel).show(session.steering, calibrated, pending=pending)
        self.query_one(StatusLine).status = session.status
        self.set_class(self._offer.display, "-offering")
        doing = (self.busy, self._offer.display, self._offer.fetching)
        if doing != self._keys_shown:
            self._keys_shown = doing
            self.refresh_bindings()

    def _show_branch(self) -> None:
        session = self.session
        entries = [self.entry(node) for node in session.path]
        self.transcript.show(entries, session.waiting, session.writing)
        self._title.show(session.chat.title)

    def entry(self, node: Node) -> Entry:
        """See OnMessages."""
        versions = self.session.chat.conversation.siblings(node.id)
        number = [version.id for version in versions].index(node.id) + 1
        origin = node.origin
        preset = self.presets.presets.get(origin.preset) if origin else None
        name = (preset.title or preset.name) if preset else (origin and origin.preset) or ""
        return Entry(node, number, len(versions), name or "in your words")

    # -- the model ----------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _find(self, name: str) -> None:
        try:
            with as_sentences():
                model = self._shelf.find(name)
            self.post_message(self.ModelFound(model))
        except AmuletError as error:
            self.post_message(self.ModelMissing(str(error)))

    @on(ModelFound)
    def _load(self, message: ModelFound) -> None:
        self._offer.hide()
        self.show(self.session.load(message.model))

    @on(ModelMissing)
    @on(Offer.Ended)
    def _offer_model(self, message: ModelMissing | Offer.Ended) -> None:
        if isinstance(message, self.ModelMissing) and self.session.model:
            self.notify(message.reason, severity="error")  # the one that is loaded stays
        else:
            self.show([Unusable(message.reason)])

    def action_pick_model(self) -> None:
        """Choose among the models on this disk."""
        session = self.session
        current = as_text(session.model.path) if session.model else ""
        picker = ModelPicker(self._shelf, session.options, current, session.steering)
        self.app.push_screen(picker, self._pick_model)

    def _pick_model(self, choice: ModelChoice | None) -> None:
        if choice and choice.write:
            write = partial(self._shelf.write, choice.name, choice.write)
            self._bring(f"{Path(choice.name).name} in {choice.write.upper()}", write)
        elif choice and choice.fetch:
            self.command_pull(choice.name)
        elif choice:
            self.command_pick_model(choice.name)

    def command_pick_model(self, name: str) -> None:
        """Load a model by its name or path."""
        if self.session.replying:
            self.notify(BUSY)
        else:
            self._find(name)

    def action_pull(self) -> None:
        """Choose among the models that can be fetched; they stand below those that are here."""
        self.action_pick_model()

    def command_pull(self, what: str) -> None:
        """Fetch a model by its name, from the hub or a URL; or stop doing so."""
        if what == "stop":
            self._fetching.cancel()
        else:
            self._bring(what, partial(self._shelf.pull, what))

    def _bring(self, what: str, bring: Bring) -> None:
        if not self._fetching.begin(what, bring):
            self.notify(f"{self._fetching.what} is on its way; /pull stop stops that.")

    @on(FetchLine.Arrived)
    def _tell_arrival(self, message: FetchLine.Arrived) -> None:
        if self.session.model:
            self.notify(f"{message.name} is here: /model lists it.")
        else:
            self._find(message.path)

    @on(FetchLine.Ended)
    def _tell_end(self, message: FetchLine.Ended) -> None:
        self.notify(message.reason, severity="warning")

    @on(Offer.Fetched)
    def _find_fetched(self) -> None:
        self._find("")

    # -- what is written ----------------------------------------------------------------------

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        if message.text.startswith("/") and await self._command(message.text):
            return
        try:
            attached = attach(message.text, paths.current_folder(), self.session.status.context)
        except UsageError as error:
            self.prompt.give_back(message.text)
            self.notify(str(error), severity="error")
            return
        if attached.files:
            self.notify(f"Attached: {attached.told}.")
        editing, self.editing = self.editing, None
        if editing:
            self.prompt.say("")
            self.show(versions.edit(self.session, editing, attached.text))
        else:
            self.show(self.session.ask(attached.text))
        self.transcript.follow()

    async def _command(self, text: str) -> bool:
        """Carry out what stands behind a slash; False if it is no command but a text."""
        name, _, argument = text[1:].partition(" ")
        if "\n" in text or "/" in name:
            return False  # a path, or a longer text
        action = commands().get(name)
        if action is None:
            self.prompt.give_back(text)
            self.notify(f"There is no command /{name}; / lists them all.", severity="warning")
            return True
        method = action.name.removeprefix("screen.")
        with_argument = getattr(self, f"command_{method}", None)
        if argument.strip() and with_argument:
            with_argument(argument.strip())
        elif hasattr(self, f"action_{method}"):
            await self.run_action(method)
        else:
            await self.app.run_action(method)
        return True

    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def _complete(self) -> None:
        before = self.prompt.before_cursor
        self.completions.show(complete(before, commands(), paths.current_folder()), before)

    @on(OptionList.OptionSelected, "Completions")
    def _choose(self) -> None:
        if chosen := self.completions.chosen:
            self.prompt.accept(chosen, send=False)

    def save_draft(self) -> None:
        """Keep what is being written, so that neither another chat nor a restart takes it."""
        draft = "" if self.editing else "\n".join([*self.session.waiting, self.prompt.text])
        if draft == self._draft or self.editing:
            return
        try:
            self.session.chat.draft = self._draft = draft
        except AmuletError as error:
            self._draft = draft  # and say so once
            self.show([Noticed(f"What you write is not saved: {error}", True)])

    @on(Transcript.Left)
    def _write_on(self) -> None:
        self.set_focus(self.prompt)

    # -- the rest -----------------------------------------------------------------------------

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
        self.show()

    def action_stop(self) -> None:
        """Stop what is under way."""
        if self.completions.display:
            self.completions.close()
            return
        self._offer.cancel()
        self.show(self.session.stop())

    def action_settle(self) -> None:
        """Where one writes, with the newest text in sight."""
        if self.completions.display:
            self.completions.close()
            return
        if self.prompt.has_focus:
            self.leave_editing()
        self.set_focus(self.prompt)
        self.transcript.follow()

    def action_look_back(self) -> None:
        """To the messages, or back to writing."""
        self.set_focus(self.prompt if self.transcript.has_focus else self.transcript)

    def action_page(self, direction: int) -> None:
        """Scroll through the chat."""
        self.transcript.page(direction)

    def action_newest(self) -> None:
        """Follow the newest text."""
        self.transcript.follow()


def _drain(events: queue.SimpleQueue[Event]) -> Iterator[Event]:
    """What is in the queue now."""
    while True:
        try:
            yield events.get_nowait()
        except queue.Empty:
            return
