"""A chat as a file: Markdown for people, JSON that can be imported again with nothing lost.

Files come from anywhere, so what is imported is checked: sizes, ids, and that it is a tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Conversation, Node, Thought
from amulet_local.chats.followed import followed
from amulet_local.chats.history import History
from amulet_local.chats.ids import ChatId, Id, new_chat_id
from amulet_local.chats.listing import title_of
from amulet_local.chats.provenance import Ending, Origin, Reason, StoredOrigin, unpack
from amulet_local.chats.wishes import next_fence, wish_lines
from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.files import write_named
from amulet_local.protocol.message import Message, Role, Wish
from amulet_local.safe_text import file_stem
from amulet_local.system import paths
from amulet_local.system.text_files import DECODER_ERRORS, decoder_reason, read_text

Kind = Literal["md", "json"]

_FORMAT: Final = "amulet-chat"
_VERSION: Final = 2  # the first that knows mixes; a chat without any is written as the one before
_MOST_BYTES = 64 * 1024 * 1024

TokenId = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message with all that is stored of it. measures: see provenance.pack, in base64."""

    id: Id
    role: Role
    text: str
    parent: Id | None = None
    token_ids: tuple[TokenId, ...] = ()
    origin: StoredOrigin | None = None
    ending: Ending | None = None
    measures: bytes = b""
    thought: str = ""
    thought_ids: tuple[TokenId, ...] = ()
    wish: Wish = ""


class _Head(msgspec.Struct, frozen=True):
    """What a chat of any version says."""

    format: str
    version: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chat with all its branches. leaf: the last message of the one that was read."""

    format: Literal["amulet-chat"]
    version: Literal[1, 2]
    id: ChatId
    title: str
    leaf: Id
    messages: Annotated[tuple[_Message, ...], msgspec.Meta(min_length=1)]


# -- files ----------------------------------------------------------------------------------------


def kind_of(path: Path) -> Kind:
    """What a file is to hold, by the end of its name."""
    return "json" if path.suffix.casefold() == ".json" else "md"


def file_name(title: str, kind: Kind = "md") -> str:
    """A name for the file of a chat, of its title's letters and digits."""
    return f"{file_stem(title) or 'chat'}.{kind}"


def export_chat(chat: Chat, path: Path, kind: Kind, *, overwrite: bool) -> None:
    """Write a chat to a file.

    Raises FileExistsError where there is one that must not be overwritten, UsageError where it
    cannot be written.
    """
    text, path = FORMATS[kind](chat), paths.usable(path)
    try:
        write_named(path, text.encode("utf-8", "replace"), overwrite=overwrite)
    except FileExistsError:
        raise
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({cause(error)}); {advice(error, 'choose another file')}."
        ) from None


# -- JSON -----------------------------------------------------------------------------------------


def to_json(chat: Chat) -> str:
    """One JSON document, in ASCII, that `import_chat` reads."""
    messages = [_message(node) for node in chat.conversation.nodes]
    leaf = chat.conversation.leaf or ""
    mixed = any(node.origin and node.origin.alignment.mix for node in chat.conversation.nodes)
    file = _File(_FORMAT, _VERSION if mixed else 1, chat.id, chat.title, leaf, tuple(messages))
    return json.dumps(msgspec.to_builtins(file), separators=(",", ":")) + "\n"


def import_chat(history: History, path: Path) -> Chat:
    """Add a chat that was exported as JSON to the store; under new ids, if it is there already.

    Raises NotUsableError where the file cannot be read or is no such chat, UsageError where no file
    can have such a name.
    """
    path = paths.usable(path)
    try:
        text = read_text(path, _MOST_BYTES)
        head = msgspec.json.decode(text, type=_Head)
        if head.format == _FORMAT and head.version > _VERSION:
            raise NotUsableError(
                f"{path} was exported by a newer Amulet (format version {head.version}, "
                f"while this one supports {_VERSION}); update Amulet, then import it again."
            )
        file = msgspec.json.decode(text, type=_File)
        conversation = Conversation(map(_node, file.messages), file.leaf)
    except OSError as error:
        raise NotUsableError(
            f"{path} cannot be read ({cause(error)}); "
            f"{advice(error, 'choose a chat exported as JSON')}."
        ) from None
    except DECODER_ERRORS as error:
        raise NotUsableError(
            f"{path} is not an Amulet chat export ({decoder_reason(error)}); export one with: "
            "amulet chats export ID --format json"
        ) from None
    chat, title = file.id, title_of(file.title) or title_of(conversation.nodes[0].message.text)
    changed = max(node.made for node in conversation.nodes)
    if history.known(chat, (node.id for node in conversation.nodes)):
        chat, conversation = new_chat_id(), conversation.copied()
    return Chat.made_of(history, conversation, title, changed, chat)


def _message(node: Node) -> _Message:
    return _Message(
        id=node.id,
        role=node.message.role,
        text=node.message.text,
        parent=node.parent,
        token_ids=node.message.token_ids,
        origin=StoredOrigin.of(node.origin) if node.origin else None,
        ending=node.ending,
        measures=node.measures,
        thought=node.thought.text,
        thought_ids=node.thought.token_ids,
        wish=node.message.wish,
    )


def _node(message: _Message) -> Node:
    """Raises ValueError where the measures are not those of the text."""
    if sum(token.characters for token in unpack(message.measures)) > len(message.text):
        raise ValueError("a message has measurements for a longer text")
    return Node(
        message.id,
        message.parent,
        Message(message.role, message.text, message.token_ids, message.wish),
        message.origin.origin() if message.origin else None,
        message.ending,
        message.measures,
        Thought(message.thought, message.thought_ids),
    )


# -- Markdown -------------------------------------------------------------------------------------


def to_markdown(chat: Chat) -> str:
    """The branch that is read, with a line below each reply on how it came about; thoughts, which
    were not said, are left out."""
    path = chat.conversation.path()
    parts = [f"# {chat.title or 'Untitled'}"]
    parts += [f"*{_day(datetime.fromtimestamp(path[0].made))}*"] if path else []
    for node in path:
        parts += [f"## {_speaker(node)}", _closed(node.message.text.strip())]
        if wish := wish_lines(node.message.wish):
            parts.append("\n".join(f"> {line}" for line in wish))
        parts += [f"*{_how(node, node.origin)}*"] if node.origin else []
    if others := len(chat.conversation) - len(path):
        parts.append(
            f"*{others} more on other branches; to export all of them, run: "
            f"amulet chats export {chat.id} --format json*"
        )
    return "\n\n".join(parts) + "\n"


def _speaker(node: Node) -> str:
    if node.message.role == "user":
        return "You"
    return node.origin.model if node.origin else "Reply, written by you"


def _how(node: Node, origin: Origin) -> str:
    words, ending = [], node.ending
    if origin.steered:
        alignment = origin.alignment
        preferred = [origin.preset or "own preference"] if alignment.preference else []
        preferred += ["wish"] if origin.wish else []
        at = "" if alignment.mix else f" at strength {alignment.strength:.2f}"
        preferred = [
            f"{fader.name or 'own preference'} at {fader.strength:.2f}" for fader in alignment.heard
        ] * bool(alignment.mix) + preferred
        words.append(" and ".join(preferred) + at)
        words += followed(node).told
    words.append(f"seed {origin.seed}")
    if ending and ending.reason != "stop":
        words.append(_ENDINGS[ending.reason])
    return ", ".join(words)


_ENDINGS: dict[Reason, str] = {
    "length": "cut off at the length limit",
    "cancelled": "stopped",
    "died": "cut off when the engine crashed",
    "interrupted": "interrupted",
}

FORMATS: Mapping[Kind, Callable[[Chat], str]] = {"md": to_markdown, "json": to_json}


def _day(moment: datetime) -> str:
    return f"{moment:%A}, {moment.day} {moment:%B %Y}"


def _closed(text: str) -> str:
    """A text whose last code block ends, as it may not where the reply was cut off."""
    fence = reduce(next_fence, text.splitlines(), "")
    return f"{text}\n{fence}" if fence else text
