"""The app's stylesheet: parsed once for each theme, and matched once for each state of a widget.

In go sources of CSS and a theme's variables, out come rules and, for a node, its styles. Textual's
own stylesheet parses every source anew for each app, twice while it starts, and again whenever the
theme changes. It also looks for the rules that match whenever a node, or one above it, gets a class
or the focus, for the node and for each of its component classes; that was nearly half of the time
in which the app opens. Nothing here knows what the rules are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from textual.app import App
from textual.cache import LRUCache
from textual.css.model import RuleSet, SelectorType
from textual.css.styles import RenderStyles, RulesMap
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.dom import DOMNode
from textual.widget import Widget

_SOURCES = 128  # kept, in some 10 MB; an app with every screen open has 26 in a theme
_parsed: LRUCache[object, list[RuleSet]] = LRUCache(_SOURCES)


class State(NamedTuple):
    """All that the rules which are remembered ask of a node. told: what pseudo-classes hang on.
    above: the state of the node above it."""

    kind: type[DOMNode]
    name: str | None
    classes: frozenset[str]
    told: tuple[object, ...] = ()
    above: tuple[object, ...] = ()


class Match(NamedTuple):
    """What matches a node in some state. rules: as they are applied. kept: as a node then has them,
    that had none before. noted: what Textual keeps about them on the node, by name."""

    rules: RulesMap
    kept: RulesMap
    noted: dict[str, bool]


_NOTED = ("_has_hover_style", "_has_focus_within", "_has_order_style", "_has_odd_or_even")
_SHEETS = 16  # kept; the first widget of a kind brings sources of its own, which make another sheet
_STATES = 4096  # kept for each; a chat in which every screen was opened many times has some 1,000
_Found = tuple[dict[State, Match], frozenset[str]]  # what matches, and the ids in selectors
_sheets: LRUCache[tuple[RuleSet, ...], _Found] = LRUCache(_SHEETS)


class _Parts(dict[str, RenderStyles]):
    """What a node's component classes look like, by name; made for those that are asked for."""

    def __init__(self, node: DOMNode, matches: Mapping[str, Match]) -> None:
        super().__init__()
        self.matches = matches
        self._node = node

    def __contains__(self, name: object) -> bool:
        return name in self.matches

    def __missing__(self, name: str) -> RenderStyles:
        part = DOMNode(classes=name)
        part._attach(self._node)
        part.styles.base.merge_rules(self.matches[name].kept)
        self[name] = part.styles
        return part.styles


class ParsedOnce(Stylesheet):
    """A stylesheet that remembers, for all apps of this process, what it has parsed and matched."""

    _given: object = None  # the variables, as a part of a key
    _known: dict[State, Match]  # for the rules that there are now
    _named: frozenset[str]  # the ids that they ask for; a notification has one of its own
    _states: dict[DOMNode, State] | None = None  # while many nodes are updated

    def parse(self) -> None:
        """Make rules of the sources. Raises StylesheetParseError, and keeps its rules then."""
        self._given = frozenset(self._variables.items())
        super().parse()
        sheet = tuple(self.rules)
        if (found := _sheets.get(sheet)) is None:
            found = _sheets[sheet] = {}, _ids_in(sheet)
        self._known, self._named = found

    def reparse(self) -> None:
        """Apply new variables. Raises what `parse` raises, and keeps its rules then."""
        self.parse()

    def update_nodes(self, nodes: Iterable[DOMNode], animate: bool = False) -> None:
        """Apply the rules that match to some nodes."""
        self._states = {}
        try:
            super().update_nodes(nodes, animate)
        finally:
            self._states = None

    def apply(
        self,
        node: DOMNode,
        *,
        animate: bool = False,
        cache: dict[tuple[object, ...], RulesMap] | None = None,
    ) -> None:
        """Apply the rules that match to a node. cache: Textual's own, which is not needed."""
        match = self._match(node)
        if match is None:
            found: dict[tuple[object, ...], RulesMap] = {}
            super().apply(node, animate=animate, cache=found)
            for rules in found.values():  # none where they hang on a node's place among others
                self._remember(node, rules)
            return
        for name, value in match.noted.items():
            setattr(node, name, value)
        base = node.styles.base
        if type(node) is DOMNode:  # a new one, for a component class: nothing is drawn by it
            base.merge_rules(match.kept)
        elif animate and "transitions" in match.kept:
            self.replace_rules(node, match.rules, animate=animate)
        else:  # not those that stay: to set a rule has the node drawn anew
            before, kept = base.get_rules(), match.kept
            for name in before.keys() | kept.keys():
                if before.get(name) != kept.get(name):
                    setattr(base, name, match.rules.get(name))
            node.notify_style_update()
        self._process_component_classes(node)

    def _process_component_classes(self, node: DOMNode) -> None:
        """Note what each of them looks like; Textual makes a node for each, asked for or not."""
        matches = {name: self._match(node, name) for name in node._get_component_classes()}
        parts = node._component_styles
        if None in matches.values():
            node._component_styles = {**parts}
            super()._process_component_classes(node)
        elif matches and not (isinstance(parts, _Parts) and parts.matches == matches):
            node._component_styles = _Parts(node, cast("dict[str, Match]", matches))
            node.refresh()

    def _match(self, node: DOMNode, component: str = "") -> Match | None:
        """What is known to match a node, or one of its component classes."""
        if self._require_parse:
            self.parse()
        state = self._state(node)
        if component:
            state = State(DOMNode, None, frozenset((component,)), above=state)
        return self._known.get(state)

    def _remember(self, node: DOMNode, rules: RulesMap) -> None:
        plain = DOMNode()
        self.replace_rules(plain, rules)
        noted = {name: getattr(node, name) for name in _NOTED}
        match = Match(rules, plain.styles.base.get_rules(), noted)
        if len(self._known) >= _STATES:
            self._known.clear()
        # Most states look like another; each look takes some kilobytes.
        same = next((known for known in self._known.values() if known == match), match)
        self._known[self._state(node)] = same

    def _state(self, node: DOMNode) -> State:
        """All that the rules which are remembered ask of a node and of those above it."""
        states = {} if self._states is None else self._states
        if (known := states.get(node)) is None:
            parent = node._parent
            above = self._state(parent) if isinstance(parent, DOMNode) else ()
            told: tuple[object, ...] = ()
            if isinstance(node, Widget):
                told = (node.mouse_hover, node.has_focus, node.disabled, node.allow_focus())
            elif isinstance(node, App):
                told = (node.app_focus, node.theme, node.is_inline, node.ansi_color, node.no_color)
            name = node.id if node.id in self._named else None
            known = states[node] = State(type(node), name, node.classes, told, above)
        return known

    def _parse_rules(
        self,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        source = (css, read_from, is_default_rules, tie_breaker, scope)
        if (rules := _parsed.get((self._given, source))) is None:
            rules = super()._parse_rules(*source)
            _parsed[self._given, source] = rules
        return rules


def _ids_in(sheet: Sequence[RuleSet]) -> frozenset[str]:
    return frozenset(
        selector.name
        for rule in sheet
        for chain in rule.selector_set
        for selector in chain.selectors
        if selector.type is SelectorType.ID
    )
