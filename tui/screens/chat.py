"""The chat: puts the session, the engine's events and the widgets together.

Everything that happens goes through `show`: the user's acts and the engine's events become Changes
of the session, and each Change has its place on the screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import OptionList, TextArea

from amulet_local.engine.client import EngineHandle
from amulet_local.errors import AmuletError
from amulet_local.presets.preset import Presets, load_presets
from tui.actions import CHAT, MESSAGES, Action, bindings, shown_key
from tui.screens import (
    chat_actions,
    first_run,
    format_actions,
    message_actions,
    mix_actions,
    model_actions,
    navigation_actions,
    steering_actions,
    writing,
)
from tui.screens.chat_view import CopiedBlock
from tui.screens.model_actions import ModelFound, ModelMissing
from tui.session.better_model import BetterModel, Stage
from tui.session.changes import (
    Activity,
    BranchChanged,
    Change,
    Ended,
    GivenBack,
    Noticed,
    Thinking,
    Unusable,
    Wrote,
)
from tui.session.model_store import ModelStore
from tui.session.session import Session
from tui.widgets.completions import Completions
from tui.widgets.desk import Desk
from tui.widgets.dial import Dial
from tui.widgets.fetching import FetchLine
from tui.widgets.keys import KeyLine
from tui.widgets.offer import Offer
from tui.widgets.prompt import Prompt
from tui.widgets.status import StatusLine
from tui.widgets.steering import SteeringPanel
from tui.widgets.title import TitleLine
from tui.widgets.transcript import Transcript

_POLLS_PER_S = 16  # while something is to be expected
_IDLE_POLLS_PER_S = 2
_DRAFT_AFTER_S = 0.5
_LOOKED_AFTER_S = 1.0
_AT_ONCE = 500  # events, between which keys are heard and the screen is drawn


class ChatScreen(Screen[None]):
    """One chat at a time. model: a name or path, "" for the default. notices: to begin with."""

    ACTIONS: ClassVar[Sequence[Action]] = (*CHAT, *MESSAGES)
    BINDINGS: ClassVar[list[BindingType]] = bindings(CHAT, first=True)

    # What can be done, under the names by which Textual finds an action, and `_run_command` in
    # writing.py a command with its argument.
    action_regenerate = message_actions.regenerate
    action_apply = message_actions.regenerate
    action_go_on = message_actions.go_on
    action_walk = message_actions.walk
    action_look = message_actions.open_heat
    action_compare = message_actions.compare
    action_edit = message_actions.edit
    action_thought = message_actions.toggle_thought
    action_copy_thought = message_actions.copy_thought
    action_delete = message_actions.delete
    action_undo = message_actions.undo
    action_fork = message_actions.fork
    action_open_link = message_actions.open_link
    action_copy_message = message_actions.copy_message
    action_copy_code = message_actions.copy_code

    action_new_chat = chat_actions.new_chat
    action_temporary = chat_actions.toggle_temporary
    action_last_chat = chat_actions.last_chat
    action_chats = chat_actions.list_chats
    action_find = chat_actions.find
    command_find = chat_actions.find
    action_rename = chat_actions.begin_title
    command_rename = chat_actions.set_title
    action_export = chat_actions.export
    command_export = chat_actions.export
    action_import_chat = chat_actions.import_chat
    command_import_chat = chat_actions.import_chat

    action_pick_preset = steering_actions.pick_preset
    command_pick_preset = steering_actions.take_preset
    action_steer = steering_actions.go_to_dial
    command_steer = steering_actions.set_strength
    action_add_fader, command_add_fader = mix_actions.pick_fader, mix_actions.add_named
    action_save_mix, command_save_mix = mix_actions.ask_name, mix_actions.save
    action_fit = mix_actions.fit
    action_prefer, command_prefer = steering_actions.begin_words, steering_actions.set_words
    action_wish = command_wish = steering_actions.begin_wish
    action_edit_preset = steering_actions.edit_preset
    command_edit_preset = steering_actions.edit_named_preset
    action_new_preset = steering_actions.new_preset
    action_guard, command_guard = steering_actions.next_guard, steering_actions.set_guard
    action_place, command_place = steering_actions.move_preference, steering_actions.set_placement
    action_think, command_think = steering_actions.toggle_thinking, steering_actions.set_thinking

    action_settle = navigation_actions.settle
    action_look_back = navigation_actions.look_back
    action_page = navigation_actions.page
    action_newest = navigation_actions.newest

    action_pick_model = action_pull = model_actions.pick_model
    command_pick_model, command_pull = model_actions.load_by_name, model_actions.pull
    action_restart = model_actions.restart
    action_calibrate = first_run.calibrate
    _name_better = on(first_run.Suggested)(first_run.name_it)
    _take_arrival = on(FetchLine.Arrived)(first_run.arrived)
    _take_measures = on(FetchLine.Measured)(format_actions.measured)
    _read_ahead = on(Prompt.Paused)(writing.read_ahead)
    _take_end = on(FetchLine.Ended)(first_run.ended)

    def __init__(
        self,
        session: Session,
        engine: EngineHandle,
        model_store: ModelStore,
        model: str,
        notices: Sequence[str],
    ) -> None:
        super().__init__()
        self.session, self.model_store = session, model_store
        self.presets: Presets = load_presets()
        self.calibrated: tuple[object, float | None] = (None, None)
        self.editing: str | None = None
        self.copied = CopiedBlock()
        self.chat_before: str | None = None
        self.completions = Completions()
        self.transcript, self.prompt = Transcript(), Prompt(self.completions)
        self.draft, self.panel = "", SteeringPanel()
        self._events, self._model, self._notices = engine.events, model, notices
        self._keys_shown: tuple[object, ...] = ()
        self.better = BetterModel(Stage.OVER if model else Stage.WAITING)
        self._offer, self._title, self.fetching = Offer(model_store), TitleLine(), FetchLine()
        self._often: Timer | None = None

    def compose(self) -> ComposeResult:
        """The chat and the message being written, how it is steered, how things stand."""
        yield self._title
        with Container(id="room"):
            with Vertical(id="talk"):
                yield self.transcript
                yield self._offer
                yield self.fetching
                yield self.completions
                yield self.prompt
            yield self.panel
        yield StatusLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Be ready to write at once; the model comes behind."""
        self._more_below = f"↓ more below · {shown_key(self.app, CHAT, 'newest')}"
        self.set_focus(self.prompt)
        writing.recall(self)
        with suppress(AmuletError):  # which is told of when something is to be kept
            if not self.session.history.count():
                self.transcript.introduce()
        self.show([BranchChanged(), *(Noticed(notice) for notice in self._notices)])
        self.find_model(self._model)
        self._often = self.set_interval(1 / _POLLS_PER_S, self.poll, pause=True)
        self.set_interval(1 / _IDLE_POLLS_PER_S, self.poll)
        self.set_interval(_LOOKED_AFTER_S, partial(model_actions.look_after, self))
        self.set_interval(_LOOKED_AFTER_S, partial(chat_actions.tell_saving, self))
        self.set_interval(_DRAFT_AFTER_S, partial(writing.save_draft, self))

    # -- what happens, and how it shows -------------------------------------------------------

    def poll(self) -> None:
        """Take in what the engine said since, and draw it in one go."""
        if self.session.replying or not self._events.empty():
            events = self._events.taken(_AT_ONCE)
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
                    self.transcript.end(message_actions.entry(self, change.node))
                    writing.read_ahead(self)
                case GivenBack():
                    writing.give_back(self, change.text)
                case Noticed():
                    self.transcript.notice(change.text, serious=change.serious)
                case Unusable() if self._offer.fetching:
                    self.transcript.notice(change.text, serious=True)
                case Unusable():
                    self._offer.show(change.text)
        session = self.session
        if self._often:
            self._often.resume() if session.expecting else self._often.pause()
        steering_actions.show_panel(self)
        self.query_one(StatusLine).status = status = session.status
        if status.activity is not Activity.NO_MODEL and not self._offer.fetching:
            self._offer.hide()
        self.set_class(self._offer.display, "-offering")
        first_run.go_on(self)
        better, stuck = (self.better.stage, self.better.faster), session.care.stuck
        doing = (self.busy, self._offer.display, self._offer.fetching, better, stuck)
        if doing != self._keys_shown:
            self._keys_shown = doing
            self.refresh_bindings()

    def _show_branch(self) -> None:
        session = self.session
        entries = [message_actions.entry(self, node) for node in session.path]
        self.transcript.show(entries, session.waiting, session.writing)
        writing.keep_editing(self)
        self.show_title()

    def show_title(self) -> None:
        """See ChatView."""
        self._title.show(self.session.chat.title, temporary=self.session.temporary)

    # -- the model ----------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def find_model(self, name: str, *, chosen: bool = False) -> None:
        """Find a model by its name or path, and load it. chosen: by the user."""
        self.post_message(model_actions.found(self, name, chosen=chosen))

    @on(ModelFound)
    def _load(self, message: ModelFound) -> None:
        self._offer.hide()
        self.show(first_run.load(self, message))
        if message.news:
            format_actions.tell(self, message.news)

    @on(ModelMissing)
    def _offer_model(self, message: ModelMissing) -> None:
        if self.session.model:
            self.notify(message.reason, severity="error")  # the one that is loaded stays
        else:
            self.show([Unusable(message.reason)])

    @on(Offer.Ended)
    def _offer_again(self, message: Offer.Ended) -> None:
        self._offer.fetching = False
        self.show([Unusable(message.reason)])

    @on(Offer.Fetched)
    def _find_fetched(self) -> None:
        self.find_model("")

    # -- steering -----------------------------------------------------------------------------

    @property
    def dial(self) -> Dial:
        """The dial for the strength."""
        return self.panel.dial

    @on(Dial.Moved)
    @on(Desk.Moved)
    def _turn(self, message: Dial.Moved | Desk.Moved) -> None:
        if isinstance(message, Desk.Moved):
            mix_actions.move(self, message.faders)
        else:
            self.session.turn(message.strength)
            self.show()

    @on(Dial.Left)
    @on(Desk.Left)
    def _leave_dial(self) -> None:
        self.set_focus(self.prompt)

    # -- what is written ----------------------------------------------------------------------

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        await writing.send(self, message.text)

    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def _complete(self) -> None:
        writing.complete_input(self)
        steering_actions.show_panel(self)

    @on(OptionList.OptionSelected, "Completions")
    def _choose(self) -> None:
        if chosen := self.completions.chosen:
            self.prompt.accept(chosen, send=False)

    @on(Transcript.Left)
    def _write_on(self) -> None:
        self.set_focus(self.prompt)

    # -- the rest -----------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Leave out of the footer what there is nothing to do for."""
        if action in ("stop", "settle"):
            return self.busy == (action == "stop")
        if action == "fetch":
            return not self._offer.fetching if self._offer.display else first_run.keyed(self)
        if action in ("restart", "regenerate"):  # on one key: a stuck engine answers nothing
            return self.session.care.stuck == (action == "restart")
        return True

    @property
    def busy(self) -> bool:
        """Whether there is something to stop."""
        return bool(self.session.replying or self.session.waiting or self._offer.fetching)

    def action_fetch(self) -> None:
        """Take the model that is offered."""
        self._offer.accept() if self._offer.display else first_run.accept(self)
        self.show()

    def action_stop(self) -> None:
        """Stop what is under way."""
        if self.completions.display:
            self.completions.close()
            return
        self._offer.cancel()
        self.show(self.session.stop())
