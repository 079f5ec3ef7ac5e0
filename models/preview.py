"""What a model will see: both prompts of a question, with and without a preference, as text.

A file and a question go in, two texts come out; the template is the file's own, rendered in the
sandbox that the engine uses. No native code sees the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from amulet_local.errors import NotUsableError
from amulet_local.prompts.prompting import PromptWriter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.alignment import Placement
from amulet_local.protocol.message import Message
from models.gguf_constants import Keys
from models.header import Header, Omitted, Value, read_header, read_string

_BEGINS_BY_ITSELF = ("llama",)  # tokenizers that begin a text where the file does not say


@dataclass(frozen=True)
class Preview:
    """The prompts, control tokens spelled out; as untrusted as the file. problem: why the model's
    own template could not be used, if so; a plain transcript then takes its place."""

    base: str
    preference: str
    problem: str


def preview(
    path: Path,
    question: str,
    preference: str,
    *,
    system: str = "",
    placement: Placement = "system",
    wish: str = "",
) -> Preview:
    """The prompts of a chat that begins with a question. wish: for the reply to it alone.

    Raises NotUsableError where the file cannot be read, or its template cannot write this chat.
    """
    header = read_header(path, compare_tokens=False)
    template = header.metadata.get(Keys.Tokenizer.CHAT_TEMPLATE)
    bos, eos = _token(header, Keys.Tokenizer.BOS_ID), _token(header, Keys.Tokenizer.EOS_ID)
    writer = PromptWriter(template if isinstance(template, str) else None, bos, eos)
    messages = (Message("user", question),)
    try:
        texts = [
            writer.text(system, messages),
            writer.text(system, messages, preference, placement, wish=wish),
        ]
    except TemplateError as error:
        raise NotUsableError(
            f"the chat template of {path} cannot format a chat: {error}."
        ) from None
    if _begins(header):
        texts = [text if text.startswith(bos) else bos + text for text in texts]
    base, preferred = texts
    return Preview(base, preferred, writer.problem)


def _token(header: Header, key: str) -> str:
    number, tokens = header.metadata.get(key), header.metadata.get(Keys.Tokenizer.LIST)
    if isinstance(number, int) and isinstance(tokens, Omitted):
        return read_string(header, tokens, number)
    return ""


def _begins(header: Header) -> bool:
    """Whether the tokenizer puts a token before every text."""
    said: Value | None = header.metadata.get(Keys.Tokenizer.ADD_BOS)
    if isinstance(said, bool):
        return said
    return header.metadata.get(Keys.Tokenizer.MODEL) in _BEGINS_BY_ITSELF
