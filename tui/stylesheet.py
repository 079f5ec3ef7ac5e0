"""The app's stylesheet, parsed once for each theme.

In go sources of CSS and a theme's variables, out come rules. Textual's own stylesheet parses every
source anew for each app, twice while it starts, and again whenever the theme changes. Nothing here
knows what the rules are about.
"""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation

_SOURCES = 128  # kept, in some 10 MB; an app with every screen open has 26 in a theme
_parsed: LRUCache[object, list[RuleSet]] = LRUCache(_SOURCES)


class ParsedOnce(Stylesheet):
    """A stylesheet that remembers, for all apps of this process, what it has parsed."""

    def reparse(self) -> None:
        """Apply new variables. Raises what `parse` raises, and keeps its rules then."""
        self.parse()

    def _parse_rules(
        self,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        source = (css, read_from, is_default_rules, tie_breaker, scope)
        key = (frozenset(self._variables.items()), source)
        if (rules := _parsed.get(key)) is None:
            rules = super()._parse_rules(*source)
            _parsed[key] = rules
        return rules
