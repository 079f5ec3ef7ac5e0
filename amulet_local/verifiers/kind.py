"""What every kind of verifier is: arguments, checked once, and a question to a text."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Relation = Literal["less than", "at least"]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instruction that a program can check; `tag` of each subclass is its name in IFEval."""

    @property
    def kind(self) -> str:
        """IFEval's name for it, such as "punctuation:no_comma"."""
        return str(self.__struct_config__.tag)

    def follows(self, text: str) -> bool:
        """Whether a text does as instructed. Time is linear in its length, whatever it holds."""
        raise NotImplementedError


def holds(count: int, relation: Relation, than: int) -> bool:
    """Whether a count is less than, or at least, another."""
    return count < than if relation == "less than" else count >= than
