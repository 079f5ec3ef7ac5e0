"""A message of a chat, as the engine and every front end know it."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["user", "assistant"]


class Message(msgspec.Struct, frozen=True):
    """One message of a chat.

    `token_ids` are those the model sampled, without the end-of-turn token; empty for text that
    did not come from the loaded model, which is then tokenised from `text`.
    """

    role: Role
    text: str
    token_ids: tuple[int, ...] = ()
