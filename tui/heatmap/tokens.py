"""A reply token by token: which characters are whose, what was measured, and how to cut it.

A stored reply goes in; its tokens come out, and replies that part from it at one of them. Nothing
here knows of widgets or of the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec

from amulet_local.chats.conversation import Node
from amulet_local.chats.ids import new_id
from amulet_local.chats.provenance import Ending, TokenMeasures, known_measures, pack
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Candidate, Candidates

_NO_CHARACTER = "\ufffd"  # what part of one decodes to


@dataclass(frozen=True)
class Token:
    """A token that was measured, and its part of the text: text[start:end], which may be empty."""

    start: int
    end: int
    measures: TokenMeasures


@dataclass(frozen=True)
class Reading:
    """A reply and its tokens. All numbers of tokens count from the first that was measured: what a
    reply was begun with by hand has no measures, and comes before."""

    node: Node

    @property
    def text(self) -> str:
        """What it says."""
        return self.node.message.text

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Those that were measured; they end with the text. Empty where measures do not fit it."""
        found = known_measures(self.node.measures)
        start = len(self.text) - sum(token.characters for token in found)
        if start < 0:
            return ()
        tokens = []
        for measures in found:
            tokens.append(Token(start, start + measures.characters, measures))
            start += measures.characters
        return tuple(tokens)

    @property
    def known(self) -> bool:
        """Whether the ids of all tokens are known."""
        return bool(self.tokens) and self.before >= 0

    @property
    def before(self) -> int:
        """How many tokens come before the measured ones; below 0 where that is not known."""
        return len(self.node.message.token_ids) - len(self.tokens)

    @cached_property
    def flips(self) -> tuple[int, ...]:
        """The numbers of the tokens at which the greedy choice was another one."""
        return tuple(at for at, token in enumerate(self.tokens) if token.measures.flip)

    def text_of(self, number: int) -> str:
        """A token's part of the text."""
        token = self.tokens[number]
        return self.text[token.start : token.end]

    # -- parting from it ----------------------------------------------------------------------

    def cut(self, number: int) -> Node:
        """The reply up to a token, which is not part of it. Text that the engine still held back
        there comes with what it writes next (see protocol.Reply)."""
        ids = self.node.message.token_ids[: self.before + number] if self.known else ()
        message = Message("assistant", self.text[: self.tokens[number].start], ids)
        measures = pack(token.measures for token in self.tokens[:number])
        return replace(self.node, message=message, measures=measures, ending=None)

    def replaced(self, number: int, candidate: Candidate, candidates: Candidates) -> Node:
        """The reply up to a token, with another one in its place. candidates: at that place."""
        begun, token = self.cut(number), self.tokens[number]
        held = number > 0 and not self.tokens[number - 1].measures.characters
        whole = not held and _NO_CHARACTER not in candidate.text
        text = candidate.text if whole else ""
        measures = msgspec.structs.replace(
            token.measures,
            characters=len(text),
            logp_base=_logp(candidate, candidates.base),
            logp_pref=_logp(candidate, candidates.pref),
            logp_realigned=_logp(candidate, candidates.realigned),
            shares=(),
        )
        return begun.grown(text, (candidate.token,), pack([measures]))

    def ended(self, number: int) -> Node:
        """A reply of its own that ends before a token."""
        return replace(self.cut(number), id=new_id(), ending=Ending("stop"))


def _logp(candidate: Candidate, among: tuple[Candidate, ...]) -> float | None:
    """A token's log-probability in nats, where it is one of the likeliest."""
    chances = [other.p for other in among if other.token == candidate.token]
    return math.log(chances[0]) if chances and chances[0] > 0 else None
