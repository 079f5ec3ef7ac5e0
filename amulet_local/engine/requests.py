"""What a request for a reply asks for: prompts of its streams, and how these combine.

Requests go in; token ids and Combinations come out, or UsageError for what cannot be done. Nothing
is evaluated here.
"""

from __future__ import annotations

import math
from dataclasses import replace

from amulet_local.errors import UsageError
from amulet_local.prompts.prompting import Prompter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.messages import Reply
from amulet_local.realignment import (
    BASE_STREAM,
    METHODS,
    PREF_STREAM,
    Combination,
    strength_and_guard,
)

Prompts = dict[int, list[int]]  # by stream


def check(request: Reply) -> None:
    """Raises UsageError for what no reply can be made of."""
    if not math.isfinite(request.alignment.strength):
        raise UsageError("the strength must be a number.")
    expected = ["user" if i % 2 == 0 else "assistant" for i in range(len(request.messages))]
    roles = [message.role for message in request.messages]
    if not roles or roles[-1] != "user" or roles != expected:
        raise UsageError("messages must alternate, starting and ending with the user's.")


def prompts_of(request: Reply, prompter: Prompter, start: int = 0) -> Prompts:
    """Stream -> token ids up to where the answer begins, of the streams that the request needs,
    without the chat's first `start` messages. Raises UsageError."""
    alignment = request.alignment
    followed = {BASE_STREAM: ("", ""), PREF_STREAM: (alignment.preference, request.wish)}
    method = alignment.method if request.steered else "base"
    measured = request.trace and request.steered  # both are compared
    streams = tuple(followed) if measured else METHODS[method].streams
    try:
        return {
            stream: prompter.prompt(
                request.system,
                request.messages[start:],
                preference,
                alignment.placement,
                wish=wish,
                thinking=leaves_thought(request),
            )
            + list(request.thought)
            for stream in streams
            for preference, wish in [followed[stream]]
        }
    except TemplateError as error:
        raise UsageError(f"the model's chat template cannot format this chat: {error}.") from None


def longest(prompts: Prompts) -> int:
    """Tokens of the longest one."""
    return max(map(len, prompts.values()))


def leaves_thought(request: Reply) -> bool:
    """Whether the prompt leaves room for a thought: one that was thought already, if any was."""
    begun = request.begun and (request.begun.text or request.begun.token_ids)
    return request.thinking and bool(request.thought or not begun)


def combination_of(request: Reply, streams: int) -> tuple[Combination, float]:
    """How this many streams combine, and the strength to tell. Base and pref are never guarded:
    the guard is for what lies beyond the two."""
    alignment = request.alignment
    method = alignment.method if request.steered else "base"
    strength, guard = strength_and_guard(method, alignment.strength, alignment.guard)
    if streams == 1:
        return Combination((), 0.0), strength
    return Combination((strength,), guard, request.trace), strength


def turned_to(combination: Combination, strength: float) -> Combination:
    """The same with another strength, where there is a preference to follow."""
    if combination.strengths in ((), (strength,)):
        return combination
    return replace(combination, strengths=(strength,))
