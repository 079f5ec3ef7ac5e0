"""An open chat: its messages in memory, and every change of them in the store.

The user's acts and the steps of a reply go in. What cannot be stored raises, and leaves the chat as
it was; only a reply stays in memory whatever happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from amulet_local.chats.conversation import Conversation, Node, Thought
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id
from amulet_local.chats.listing import title_of
from amulet_local.chats.provenance import (
    Ending,
    Origin,
    TokenMeasures,
    known_measures,
    measures_of,
    pack,
)
from amulet_local.chats.rows import Piece
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Step

SAVE_EVERY_S = 0.4  # with the time that a step takes to arrive, under half a second

_FORK = "Fork: "


@dataclass(frozen=True)
class _Before:
    """What `undo` returns to: the branch that was read, and what was deleted since."""

    leaf: str | None
    deletion: str = ""
    nodes: tuple[Node, ...] = ()


class Chat:
    """One chat of a store; a new one is stored, and listed, with its first question.

    conversation: for looking; its changes go through the methods here. history: the store it is in.
    Ids of messages that are not there raise KeyError.
    """

    def __init__(self, history: History, name: str = "") -> None:
        """name: a chat's id, or how it begins; empty for a new chat. Raises as `History.find`, and
        NotUsableError where the chat is damaged."""
        known = history.find(name) if name else None
        self.id = known.id if known else new_chat_id()
        self.title = known.title if known else ""
        self.conversation = history.load(known.id) if known else Conversation()
        self.history = history
        self._done: list[_Before] = []

    @classmethod
    def made_of(
        cls,
        history: History,
        conversation: Conversation,
        title: str,
        changed: float,
        name: str = "",
    ) -> Chat:
        """A chat that is whole from the beginning, added to a store. changed: when it is listed.
        name: its id, a new one where none is given; it must be new, and those of its messages."""
        chat = cls(history)
        chat.id, chat.title, chat.conversation = name or chat.id, title, conversation
        history.add_chat(chat.id, title, conversation, changed)
        return chat

    # -- saying -------------------------------------------------------------------------------

    def ask(self, text: str, wish: str = "") -> Node:
        """Put a question at the end of the branch that is read; the draft is sent with it."""
        node, draft = self.conversation.question(text, wish), self._draft_of
        self._add(node)
        self.history.save_draft("", draft)
        self.title = self.title or title_of(text)
        return node

    def edit(self, name: str, text: str, wish: str = "") -> Node:
        """Put a message in other words, beside itself; that version is read now."""
        before = _Before(self.conversation.leaf)
        node = self.conversation.edited(name, text, wish)
        self._add(node)
        self._done.append(before)
        return node

    def reply(
        self,
        question: str,
        origin: Origin,
        begun: Node | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> GrowingReply:
        """Begin a reply to a question, beside those it has; to regenerate is no more than that.

        begun: what it begins with, for instance `conversation.edited(…)` of another reply.
        """
        before = _Before(self.conversation.leaf)
        node = self.conversation.reply(question, origin, begun)
        self._add(node, growing=True)
        if len(self.conversation.siblings(node.id)) > 1:
            self._done.append(before)
        return GrowingReply(self, self.history, node, before, clock)

    def adopt(self, reply: Node) -> None:
        """Put a complete reply, which was written elsewhere, beside those there are."""
        before = _Before(self.conversation.leaf)
        self._add(reply)
        self._done.append(before)

    def take_back(self, name: str) -> None:
        """Forget a question that came to nothing and has no answer."""
        self.history.discard(self.conversation[name])
        self.conversation.delete(name)
        if not len(self.conversation):
            self.title = ""

    def _add(self, node: Node, *, growing: bool = False) -> None:
        self.history.add(self.id, node, growing=growing)
        self.conversation.add(node)

    # -- going back ---------------------------------------------------------------------------

    def walk(self, name: str, by: int) -> Node | None:
        """Read the version so many places after this message (or before, where negative), from
        where it was last read; None, and nothing happens, past the ends."""
        version = self.conversation.sibling(name, by)
        if version:
            self._done.append(_Before(self.conversation.leaf))
            self._read(version.id)
        return version

    def turn_to(self, name: str) -> None:
        """Read a branch that holds this message, from where it was last read."""
        if self.conversation[name] not in self.conversation.path():
            before = _Before(self.conversation.leaf)
            self._read(name)
            self._done.append(before)

    def delete(self, name: str) -> None:
        """Take out a message and all that follows from it."""
        leaf = self.conversation.leaf
        deletion = self.history.delete(self.conversation[name].id)
        self._done.append(_Before(leaf, deletion, self.conversation.delete(name)))
        self.history.select(self.id, self.conversation.leaf)

    def undo(self) -> bool:
        """Return to what was read before the last edit, regeneration, walk or deletion, and bring
        back what it took; False if there was none since the chat was opened."""
        if not self._done:
            return False
        before = self._done[-1]
        if before.deletion:
            self.history.undelete(before.deletion)
            self.conversation.restore(before.nodes)
        self._done.pop()
        self._read(before.leaf)
        return True

    def _read(self, name: str | None) -> None:
        if name and name in self.conversation:
            self.conversation.select(name)
        self.history.select(self.id, self.conversation.leaf)

    # -- the chat as a whole ------------------------------------------------------------------

    def rename(self, title: str) -> None:
        """Give it a title of the user's own."""
        self.history.rename(self.id, title)
        self.title = title_of(title) or self.title

    def fork(self, name: str) -> Chat:
        """A chat of its own that begins with all that led to a message, and that message."""
        title = title_of(_FORK + self.title.removeprefix(_FORK))
        return Chat.made_of(self.history, self.conversation.copied(name), title, time.time())

    @property
    def draft(self) -> str:
        """What was typed and not sent; set it while the user types."""
        return self.history.draft(self._draft_of)

    @draft.setter
    def draft(self, text: str) -> None:
        self.history.save_draft(text, self._draft_of)

    @property
    def _draft_of(self) -> str:
        return self.id if len(self.conversation) else ""


class GrowingReply:
    """A reply while it is written.

    Give it every step, and call `save` several times a second, so that a kill of the process takes
    half a second at most; a store that saves in turn needs no more than the steps, of which any
    thread may give them. node: as begun, and once it has ended, as it is stored.
    """

    def __init__(
        self,
        chat: Chat,
        history: History,
        node: Node,
        before: _Before,
        clock: Callable[[], float],
    ) -> None:
        self.node = self._begun = node
        self._chat, self._history, self._before, self._clock = chat, history, before, clock
        self._steps: list[Step] = []
        self._saved = self._being_saved = 0
        self._due = clock()
        self._thinks: bool | None = None  # whether it begins with a thought, once that is known
        self._silent = 0  # steps before the first with text
        self._ended = False
        self._lock = threading.Lock()  # of the steps

    @property
    def text(self) -> str:
        """What is written so far."""
        return self._begun.message.text + "".join(step.text for step in self._steps)

    @property
    def takes_early(self) -> bool:
        """Whether any thread may give it steps, as soon as there are any."""
        return self._history.in_turn

    @property
    def steps(self) -> int:
        """How many it has taken."""
        return len(self._steps)

    def add(self, step: Step) -> None:
        """Take a step; raises as `save` does."""
        with self._lock:
            if self._silent == len(self._steps) and not step.text:
                self._silent += 1
            if self._thinks is None and (step.text or step.thought):
                self._thinks = bool(step.thought)
            self._steps.append(step)
        self.save()

    def save(self) -> None:
        """Store what is new, if it is time. Raises UsageError where it cannot be stored; it is
        tried again with what comes."""
        if self._thinks is None or self._saved == len(self._steps) or self._ended:
            return
        if (
            self._history.grow_soon(self.node.id, self._new, self._keep)
            or self._clock() < self._due
        ):
            return
        self._due = self._clock() + SAVE_EVERY_S
        if new := self._new():
            self._history.grow(self.node.id, *new)
            self._keep()

    def _new(self) -> Piece | None:
        """What is not stored yet, if anything; `_keep` notes that it is."""
        with self._lock:
            self._being_saved = len(self._steps)
            if self._ended or self._saved == self._being_saved:
                return None
            return self._contents(self._saved)

    def _keep(self) -> None:
        self._saved = self._being_saved

    def finish(self, finished: Finished) -> Node:
        """End as the engine says. Raises UsageError where that cannot be stored: it may be called
        again."""
        return self._end(completed(self._begun, self._steps, finished))

    def break_off(self) -> Node:
        """End with what there is, because the engine died. Raises as `finish` does."""
        return self._end(replace(self._begun.grown(*self._contents()), ending=Ending("died")))

    def discard(self) -> None:
        """Forget the reply, because it came to nothing; the branch read before is read again."""
        self._ended = True
        self._history.discard(self._begun)
        chat = self._chat
        if self._begun.id in chat.conversation:
            chat.conversation.delete(self._begun.id)
            if chat._done and chat._done[-1] is self._before:
                chat._done.pop()
            chat._read(self._before.leaf)

    def _contents(self, start: int = 0) -> tuple[str, tuple[int, ...], bytes, str]:
        """Text, token ids, packed measures and thought of the steps from this number on. Behind a
        thought, ids are known only when the engine has told where the answer begins."""
        steps = self._steps[start:]
        before = max(0, self._silent - start) if self._thinks else 0
        return (
            "".join(step.text for step in steps),
            () if self._thinks else tuple(step.token for step in steps),
            pack(map(measures_of, steps[before:])),
            "".join(step.thought for step in steps),
        )

    def _end(self, node: Node) -> Node:
        self.node, self._ended = node, True
        if self.node.id in self._chat.conversation:
            self._chat.conversation.replace(self.node)
        self._history.finish(self.node)
        return self.node


def completed(begun: Node, steps: Sequence[Step], finished: Finished) -> Node:
    """A reply as it stands in the end. begun: what it began with; steps: all there were."""
    if finished.text and not steps:  # which the last token before was held back with
        begun = replace(begun, measures=_stretched(begun.measures, len(finished.text)))
    said = begun.message
    if finished.begun_ids and not said.token_ids and not begun.measures:  # words of the user's
        begun = replace(begun, message=Message(said.role, said.text, finished.begun_ids))
    start = finished.stats.thought_tokens
    shared = start and not finished.token_ids  # a token is the thought's and the answer's
    end = finished.stats.tokens if shared else start + len(finished.token_ids)
    measures = pack(fitted(steps[start:end], finished.text))
    node = begun.grown(finished.text, finished.token_ids, measures)
    if start:
        known = finished.text and not shared
        before = tuple(step.token for step in steps[:start]) if known else ()
        node = replace(node, thought=Thought(finished.thought, before))
    return replace(node, ending=Ending(finished.reason, finished.stats))


def fitted(steps: Sequence[Step], text: str) -> list[TokenMeasures]:
    """The measures of the steps, which come to the whole text: what the engine held back until
    the end belongs to the last."""
    tokens = [measures_of(step) for step in steps]
    if tokens:
        rest = len(text) - sum(token.characters for token in tokens[:-1])
        tokens[-1] = msgspec.structs.replace(tokens[-1], characters=max(0, rest))
    return tokens


def _stretched(measures: bytes, characters: int) -> bytes:
    """Measures whose last token has so many characters more."""
    tokens = list(known_measures(measures))
    if tokens:
        more = tokens[-1].characters + characters
        tokens[-1] = msgspec.structs.replace(tokens[-1], characters=more)
    return pack(tokens)
