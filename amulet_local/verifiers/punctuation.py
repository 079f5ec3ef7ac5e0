"""Marks that must not stand in a text."""

from __future__ import annotations

from amulet_local.verifiers.kind import Kind


class NoComma(Kind, frozen=True, tag="punctuation:no_comma"):
    """No comma, but for those of other scripts."""

    def follows(self, text: str) -> bool:
        """Whether there is none."""
        return "," not in text
