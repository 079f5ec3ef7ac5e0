"""Choosing a preset: a list in groups, narrowed by typing, with the words of the one at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from amulet_local.presets.preset import GROUPS, Preset, Presets
from amulet_local.strengths import label
from tui.actions import PICKER, PRESETS, bindings, shown_key
from tui.markdown.sanitising import clean, sentence
from tui.screens.picker import Picker
from tui.screens.preset_form import PresetForm

_NONE = "No preset"
_NONE_IS = "The model as it is, without any preference."


@dataclass(frozen=True)
class Choice:
    """What was chosen; None is no preset."""

    preset: Preset | None


class PresetPicker(Picker[Choice]):
    """Dismissed with a Choice, or None to leave things as they are."""

    PLACEHOLDER = "Type to find a preset"
    PARTS = ("title", "description", "words", "details")
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(PICKER),
        *bindings(PRESETS, first=True),
    ]

    def __init__(self, presets: Presets, current: Preset | None) -> None:
        super().__init__()
        self._presets = presets
        self._current = current.name if current else ""

    def below(self) -> ComposeResult:
        """Files that cannot be used."""
        if problems := self._presets.problems:
            text = "\n".join(f"! {sentence(problem)}" for problem in problems)
            yield Static(Content(text), id="problems")

    def on_mount(self) -> None:
        """Begin at what is chosen now."""
        self.query_one("#window").border_title = "Presets"
        acts = (*PICKER, *PRESETS)
        keys = [shown_key(self.app, acts, name) for name in ("choose", "edit", "new", "close")]
        does = ("chooses", "edits", "new", "cancels")
        window = self.query_one("#window")
        window.border_subtitle = " · ".join(
            f"{k} {what}" for k, what in zip(keys, does, strict=True)
        )
        self._list("", self._current)

    # -- the list -----------------------------------------------------------------------------

    def _list(self, wanted: str, highlighted: str) -> None:
        """List what fits the words typed, with this one highlighted if it is among them."""
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(_options(self._presets, wanted.casefold().split(), self._current))
        names = [option.id for option in options.options]
        fitting = [index for index, name in enumerate(names) if name is not None]
        if highlighted in names:
            options.highlighted = names.index(highlighted)
        else:
            options.highlighted = fitting[0] if fitting else None
        if not fitting:
            self._describe(None, "No matches", "No preset contains these words.")

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        self._list(message.value, "" if message.value else self._current)

    @on(OptionList.OptionHighlighted)
    def _show(self, message: OptionList.OptionHighlighted) -> None:
        preset = self._presets.presets.get(message.option_id or "")
        if preset:
            self._describe(preset, preset.title or preset.name, preset.description)
        else:
            self._describe(None, _NONE, _NONE_IS)

    def _describe(self, preset: Preset | None, title: str, description: str) -> None:
        details = words = ""
        if preset:
            words = f"“{preset.words()}”"
            details = (
                f"strength {_strength(preset)} · guard {preset.guard:g}"
                f" · in the {'system prompt' if preset.placement == 'system' else 'newest message'}"
                f" · {'built in' if preset.built_in else preset.path}"
            )
        texts = {"title": title, "description": description, "words": words, "details": details}
        self.tell(texts)

    # -- choosing -----------------------------------------------------------------------------

    @on(Input.Submitted)
    def action_choose(self) -> None:
        """Choose the one at hand, if any."""
        option = self.query_one(OptionList).highlighted_option
        if option:
            self._choose(option.id)

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        self._choose(message.option_id)

    def _choose(self, name: str | None) -> None:
        self.dismiss(Choice(self._presets.presets.get(name or "")))

    def action_edit(self) -> None:
        """Change the one at hand; saved, it is chosen."""
        option = self.query_one(OptionList).highlighted_option
        if option and (preset := self._presets.presets.get(option.id or "")):
            self.app.push_screen(PresetForm(preset), self._saved)

    def action_new(self) -> None:
        """Write a new one; saved, it is chosen."""
        self.app.push_screen(PresetForm(None), self._saved)

    def _saved(self, preset: Preset | None) -> None:
        if preset:
            self.dismiss(Choice(preset))


def _options(presets: Presets, words: list[str], current: str) -> Iterable[Option]:
    """A heading for each group, its presets, no preset at the top; only what has all the words."""
    if all(word in "no preset none" for word in words):
        yield Option(_line(_NONE, not current), id="")
    fitting = [preset for preset in presets.presets.values() if _fits(preset, words)]
    for group, members in groupby(fitting, key=lambda preset: preset.group):
        yield Option(Content(clean(GROUPS.get(group, group))), disabled=True)
        for preset in members:
            yield Option(_line(preset.title or preset.name, preset.name == current), id=preset.name)


def _line(title: str, current: bool) -> Content:
    return Content(f"{'●' if current else ' '} {clean(title)}")


def _fits(preset: Preset, words: list[str]) -> bool:
    group = GROUPS.get(preset.group, preset.group)
    about = (preset.name, preset.title, preset.description, preset.preference, group)
    return all(word in " ".join(about).casefold() for word in words)


def _strength(preset: Preset) -> str:
    """With the word for it, the preset's own or the dial's."""
    usual = preset.usual_strength
    word = label(usual) if usual == preset.strength else f"({preset.strength})"
    return f"{usual:.2f} {word}"
