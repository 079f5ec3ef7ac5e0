"""How a text begins and ends: with a phrase, or in quotation marks."""

from __future__ import annotations

from amulet_local.verifiers.kind import Kind, Words


class EndChecker(Kind, frozen=True, tag="startend:end_checker"):
    """The text ends with exactly this phrase, in any case."""

    end_phrase: Words

    def __post_init__(self) -> None:
        if not _without_quotes(self.end_phrase):
            raise ValueError("end_phrase has no words")

    def follows(self, text: str) -> bool:
        """Whether it does; quotation marks around either do not count."""
        return _without_quotes(text).endswith(_without_quotes(self.end_phrase))


class Quotation(Kind, frozen=True, tag="startend:quotation"):
    """The whole text stands in double quotation marks, the straight ones."""

    def follows(self, text: str) -> bool:
        """Whether the first and the last character are two such marks."""
        text = text.strip()
        return len(text) > 1 and text[0] == text[-1] == '"'


def _without_quotes(text: str) -> str:
    return text.strip().strip('"').lower()
