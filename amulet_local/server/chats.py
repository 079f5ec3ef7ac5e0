"""Chats as clients have them -> as the engine takes them: turns that alternate, a system prompt.

Clients send what models never saw in training: only a system message, two messages of the user in
a row, an assistant that speaks first or last. All of it is put into turns, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amulet_local.protocol.message import Message, Role
from amulet_local.server.bodies import ChatMessage
from amulet_local.server.failures import ApiError


@dataclass(frozen=True)
class Chat:
    """system: all that was said to the model as such. messages: alternate, and end with the
    user's. begun: what the assistant has said already of the message to be written."""

    system: str
    messages: tuple[Message, ...]
    begun: Message | None


def chat_of(messages: Sequence[ChatMessage]) -> Chat:
    """Turns of what a client sent. Raises ApiError for what is no text."""
    system: list[str] = []
    turns: list[tuple[Role, str]] = []
    for number, message in enumerate(messages):
        text = _text(message, number)
        role: Role = "assistant" if message.role == "assistant" else "user"
        if message.role in ("system", "developer"):
            system.append(text)
        elif turns and turns[-1][0] == role:
            turns[-1] = (role, "\n\n".join(filter(None, (turns[-1][1], text))))
        else:
            turns.append((role, text))
    begun = Message("assistant", turns.pop()[1]) if turns and turns[-1][0] == "assistant" else None
    if not turns or turns[0][0] == "assistant":
        turns.insert(0, ("user", ""))
    if begun and not begun.text:
        begun = None
    return Chat(
        "\n\n".join(filter(None, system)),
        tuple(Message(role, text) for role, text in turns),
        begun,
    )


def _text(message: ChatMessage, number: int) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    other = next((part.type for part in message.content if part.text is None), None)
    if other is not None:
        raise ApiError(
            "Only parts of type text can be read; this model sees no images and hears no sound.",
            param=f"messages[{number}].content",
        )
    return "\n".join(part.text for part in message.content if part.text is not None)
