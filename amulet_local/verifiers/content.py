"""What must stand somewhere in a text: placeholders, and a postscript."""

from __future__ import annotations

import re

from amulet_local.verifiers.kind import Count, Kind, Words

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_POSTSCRIPTS = {"P.S.": re.compile(r"p\.\s?s\."), "P.P.S": re.compile(r"p\.\s?p\.\s?s")}


class NumberPlaceholders(Kind, frozen=True, tag="detectable_content:number_placeholders"):
    """At least so many placeholders in square brackets, such as [address]."""

    num_placeholders: Count

    def follows(self, text: str) -> bool:
        """Whether there are at least as many pairs of brackets, each within a line."""
        return sum(1 for _ in _PLACEHOLDER.finditer(text)) >= self.num_placeholders


class Postscript(Kind, frozen=True, tag="detectable_content:postscript"):
    """A postscript, with this before it: "P.S.", "P.P.S", or anything else."""

    postscript_marker: Words

    def follows(self, text: str) -> bool:
        """Whether the mark stands in the text, in any case; its letters may have spaces between."""
        marker = self.postscript_marker.strip()
        spaced = _POSTSCRIPTS.get(marker)
        return bool(spaced.search(text.lower())) if spaced else marker.lower() in text.lower()
