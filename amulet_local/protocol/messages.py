"""What front end and engine say to each other: commands go to the engine, events come back.

It is longer than other modules: a struct for each thing that can be said.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from amulet_local.protocol.alignment import MOST_FADERS, Alignment
from amulet_local.protocol.loading import Arrangement, LoadOptions, Memory
from amulet_local.protocol.message import Message
from amulet_local.protocol.numbers import (
    Amount,
    AnyShare,
    AnyStrength,
    Divergence,
    FlipStrength,
    Fraction,
    LogProbability,
    Natural,
    Piece,
    Positive,
    Probability,
)

MOST_COMPARED = 6
MOST_PARALLEL = 32  # whose streams are still within llama.cpp's 256, with six preferences each
LARGEST_SEED = 0xFFFFFFFE  # the next one means any to llama.cpp
# In the engine's log: what stands above is settled, and no reason for anything that comes.
SETTLED = "---- settled ----"
MOST_LIKELIEST = 20
MOST_BIASED = 1024
LONGEST_SCHEMA = 32 * 1024  # characters
Bias = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]
FinishReason = Literal["stop", "length", "cancelled"]
UsedStrength = float | tuple[float, ...]  # at a token: of one preference, or of all faders


# -- commands ---------------------------------------------------------------------------------


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load a model, in place of any other. Answered by Loading…, then Loaded or Failed.

    needs: what it will take with these options, then with ever smaller contexts, by an estimate of
    its file (models/memory.py); empty where that is not known, and nothing is then held to it.
    parallel: replies written at once. With more than one, requests join those under way, each
    within a context of its own; their events come interleaved, and without Prefilling.
    """

    model: str
    options: LoadOptions = LoadOptions()
    needs: tuple[Memory, ...] = ()
    parallel: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARALLEL)] = 1


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """Write the assistant's next message. Answered by Prefilling…, Step…, Finished or Failed.

    messages: the chat so far, ending with the user's message to answer.
    seed: of the sampler, 32 bits; the same request with the same seed gives the same reply.
    chat: which chat this is; one that has a name is kept on disk when another takes its place.
    begun: what the reply begins with, if it is to be continued; its text is not told again, nor are
    its tokens, unless it came without (see Finished.begun_ids). What its tokens say beyond its text
    comes with the first token that is written.
    trace: measure every token (shift, flip, log-probabilities) at a small cost.
    thinking: let the model think before it answers, where its template knows how.
    thought: what it thought before `begun`, as the tokens that came before the answer; without it,
    a reply that has begun does not think.
    plain: the newest message is a text to be gone on with, without a chat around it; a preference
    stands in front of it, and the system prompt is not read.
    likeliest: how many of the likeliest tokens to tell with each; None for none, 0 for the chosen
    one alone. bias: added to the logits of tokens, on every stream, as penalties are.
    schema: JSON Schema that the whole reply is to be a document of; empty for any text.
    learns: guesses ahead go by what the model said in earlier replies, and learn from this one; off
    for what is to leave no trace on disk, or is to be repeated to the letter on any weights.
    """

    id: int
    messages: tuple[Message, ...]
    seed: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEED)]
    system: str
    alignment: Alignment = Alignment()
    max_tokens: Positive = 2048
    stop: tuple[str, ...] = ()
    trace: bool = False
    chat: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]{0,64}\Z")] = ""
    begun: Message | None = None
    thinking: bool = False
    thought: tuple[int, ...] = ()
    plain: bool = False
    likeliest: Annotated[int, msgspec.Meta(ge=0, le=MOST_LIKELIEST)] | None = None
    bias: Annotated[tuple[tuple[Natural, Bias], ...], msgspec.Meta(max_length=MOST_BIASED)] = ()
    schema: Annotated[str, msgspec.Meta(max_length=LONGEST_SCHEMA)] = ""
    learns: bool = False

    @property
    def wish(self) -> str:
        """What is preferred of this reply alone; empty for nothing."""
        return self.messages[-1].wish if self.messages else ""

    @property
    def steered(self) -> bool:
        """Whether there is something to follow: the chat's preferences, or a wish."""
        return bool(self.alignment.heard or self.wish)


class ReadAhead(msgspec.Struct, frozen=True, tag="read-ahead"):
    """Read what the prompts of a reply will begin with, before its message is sent.

    request: for the reply, with the newest message as far as it is typed. more: the same message
    with one more word; what the prompts of both have in common is certain. It is not answered,
    ends as soon as anything else is asked for, and is never kept on disk.
    """

    request: Reply
    more: Message


class Steer(msgspec.Struct, frozen=True, tag="steer"):
    """Turn the faders of a reply, by the id of its request: from its next token on.

    strengths: one for each of `Alignment.faders`, None for one that is muted; of a reply that only
    follows a wish, the wish's.
    """

    id: int
    strengths: Annotated[tuple[AnyStrength | None, ...], msgspec.Meta(max_length=MOST_FADERS)]


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Write several replies side by side, each as it would be written alone (drafts and the
    context's limit apart). Answered by Prefilling…, Step… and a Finished for each, or Failed with
    the id of the first."""

    replies: Annotated[tuple[Reply, ...], msgspec.Meta(min_length=1, max_length=MOST_COMPARED)]


class Examine(msgspec.Struct, frozen=True, tag="examine"):
    """Tell what each stream would have said at every token of a reply that is there.

    request: what it was written for; `begun` is the reply. strengths: used at its tokens, as Step
    tells them; where there are fewer, the last goes on. Answered by Prefilling…, Examined… or
    Failed.
    """

    request: Reply
    strengths: tuple[UsedStrength, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stop the load or reply under way; what was written so far stands.

    id: stop the reply to this request alone, be it under way or waiting.
    """

    id: int | None = None


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    """Free the model and its memory; the process stays."""


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """End the process."""


Command = Load | Reply | ReadAhead | Steer | Compare | Examine | Stop | Unload | Quit

# -- events -----------------------------------------------------------------------------------


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """How much of the model is loaded."""

    fraction: Fraction


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The model is ready.

    context: tokens each stream can hold. devices: where the layers are, in words.
    can_rewind: whether the KV cache can be cut back to a prefix. thinks: whether it can be told to
    think before it answers.
    """

    model: str
    description: str
    architecture: str
    context: Natural
    vocabulary: Natural
    layers: Natural
    gpu_layers: Natural
    devices: str
    streams: Arrangement
    threads: Natural
    can_rewind: bool
    template: bool
    load_s: Amount
    thinks: bool = False


class Prefilling(msgspec.Struct, frozen=True, tag="prefilling"):
    """Prompt tokens in place so far, over all streams; cached and shared ones count at once."""

    done: Natural
    total: Natural


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A token that may come next: its id, its text, its probability; whether it ends the reply."""

    token: Natural
    text: str
    p: Probability
    ends: bool = False


class Step(msgspec.Struct, frozen=True, tag="step"):
    """One generated token.

    text: what it adds, empty while a character or a possible stop string is incomplete. thought:
    the same of what the model thinks before it answers, which is no part of the text.
    strength: used at this token; of a mix, how far it leads along the way that its preferences
    point to (see realignment.overall). strengths: of each fader, 0 for a muted one, and last of a
    wish that stands beside them; empty where there is one preference, or none. shares: in the same
    order, what each added to the chosen token's lead over the one that base would rather have had
    (see measures.shares), in nats; empty unless traced. The measures are None unless the
    request asked to trace: shift in nats, flip_strength (see measures), log-probabilities in nats;
    those of a stream that was not evaluated stay None. candidates: the token itself, then the
    likeliest of the realigned distribution, before temperature, where the request asked for them.
    """

    id: int
    token: Natural
    text: Piece
    strength: AnyStrength
    shift: Divergence | None = None
    flip: bool | None = None
    flip_strength: FlipStrength | None = None
    logp_base: LogProbability | None = None
    logp_pref: LogProbability | None = None
    logp_realigned: LogProbability | None = None
    thought: Piece = ""
    candidates: Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=MOST_LIKELIEST + 1)] = ()
    strengths: Annotated[tuple[AnyStrength, ...], msgspec.Meta(max_length=MOST_FADERS + 1)] = ()
    shares: Annotated[tuple[AnyShare, ...], msgspec.Meta(max_length=MOST_FADERS + 1)] = ()


class Stats(msgspec.Struct, frozen=True):
    """What a reply cost.

    prompt_tokens: of the longest stream's prompt; cached_tokens: of all streams, not evaluated
    again. prefill_s, first_token_s, decode_s in seconds from the request's arrival;
    tokens_per_s over the decode time. context_tokens: what the longest stream now holds. blocks:
    evaluated for the tokens; fewer than those where guesses were right. thought_tokens: of the
    tokens, those before the answer, marks included; thought_s: in seconds, from the first of them.
    """

    prompt_tokens: Natural
    cached_tokens: Natural
    evaluated_tokens: Natural
    tokens: Natural
    prefill_s: Amount
    first_token_s: Amount
    decode_s: Amount
    tokens_per_s: Amount
    context_tokens: Natural
    streams: Natural
    blocks: Natural = 0
    thought_tokens: Natural = 0
    thought_s: Amount = 0.0


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Something the user should know, in one sentence, while work goes on."""

    text: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The reply is complete.

    text is the whole reply but for what it began with (Reply.begun); its end may not have been in
    any step, where a possible stop string was held back. token_ids is what it was sampled as,
    without the end-of-turn token; empty where a thought and the answer share a token. thought: what
    came before the answer, without its marks.
    begun_ids: the tokens that the text it began with was read as, where it came without any.
    """

    id: int
    text: str
    token_ids: tuple[Natural, ...]
    reason: FinishReason
    stats: Stats
    thought: str = ""
    begun_ids: tuple[Natural, ...] = ()


class Candidates(msgspec.Struct, frozen=True, array_like=True):
    """The likeliest tokens at one index, best first, by each distribution; none for those that
    took no part."""

    base: tuple[Candidate, ...]
    pref: tuple[Candidate, ...]
    realigned: tuple[Candidate, ...]


class Examined(msgspec.Struct, frozen=True, tag="examined"):
    """What could have been said at the tokens of a reply from number `start` on, of `total`."""

    id: int
    start: Natural
    total: Natural
    candidates: tuple[Candidates, ...]


class Pace(msgspec.Struct, frozen=True, tag="pace"):
    """What a token costs against one of a plain chat on this model and machine: above 1."""

    cost: Amount


class Unloaded(msgspec.Struct, frozen=True, tag="unloaded"):
    """The model's memory is free."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A command could not be carried out; one sentence, and the exit code it means. too_long: the
    prompt does not fit the context."""

    text: str
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)]
    id: int | None = None
    too_long: bool = False


class Died(msgspec.Struct, frozen=True, tag="died"):
    """The engine process is gone; made by the front end's side, never sent by the engine.

    lighter: it lacked a device's memory, and the next one loads the model with fewer layers there,
    so that what was asked may be asked again. asked: the user wanted it so.
    """

    text: str
    lighter: bool = False
    asked: bool = False


Event = (
    Loading
    | Loaded
    | Prefilling
    | Step
    | Notice
    | Finished
    | Examined
    | Pace
    | Unloaded
    | Failed
    | Died
)
