"""A reply while it is written: what its steps change, how fast they come, how long it thinks.

Steps go in; Changes come out. Nothing here knows of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amulet_local.chats.chat import Chat, GrowingReply
from amulet_local.chats.conversation import Node
from amulet_local.protocol.messages import Reply, Step
from tui.session.changes import Change, Thinking, Wrote
from tui.session.steering import SteeringChoice


@dataclass
class StreamingReply:
    """chat: that it is part of. question: the message that it answers, if it was asked just now.
    begun: what it goes on from, if anything. clock: in seconds. thinking: whether it is at a
    thought, and has not begun to answer."""

    request: Reply
    steering: SteeringChoice
    chat: Chat
    growing: GrowingReply
    question: Node | None
    begun: Node | None
    clock: Callable[[], float]
    tokens: int = 0
    thinking: bool = False
    _began: float = 0.0
    _answers: bool = False

    def take(self, step: Step) -> list[Change]:
        """What one more step changes."""
        if not self.tokens:
            self._began = self.clock()
        self.tokens += 1
        changes: list[Change] = []
        if (self.thinking or step.thought) and not self._answers:
            self.thinking = not step.text
            told = self.tokens if self.thinking else self.tokens - 1
            seconds = self.clock() - self._began
            changes.append(Thinking(step.thought, told, seconds, over=not self.thinking))
        if step.text:
            self._answers = True
            changes.append(Wrote(step.text))
        return changes

    @property
    def as_it_is(self) -> Callable[[], object]:
        """What ends it where no more of it will come."""
        return self.growing.break_off if self.tokens else self.growing.discard

    @property
    def speed(self) -> float:
        """Tokens a second so far; 0 while that cannot be told."""
        passed = self.clock() - self._began
        return (self.tokens - 1) / passed if self.tokens > 1 and passed > 0 else 0.0
