"""The part of a chat that fits the context: one that outgrows it loses its oldest turns."""

from __future__ import annotations

from amulet_local.engine.requests import Prompts, longest, prompts_of
from amulet_local.errors import UsageError
from amulet_local.generation.reply import Emit
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Notice, Reply


class ContextWindow:
    """What of the chat under way is left out. length: tokens that each stream may hold."""

    def __init__(self, prompter: Prompter, length: int) -> None:
        self._prompter, self.length = prompter, length
        self._left_out: tuple[Message, ...] = ()

    def prompts(self, request: Reply, written: int, emit: Emit) -> Prompts:
        """The prompts of all streams, without the chat's oldest turns where it has grown too long.

        Once turns must go, enough go to leave a quarter of the context free, so that the next
        turns find their beginning in the cache again. Empty if the `written` tokens of the reply
        leave no room even so; raises UsageError if the newest message alone does not fit.
        """
        length, messages = self.length, request.messages
        start, prompts = self._fit(request, written)
        if start > len(self._left_out):
            emit(
                Notice(
                    f"The chat no longer fits the context of {length:,} tokens: its oldest "
                    f"{start} messages are left out from here on."
                )
            )
        self._left_out = messages[:start]
        if longest(prompts) + written >= length:
            if written:
                return {}
            raise too_long(longest(prompts), length)
        return prompts

    def prompts_for(self, request: Reply) -> Prompts:
        """The prompts that `prompts` would give, of which nobody is told, and which change nothing;
        empty where there is no room. Raises UsageError where they cannot be made."""
        _, prompts = self._fit(request, 0)
        return prompts if longest(prompts) < self.length else {}

    def _fit(self, request: Reply, written: int) -> tuple[int, Prompts]:
        """How many messages are left out, and the prompts without them."""
        length, messages = self.length, request.messages
        start = len(self._left_out) if messages[: len(self._left_out)] == self._left_out else 0
        needed = written + min(request.max_tokens - written, length // 4)
        prompts = prompts_of(request, self._prompter, start)
        if longest(prompts) + needed > length:
            while longest(prompts) + needed > length * 3 // 4 and start + 2 < len(messages):
                start += 2  # a question and its answer
                prompts = prompts_of(request, self._prompter, start)
        return start, prompts


class TooLongError(UsageError):
    """A prompt does not fit the context."""


def too_long(tokens: int, length: int) -> TooLongError:
    """What to raise for a prompt of so many tokens, where a stream holds `length`."""
    return TooLongError(
        f"the message gives a prompt of {tokens:,} tokens, but the context only holds "
        f"{length:,}; shorten it, or load the model with a larger context."
    )
