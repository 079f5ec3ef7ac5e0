"""Writing a preset, or changing one: a form that becomes a TOML file of the user's own."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static, TextArea

from amulet_local.errors import AmuletError
from amulet_local.presets.editing import save_preset
from amulet_local.presets.firmness import USUAL_FIRMNESS, shown, typed
from amulet_local.presets.preset import (
    GROUPS,
    USUAL_SAMPLING,
    Preset,
    preset_of,
    read_preset,
)
from amulet_local.protocol.alignment import USUAL_GUARD, Placement
from tui.actions import FORM, bindings, shown_key
from tui.markdown.sanitising import sentence
from tui.screens.dialog import Dialog
from tui.widgets.dial import Dial
from tui.widgets.fields import Area, Line

_FIELDS = {  # in the order of the form: what each is called, and what it asks for
    "name": ("Name", "lower-case letters, digits, hyphens; also the name of the file"),
    "preference": ("Preference", "What you want from every reply, as you would tell a person"),
    "strength": (
        "Strength",
        "gently, clearly, firmly; or 0 base, 1 prompt, 3 LA, 5.65 Amulet",
    ),
    "guard": ("Guard", "0 off, 0.03 usual, 1 the strictest"),
    "placement": ("Placement", "system, or turn: only in the newest message"),
    "title": ("Title", "the name shown in lists"),
    "description": ("Description", "what it is for, in one line"),
    "group": ("Group", ", ".join(GROUPS)),
    "temperature": ("Temperature", "0 always picks the likeliest token"),
    "system": ("System prompt", "replaces the usual one"),
}
_LONG = ("preference", "system")
_NUMBERS = ("strength", "guard")
_SUGGESTED = {"placement": get_args(Placement), "group": tuple(GROUPS)}


class PresetForm(Dialog[Preset | None]):
    """Dismissed with the preset as it was saved, or None.

    preset: what to begin with; a name makes it a change of that preset. words: of a new preset.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(FORM, first=True)

    def __init__(self, preset: Preset | None, words: str = "") -> None:
        super().__init__()
        self._preset = preset
        self._begun: dict[str, str] = _values(preset) if preset else _NEW | {"preference": words}
        self._left: dict[str, str] | None = None  # what closing was asked for the first time

    def compose(self) -> ComposeResult:
        """The fields, and what is wrong below."""
        with Vertical(id="window"):
            with VerticalScroll(id="fields", can_focus=False):
                for name in _FIELDS:
                    with Horizontal(classes="field"):
                        yield Label(_FIELDS[name][0])
                        yield self._field(name)
                    if name == "strength":
                        yield Dial()
            yield Static(id="wrong")

    def _field(self, name: str) -> Input | TextArea:
        text, hint = self._begun[name], _FIELDS[name][1]
        if name in _LONG:
            return Area(text, placeholder=hint, id=f"field-{name}", tab_behavior="focus")
        suggested = _SUGGESTED.get(name)
        suggester = SuggestFromList(suggested) if suggested else None
        return Line(text, placeholder=hint, id=f"field-{name}", suggester=suggester)

    def on_mount(self) -> None:
        """Begin with what is missing."""
        window = self.query_one("#window")
        preset = self._preset
        if preset is None:
            window.border_title = "New preset"
        else:
            window.border_title = f"Preset {preset.name}"
        if preset and preset.built_in:
            window.border_title = f"{window.border_title} (saved as your own)"
        save, close = (shown_key(self.app, FORM, name) for name in ("save", "close"))
        window.border_subtitle = f"{save} saves · {close} closes · tab moves to the next field"
        self.query_one("#field-preference" if preset else "#field-name").focus()

    # -- the strength, twice ------------------------------------------------------------------

    @on(Input.Changed, "#field-strength")
    def _turn_dial(self, message: Input.Changed) -> None:
        try:
            self.query_one(Dial).strength = typed(message.value)
        except ValueError:
            return  # said when it is saved

    @on(Dial.Moved)
    def _write_strength(self, message: Dial.Moved) -> None:
        self.query_one("#field-strength", Input).value = f"{message.strength:g}"

    @on(Dial.Left)
    def _go_on(self) -> None:
        self.focus_next()

    # -- leaving ------------------------------------------------------------------------------

    def _said(self) -> dict[str, str]:
        """What the fields say now."""
        said = {}
        for name in _FIELDS:
            field = self.query_one(f"#field-{name}")
            assert isinstance(field, Input | TextArea)
            said[name] = field.text if isinstance(field, TextArea) else field.value
        return said

    @on(Input.Submitted)
    def action_save(self) -> None:
        """Write the file, or say what is wrong."""
        said = self._said()
        if said == self._begun and self._preset:
            self.dismiss(self._preset)
            return
        try:
            preset = self._made(said)
            renamed = self._preset is None or preset.name != self._preset.name
            self.dismiss(read_preset(save_preset(preset, new=renamed)))
        except AmuletError as error:
            self._left = None
            self.query_one("#wrong", Static).update(Content(f"! {sentence(str(error))}"))

    def _made(self, said: dict[str, str]) -> Preset:
        """The preset that the fields describe. Raises UsageError naming the field."""
        values: dict[str, Any] = {name: text.strip() for name, text in said.items()}
        for name in _NUMBERS:
            if self._preset and said[name] == self._begun[name]:
                values[name] = getattr(self._preset, name)  # with all its digits
            else:
                values[name] = values[name].replace(",", ".")
        sampling = self._preset.sampling if self._preset else USUAL_SAMPLING
        temperature = values.pop("temperature").replace(",", ".")
        values["sampling"] = msgspec.to_builtins(sampling) | {"temperature": temperature}
        values["group"] = values["group"] or "own"
        return preset_of(values.pop("name"), values)

    def action_close(self) -> None:
        """Leave it as it was; what was typed goes only if it is said twice."""
        said = self._said()
        if said in (self._begun, self._left):
            self.dismiss(None)
            return
        self._left = said
        save, close = (shown_key(self.app, FORM, name) for name in ("save", "close"))
        text = f"! Not saved yet: {save} saves, {close} again discards your changes."
        self.query_one("#wrong", Static).update(Content(text))


_NEW = {
    "name": "",
    "preference": "",
    "strength": USUAL_FIRMNESS,
    "guard": f"{USUAL_GUARD:g}",
    "placement": "system",
    "title": "",
    "description": "",
    "group": "own",
    "temperature": f"{USUAL_SAMPLING.temperature:g}",
    "system": "",
}


def _values(preset: Preset) -> dict[str, str]:
    """What the fields say of a preset."""
    return {
        "name": preset.name,
        "preference": preset.preference,
        "strength": shown(preset.strength),
        "guard": f"{preset.guard:g}",
        "placement": preset.placement,
        "title": preset.title,
        "description": preset.description,
        "group": preset.group,
        "temperature": f"{preset.sampling.temperature:g}",
        "system": preset.system,
    }
