"""What has been said: the messages of a chat, as a tree of branches.

A question's parent is the reply before it, a reply's parent is its question. To ask again, to edit
or to regenerate adds a sibling, so nothing is lost; the engine gets one branch, oldest first. A
message of the assistant keeps the token ids it was sampled as, so that the next turn continues the
same KV cache instead of tokenising the text again and perhaps differently. Nothing here knows of
storage, engines or screens.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from amulet_local.chats.ids import new_id, renewed, time_of
from amulet_local.chats.provenance import Ending, Origin
from amulet_local.protocol.message import Message


class Thought(msgspec.Struct, frozen=True):
    """What a model thought before a reply; later turns do not tell it.

    text: without its marks. token_ids: all that came before the reply's first token, marks
    included; empty where they are not known, or the thought did not come to its end.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()


NO_THOUGHT = Thought()


@dataclass(frozen=True)
class Node:
    """A message in its place in the tree.

    parent: None for the first question of a branch. origin: None for what a person wrote, an
    edited reply included. ending: None while a reply is being written. measures: of the tokens at
    the end of the text, packed (see provenance.unpack). thought: what came before the text.
    """

    id: str
    parent: str | None
    message: Message
    origin: Origin | None = None
    ending: Ending | None = None
    measures: bytes = b""
    thought: Thought = NO_THOUGHT

    @property
    def made(self) -> float:
        """When, in seconds since 1970."""
        return time_of(self.id)

    def grown(
        self, text: str, token_ids: tuple[int, ...], measures: bytes, thought: str = ""
    ) -> Node:
        """With more at its end. Token ids that are not known from the first on are left out."""
        old = self.message
        known = bool(old.token_ids) or not old.text
        message = Message(old.role, old.text + text, old.token_ids + token_ids if known else ())
        before = Thought(self.thought.text + thought, self.thought.token_ids)
        return replace(self, message=message, measures=self.measures + measures, thought=before)


class Conversation:
    """All branches of a chat, and the one that is being read.

    Every node remembers which child was last read, so walking away and back returns to the same
    leaf. Unknown ids raise KeyError.
    """

    def __init__(self, nodes: Iterable[Node] = (), leaf: str | None = None) -> None:
        """leaf: the end of the branch to read; the newest one if it is not there.

        Raises ValueError where the nodes are no tree of alternating messages.
        """
        self._nodes: dict[str, Node] = {}
        self._children: defaultdict[str | None, list[str]] = defaultdict(list)
        self._read: dict[str | None, str] = {}
        self.restore(nodes)
        if len(self._below(None)) < len(self._nodes):
            raise ValueError("some messages are not connected to the first")
        if leaf in self._nodes:
            self._choose(leaf)

    # -- looking ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them, in the order in which they were made."""
        return tuple(self._nodes[name] for name in sorted(self._nodes))

    @property
    def leaf(self) -> str | None:
        """The newest message of the branch that is being read; None in an empty chat."""
        name = None
        while children := self._children.get(name):
            read = self._read.get(name)
            name = read if read in self._nodes else children[-1]
        return name

    def path(self, to: str | None = None) -> tuple[Node, ...]:
        """From the first question to this message (by default the leaf), oldest first."""
        path, name = [], to or self.leaf
        while name is not None:
            path.append(self._nodes[name])
            name = path[-1].parent
        return tuple(reversed(path))

    def messages(self, to: str | None = None) -> tuple[Message, ...]:
        """The path as the engine gets it."""
        return tuple(node.message for node in self.path(to))

    def siblings(self, name: str) -> tuple[Node, ...]:
        """The versions of a message, oldest first, itself among them."""
        return tuple(self._nodes[other] for other in self._children[self._nodes[name].parent])

    def sibling(self, name: str, by: int) -> Node | None:
        """The version so many places later (or earlier, where negative); None past the ends."""
        versions = self.siblings(name)
        place = versions.index(self._nodes[name]) + by
        return versions[place] if 0 <= place < len(versions) else None

    # -- messages to be added -----------------------------------------------------------------

    def question(self, text: str, wish: str = "") -> Node:
        """What the user says next, and wishes of the reply to it. A question that has no answer is
        not answered by another: the new one stands beside it."""
        leaf = self.leaf
        if leaf and self._nodes[leaf].message.role == "user":
            leaf = self._nodes[leaf].parent
        return Node(new_id(), leaf, Message("user", text, wish=wish))

    def reply(self, question: str, origin: Origin, begun: Node | None = None) -> Node:
        """A reply yet to be written, beside those there are. begun: one whose text and tokens it
        begins with, to be continued, and whose thought, unless nothing came of it."""
        if begun is None:
            return Node(new_id(), question, Message("assistant", ""), origin)
        thought = begun.thought if begun.message.text or begun.thought.token_ids else NO_THOUGHT
        node = Node(new_id(), question, begun.message, origin)
        return replace(node, measures=begun.measures, thought=thought)

    def edited(self, name: str, text: str, wish: str = "") -> Node:
        """A message in the user's own words, beside the one it is made from."""
        old = self._nodes[name]
        return Node(new_id(), old.parent, Message(old.message.role, text, wish=wish))

    # -- changing -----------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        """Add a message and read its branch. Raises ValueError where it cannot stand there."""
        self.restore([node])
        self._choose(node.id)

    def replace(self, node: Node) -> None:
        """A message as it is now, in place of what it was."""
        if self._nodes[node.id].parent != node.parent:
            raise ValueError("a message keeps its place")
        self._nodes[node.id] = node

    def select(self, name: str) -> None:
        """Read the branch of a message, down to the leaf last read there, else the newest."""
        self._choose(name)

    def delete(self, name: str) -> tuple[Node, ...]:
        """Take out a message and all that follows from it; returns what `restore` puts back."""
        parent = self._nodes[name].parent
        gone = (name, *self._below(name))
        self._children[parent].remove(name)
        for each in gone:
            self._children.pop(each, None)
        return tuple(self._nodes.pop(each) for each in gone)

    def restore(self, nodes: Iterable[Node]) -> None:
        """Put back what was deleted."""
        nodes = tuple(nodes)
        arriving = {node.id: node for node in nodes}
        if len(arriving) < len(nodes) or arriving.keys() & self._nodes.keys():
            raise ValueError("a message appears twice")
        for node in nodes:
            if node.parent is not None:
                parent = arriving.get(node.parent) or self._nodes.get(node.parent)
                if parent is None:
                    raise ValueError("a message answers one that does not exist")
                if parent.message.role == node.message.role:
                    raise ValueError("questions and replies do not alternate")
            elif node.message.role != "user":
                raise ValueError("a chat begins with a question")
        self._nodes |= arriving
        for node in nodes:
            insort(self._children[node.parent], node.id)

    def copied(self, to: str | None = None) -> Conversation:
        """A conversation of its own under new ids: the path to a message, or all branches."""
        nodes = self.path(to) if to else self.nodes
        names = renewed(node.id for node in nodes)
        copies = [
            replace(node, id=names[node.id], parent=names.get(node.parent or "")) for node in nodes
        ]
        return Conversation(copies, names.get(to or self.leaf or ""))

    def _choose(self, name: str) -> None:
        for node in self.path(name):
            self._read[node.parent] = node.id

    def _below(self, name: str | None) -> list[str]:
        """All that follows from a message, parents before children."""
        found = list(self._children.get(name, ()))
        for each in found:  # which grows meanwhile
            found += self._children.get(each, ())
        return found
