"""What a request for a reply asks for: prompts of its streams, and how these combine.

Requests go in; token ids and Combinations come out, or UsageError for what cannot be done. Nothing
is evaluated here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

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
from amulet_local.verifiers.recognise import avoided_words

if TYPE_CHECKING:
    from amulet_local.runtime.llama.vocabulary import Vocabulary

Prompts = dict[int, list[int]]  # by stream


def checked(request: Reply, vocabulary: int) -> Reply:
    """The request, in which no token is named that is not among so many: what stands in a file
    (an imported chat's) may be of another model, or a lie, and llama.cpp ends the process over it.
    Its text then says it. Raises UsageError for what no reply can be made of."""
    if not math.isfinite(request.alignment.strength):
        raise UsageError("the strength must be a number.")
    expected = ["user" if i % 2 == 0 else "assistant" for i in range(len(request.messages))]
    roles = [message.role for message in request.messages]
    if not roles or roles[-1] != "user" or roles != expected:
        raise UsageError("messages must alternate, starting and ending with the user's.")

    def known(tokens: Iterable[int]) -> bool:
        return all(0 <= token < vocabulary for token in tokens)

    said = [*request.messages, *filter(None, [request.begun])]
    if all(known(message.token_ids) for message in said) and known(request.thought):
        return request
    messages = tuple(
        message if known(message.token_ids) else structs.replace(message, token_ids=())
        for message in said
    )
    count = len(request.messages)
    return structs.replace(
        request,
        messages=messages[:count],
        begun=messages[count] if request.begun else None,
        thought=request.thought if known(request.thought) else (),
    )


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


def strength_of(request: Reply) -> float:
    """The strength to tell."""
    return _strength_and_guard(request)[0]


def combination_of(request: Reply, streams: int, vocabulary: Vocabulary) -> Combination:
    """How this many streams combine. Base and pref are never guarded: the guard is for what lies
    beyond the two."""
    if streams == 1:
        return Combination((), 0.0)
    strength, guard = _strength_and_guard(request)
    withheld = spelled(avoided(request), vocabulary)
    return Combination((strength,), guard, request.trace, withheld)


def avoided(request: Reply) -> tuple[str, ...]:
    """The words that a reply is asked to leave out, where that is certain."""
    return avoided_words(request.alignment.preference) + avoided_words(request.wish)


def spelled(words: Sequence[str], vocabulary: Vocabulary) -> tuple[tuple[int, ...], ...]:
    """Such words as tokens: with a space before and without, as they are, in small letters, in
    capitals, and with one."""
    forms = {
        space + form
        for word in words
        for form in (word, word.lower(), word.capitalize(), word.upper())
        for space in ("", " ")
    }
    return tuple(sorted({tuple(vocabulary.tokenize(form)) for form in forms} - {()}))


def _strength_and_guard(request: Reply) -> tuple[float, float]:
    alignment = request.alignment
    method = alignment.method if request.steered else "base"
    return strength_and_guard(method, alignment.strength, alignment.guard)


def turned_to(combination: Combination, strength: float) -> Combination:
    """The same with another strength, where there is a preference to follow."""
    if combination.strengths in ((), (strength,)):
        return combination
    return replace(combination, strengths=(strength,))
