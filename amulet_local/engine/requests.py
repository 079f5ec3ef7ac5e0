"""What a request for a reply asks for: prompts of its streams, and how these combine.

Requests go in; token ids and Combinations come out, or UsageError for what cannot be done. Nothing
is evaluated here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from amulet_local.errors import UsageError
from amulet_local.generation.withholding import withheld
from amulet_local.prompts.prompting import Prompter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.messages import Reply
from amulet_local.protocol.voices import check_strengths, held_back, places_of, voices_of
from amulet_local.realignment import Combination
from amulet_local.strengths import (
    BASE,
    BASE_STREAM,
    METHODS,
    PREF_STREAM,
    overall,
    strength_and_guard,
)

if TYPE_CHECKING:
    from amulet_local.runtime.llama.vocabulary import Vocabulary

Prompts = dict[int, list[int]]  # by stream


def checked(request: Reply, vocabulary: int) -> Reply:
    """The request, in which no token is named that is not among so many: what stands in a file
    (an imported chat's) may be of another model, or a lie, and llama.cpp ends the process over it.
    Its text then says it. Raises UsageError for what no reply can be made of."""
    check_strengths(request.alignment)
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
    voices = voices_of(request.alignment, request.wish)
    followed = {voice.stream: (voice.preference, voice.wish) for voice in voices}
    method = alignment.method if request.steered else "base"
    measured = request.trace and voices  # all are compared
    if measured or BASE_STREAM in METHODS[method].streams:
        followed = {BASE_STREAM: ("", ""), **followed}
    if method == "base" and not measured:
        followed = {BASE_STREAM: ("", "")}
    if request.plain:
        text = request.messages[-1].text
        return {
            stream: prompter.plain("\n\n".join([*filter(None, words), text]))
            for stream, words in followed.items()
        }
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
            for stream, (preference, wish) in followed.items()
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
    """The strength to tell; of a mix, how far it leads along its way."""
    return overall([voice.strength for voice in voices_of(request.alignment, request.wish)])


def combination_of(request: Reply, streams: Collection[int], vocabulary: Vocabulary) -> Combination:
    """How these streams combine; one that the request has no voice for any more counts for
    nothing. Base and pref are never guarded: the guard is for what lies beyond the two."""
    if len(streams) == 1:
        return Combination((), 0.0, listed=request.likeliest)
    voices = {voice.stream: voice for voice in voices_of(request.alignment, request.wish)}
    preferences = [stream for stream in streams if stream != BASE_STREAM]
    alignment = request.alignment
    _, guard = strength_and_guard(alignment.method, alignment.strength, alignment.guard)
    strengths = tuple(voices[k].strength if k in voices else BASE for k in preferences)
    words = withheld(held_back(alignment, request.wish), vocabulary)
    of = places_of(request)
    places = tuple(stream - PREF_STREAM for stream in preferences) if of else ()
    return Combination(strengths, guard, request.trace, words, places, of, request.likeliest)
