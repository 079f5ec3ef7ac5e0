"""Chats as clients send them become turns, and nothing that was said is lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from amulet_local.protocol.message import Message
from amulet_local.server.bodies import ChatMessage
from amulet_local.server.chats import Chat, chat_of
from amulet_local.server.failures import ApiError


def chat(*messages: tuple[str, Any]) -> Chat:
    raw = [{"role": role, "content": content} for role, content in messages]
    return chat_of(msgspec.convert(raw, list[ChatMessage]))


def test_two_of_one_role_in_a_row_are_one_turn() -> None:
    found = chat(("user", "One."), ("user", "Two."), ("assistant", "A"), ("user", "Three."))
    assert [message.text for message in found.messages] == ["One.\n\nTwo.", "A", "Three."]


def test_system_and_developer_messages_are_the_system_prompt_wherever_they_stand() -> None:
    found = chat(("system", "Be kind."), ("user", "Hello."), ("developer", "Be brief."))
    assert (found.system, found.messages) == ("Be kind.\n\nBe brief.", (Message("user", "Hello."),))


def test_only_a_system_message_is_a_chat() -> None:
    assert chat(("system", "Greet.")) == Chat("Greet.", (Message("user", ""),), None)


def test_an_assistant_who_speaks_last_goes_on_and_first_is_answered() -> None:
    last = chat(("user", "Count."), ("assistant", "One, two,"))
    assert last.begun == Message("assistant", "One, two,")
    assert last.messages == (Message("user", "Count."),)
    first = chat(("assistant", "Welcome!"), ("user", "Hello."))
    assert [message.role for message in first.messages] == ["user", "assistant", "user"]
    assert chat(("user", "Hello."), ("assistant", None)).begun is None


def test_parts_are_one_text_and_what_a_tool_said_is_text() -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    found = chat(("user", parts), ("assistant", None), ("tool", "42"))
    assert [message.text for message in found.messages] == ["One.\nTwo.", "", "42"]


def test_a_picture_is_refused_in_a_sentence() -> None:
    with pytest.raises(ApiError, match="sees no images") as raised:
        chat(("user", [{"type": "image_url", "image_url": {"url": "data:,"}}]))
    assert raised.value.param == "messages[0].content"
