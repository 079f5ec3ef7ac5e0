"""A message of a chat, as the engine and every front end know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import structs

LONGEST_WISH = 4000  # characters

Role = Literal["user", "assistant"]
Wish = Annotated[str, msgspec.Meta(max_length=LONGEST_WISH)]


class Message(msgspec.Struct, frozen=True):
    """One message of a chat.

    `token_ids` are those the model sampled, without the end-of-turn token; empty for text that
    did not come from the loaded model, which is then tokenised from `text`. wish: what the user
    prefers of the reply to this message alone; the preference stream reads it while the message is
    the newest, and later turns do not.
    """

    role: Role
    text: str
    token_ids: tuple[int, ...] = ()
    wish: Wish = ""


def wishing(messages: Sequence[Message], wish: str) -> tuple[Message, ...]:
    """The same messages, of which the newest has this wish; none of none."""
    return tuple(
        structs.replace(message, wish=wish) if number == len(messages) else message
        for number, message in enumerate(messages, 1)
    )
