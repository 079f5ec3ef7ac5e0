"""Chat templates as Jinja: untrusted source of models, compiled and rendered in a sandbox.

Messages go in as role and content, text comes out, as transformers renders it; so do the names that
a template may use. Jinja's sandbox bounds what a template can reach, but neither its time nor its
memory: only the process of template_worker.py, which has limits, imports this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
from jinja2.nodes import Compare, Const, Name, Node, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

Given = Mapping[str, object]
Messages = Sequence[Mapping[str, object]]
Switch = tuple[Given, Given]  # what is given to have thinking off, and on

# What transformers gives a template besides the messages; what some templates want instead.
_GIVEN: tuple[Given, ...] = ({"tools": None, "documents": None}, {})

# Switches of thinking, by their names, and the values they know.
_OF_THINKING = re.compile("think|thought|reason|deliberat|(^|_)cot(_|$)")
_OF_NOT_THINKING = re.compile("no_|non|not_|without|disable|skip|suppress|hide")
_A_DEGREE = re.compile("effort|level|strength|intensity|depth")
_OFF = (
    *("off", "none", "disabled", "disable", "no_think", "nothink", "no_thinking", "no-think"),
    *("non_thinking", "non-thinking", "false", "no", "minimal", "chat", "fast"),
)
_ON = ("on", "enabled", "enable", "think", "thinking", "true", "yes", "high", "medium", "deep")
_VALUES = (*_OFF, *_ON)

_PROBE = "\ue002"  # a private-use character is no template's own


class _Generation(jinja2.ext.Extension):
    """{% generation %} marks what the assistant wrote, for training; to a prompt it is nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> Node:
        """What stands between the tags."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return Scope(body, lineno=line)


class CompiledTemplate:
    """One compiled template. Compiling and rendering raise whatever Jinja and untrusted code do."""

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        self._template = environment.from_string(source)
        tree = environment.parse(source)
        self._words = _words_in(tree)
        self._modes = _modes_in(tree)
        set_by_itself = {node.name for node in tree.find_all(Name) if node.ctx == "store"}
        names = jinja2.meta.find_undeclared_variables(tree)  # which changes the tree
        self._names = sorted(names, key=lambda name: (name != "thinking", name))
        self._unknown = names - set_by_itself
        self._switch: Switch | None = None  # None until it is looked for

    def render(self, messages: Messages, *, thinking: bool = False) -> str:
        """The prompt up to where the assistant's next message begins.

        Thinking is switched on or off where the template knows how.
        """
        if self._switch is None:
            self._switch = self._find_switch()
        return self._text(messages, self._switch[thinking])

    def _text(self, messages: Messages, switch: Given) -> str:
        """Rendered with what transformers gives; where that fails, with less, and then with nothing
        for each name that is in no program's custom. Raises what the first attempt raised."""
        unknown = dict.fromkeys(self._unknown, "") | {
            "datetime": datetime.now().strftime("%d %B %Y")
        }
        failure: Exception | None = None
        for given in (*_GIVEN, *({**unknown, **given} for given in _GIVEN)):
            names = {**given, **self._special, **switch}
            try:
                return self._template.render(
                    {**names, "messages": list(messages), "add_generation_prompt": True}
                )
            except Exception as error:  # whatever untrusted code raises
                failure = failure or error
        assert failure is not None
        raise failure

    def _find_switch(self) -> Switch:
        """What to give to have thinking off and on: the first name and values that make a
        difference. `enable_thinking`, the usual name, is always given."""
        usual: Switch = ({"enable_thinking": False}, {"enable_thinking": True})
        if self._differs(usual):
            return usual
        for name in self._names:
            words = self._words if _OF_THINKING.search(name) else self._modes.get(name, ())
            for values in _values(name, words):
                off, on = (
                    said if value is None else {**said, name: value}
                    for said, value in zip(usual, values, strict=True)
                )
                if self._differs((off, on)):
                    return off, on
        return usual

    def _differs(self, switch: Switch) -> bool:
        """Whether a question is told otherwise with thinking on than with thinking off."""
        for content in (_PROBE, [{"type": "text", "text": _PROBE}]):
            try:
                off, on = (self._text([{"role": "user", "content": content}], s) for s in switch)
            except Exception:  # whatever untrusted code raises
                continue
            if _PROBE in on and _PROBE in off:
                return off != on
        return False


def _words_in(tree: Node) -> set[str]:
    return {node.value for node in tree.find_all(Const) if node.value in _VALUES}


def _modes_in(tree: Node) -> dict[str, set[str]]:
    """The words that each name is compared with, where one of them speaks of thinking: then the
    name, whatever it is, has thinking as one of its modes."""
    modes: dict[str, set[str]] = {}
    for comparison in tree.find_all(Compare):
        words = _words_in(comparison)
        if any(map(_OF_THINKING.search, words)):
            for node in comparison.find_all(Name):
                modes.setdefault(node.name, set()).update(words)
    return modes


def _values(name: str, words: Collection[str]) -> Iterator[tuple[object, object]]:
    """The values that could switch thinking off and on, for a name that may do so; None for not
    given. words: the texts that a template compares with; only those are values that it knows."""
    if "budget" in name:
        yield 0, None
        return
    for off in (word for word in _OFF if word in words):
        yield from ((off, on) for on in _ON if on in words)
        yield off, None
    if _A_DEGREE.search(name):
        return
    yield from ((None, on) for on in _ON if on in words)
    if _OF_THINKING.search(name):
        yield (True, False) if _OF_NOT_THINKING.match(name) else (False, True)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Without Jinja's HTML escapes, as templates of chat models expect."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: object) -> None:
    raise jinja2.TemplateError(str(message))
