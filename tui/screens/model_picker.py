"""Choosing a model: every chat model on this disk, with its card, and a field for any path; below
them, those of the catalogue, which can be fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from amulet_local.errors import AmuletError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.server.address import Address, known_server
from tui.actions import MODELS, PICKER, Action, bindings, shown_key
from tui.markdown.sanitising import clean, sentence
from tui.screens.picker import Picker
from tui.session.model_store import ModelStore, StoredModel
from tui.session.steering import SteeringChoice
from tui.unexpected import as_sentences

_LOOKING = "Looking for models on this computer …"
_NONE = "No model here matches; Enter uses what you typed as a path."


@dataclass(frozen=True)
class ModelChoice:
    """name: the path of a model, or what was typed for one; with fetch, of the catalogue. write: a
    type, to write it in. measure: find out whether another format is faster."""

    name: str
    fetch: bool = False
    write: str = ""
    measure: bool = False


class ModelPicker(Picker[ModelChoice]):
    """Dismissed with a choice, or None.

    current: the path of the model that is loaded. steering: for the prompts on the card.
    """

    ACTIONS: ClassVar[Sequence[Action]] = (*PICKER, *MODELS)
    PLACEHOLDER = "A model name, or the path of a GGUF file"
    PARTS = ("title", "facts", "prompts")
    BINDINGS: ClassVar[list[BindingType]] = bindings((*PICKER, *MODELS))

    class Found(Message):
        """All models of this disk, and the one that `amulet serve` serves now, if it does."""

        def __init__(self, models: Sequence[StoredModel], served: Address | None) -> None:
            super().__init__()
            self.models, self.served = models, served

    class Previewed(Message):
        """What a model sees, in words."""

        def __init__(self, path: str, text: str) -> None:
            super().__init__()
            self.path, self.text = path, text

    def __init__(
        self, model_store: ModelStore, options: LoadOptions, current: str, steering: SteeringChoice
    ):
        super().__init__()
        self._model_store, self._options = model_store, options
        self._current, self._steering = current, steering
        self._models: Sequence[StoredModel] = ()
        self._looked = False

    def on_mount(self) -> None:
        """Look for models behind the screen."""
        choose, close = (shown_key(self.app, PICKER, name) for name in ("choose", "close"))
        window = self.query_one("#window")
        window.border_title = "Models"
        window.border_subtitle = f"{choose} loads it · {close} cancels"
        self._describe(_LOOKING, "")
        self._look()

    @work(thread=True)
    def _look(self) -> None:
        try:
            with as_sentences():
                models = self._model_store.models(self._options)
        except AmuletError as error:
            self.app.call_from_thread(self._describe, sentence(str(error)), "")
            return
        self.post_message(self.Found(models, known_server()))

    @on(Found)
    def _take(self, message: Found) -> None:
        if served := message.served:
            told = f"Models · {served.model} is served at {served.url}"
            self.query_one("#window").border_title = Content(clean(told))
        self._models, self._looked = message.models, True
        self._list(self.query_one("#filter", Input).value, self._current)

    # -- the list -----------------------------------------------------------------------------

    def _list(self, wanted: str, highlighted: str) -> None:
        words = wanted.casefold().split()
        options = self.query_one(OptionList)
        options.clear_options()
        fitting = [it for it in self._models if all(word in it.label.casefold() for word in words)]
        for number, model in enumerate(fitting):
            if not model.here and (number == 0 or fitting[number - 1].here):
                options.add_option(Option("Not here yet; Enter fetches", disabled=True))
            ready = " " if model.here else "↓"
            sign = "●" if model.path == self._current else ready if model.fits else "!"
            options.add_option(Option(Content(f"{sign} {clean(model.label)}"), id=model.path))
        paths = [model.path for model in fitting]
        if paths:
            first = highlighted if highlighted in paths else paths[0]
            options.highlighted = options.get_option_index(first)
        if not paths and self._looked:
            self._describe("No matches" if words else "No models here yet", _NONE)

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        self._list(message.value, self._current)

    @on(OptionList.OptionHighlighted)
    def _show(self, message: OptionList.OptionHighlighted) -> None:
        model = next((it for it in self._models if it.path == message.option_id), None)
        if model:
            formats = f"{model.formats} {self._by_key(model)}".strip()
            takes = "\n".join(filter(None, [model.card, formats]))
            self._describe(model.label, "\n\n".join(filter(None, [takes, model.about])))
            if model.here:
                self._preview(model.path)

    def _by_key(self, model: StoredModel) -> str:
        key = shown_key(self.app, MODELS, "faster_format")
        if model.faster:
            return f"Press {key} to write the {model.faster.upper()} copy."
        return f"Press {key} to measure it while you chat." if model.unmeasured else ""

    def _describe(self, title: str, card: str) -> None:
        self.tell({"title": title, "facts": card, "prompts": ""})

    @work(thread=True, exclusive=True)
    def _preview(self, path: str) -> None:
        try:
            with as_sentences():
                text = self._model_store.prompts(path, self._steering)
        except AmuletError as error:
            text = sentence(str(error))
        self.post_message(self.Previewed(path, text))

    @on(Previewed)
    def _show_prompts(self, message: Previewed) -> None:
        option = self.query_one(OptionList).highlighted_option
        if option and option.id == message.path:
            self.tell({"prompts": message.text})

    # -- choosing -----------------------------------------------------------------------------

    @on(Input.Submitted)
    def action_choose(self) -> None:
        """Load the one at hand, or fetch it, or take what is typed."""
        option = self.query_one(OptionList).highlighted_option
        typed = self.query_one("#filter", Input).value.strip()
        if chosen := (option.id if option else typed):
            self._choose(chosen)

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        if message.option_id:
            self._choose(message.option_id)

    def action_faster_format(self) -> None:
        """Have it measured whether another format of the one at hand is faster here; once that is
        known, have the copy written."""
        option = self.query_one(OptionList).highlighted_option
        model = next((it for it in self._models if option and it.path == option.id), None)
        if model and (model.faster or model.unmeasured):
            choice = ModelChoice(model.path, write=model.faster, measure=model.unmeasured)
            self.dismiss(choice)

    def _choose(self, name: str) -> None:
        model = next((it for it in self._models if it.path == name), None)
        self.dismiss(ModelChoice(name, fetch=model is not None and not model.here))
