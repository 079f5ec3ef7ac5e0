"""The words a front end and the engine exchange, and how they travel.

Commands go to the engine, events come back. Both are msgspec structs, encoded as MessagePack, each
preceded by its length as four bytes, little endian. Nothing is pickled; a frame over MAX_FRAME
bytes is refused, so neither side can exhaust the other's memory.
"""

from __future__ import annotations

import struct
from typing import IO, Annotated, Literal

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.message import Message

MAX_FRAME = 16 * 1024 * 1024
MOST_COMPARED = 6
MOST_DEVICES = 16  # llama.cpp's own bound
MOST_THREADS = 512  # likewise; with more, it ends the process
MOST_WHOLE = 2**31 - 1  # what llama.cpp can count to
LONGEST_CONTEXT = 2**24  # tokens; beyond, cells of several streams could not be counted
LARGEST_BATCH = 2**16
STRONGEST = 1000.0  # either way; beyond, logits lose the digits that tell tokens apart
# In the engine's log: what stands above is settled, and no reason for anything that comes.
SETTLED = "---- settled ----"
_LENGTH = struct.Struct("<I")

Method = Literal["base", "pref", "la", "amulet"]
Placement = Literal["system", "turn"]
Arrangement = Literal["one-context", "two-contexts"]
FlashAttention = Literal["auto", "on", "off"]
KvType = Literal["f16", "q8_0", "q4_0"]
FinishReason = Literal["stop", "length", "cancelled"]

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MOST_WHOLE)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=MOST_WHOLE)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1e18)]  # of bytes, if need be
Strength = Annotated[float, msgspec.Meta(ge=-STRONGEST, le=STRONGEST)]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a token is drawn from the realigned logits; llama.cpp's samplers and their usual names.

    temperature 0 is greedy. top_k 0, top_p 1, min_p 0, repeat_penalty 1, the two other penalties 0
    and dry_multiplier 0 each switch their sampler off. penalty_last_n counts tokens looked back.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 0.7
    top_k: Natural = 40
    top_p: Fraction = 0.95
    min_p: Fraction = 0.05
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 1.0
    frequency_penalty: Annotated[float, msgspec.Meta(ge=-10.0, le=10.0)] = 0.0
    presence_penalty: Annotated[float, msgspec.Meta(ge=-10.0, le=10.0)] = 0.0
    penalty_last_n: Natural = 64
    dry_multiplier: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    dry_base: Annotated[float, msgspec.Meta(ge=1.0, le=10.0)] = 1.75
    dry_allowed_length: Natural = 2


class LoadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model is loaded. Where a value is 0 or "auto", what `amulet bench --calibrate` found
    for the model on this machine is taken, and a sound default without that.

    context: tokens per stream; 0 for min(4096, what the model was trained for).
    threads: 0 for the physical cores.
    gpu_layers: how many go to devices, -1 for all, "auto" for as many as fit there.
    devices: their names, as `amulet doctor` tells them; empty for all GPUs.
    tensor_split: the share of each device, in any unit; empty for by their free memory.
    kv_on_host: keep the KV cache in the machine's own memory wherever the layers are.
    rpc: host:port of llama.cpp's servers on other machines, whose devices are added.
    insist: load the model even if it seems not to fit.
    flash_attention: its default is the faster one, as far as that is known.
    kv_type: storage of the KV cache; the quantised ones need flash attention.
    batch: most tokens evaluated at once, of all streams; at least two, and one a stream.
    draft: "ngram", "off", or the path of a small model with the same vocabulary.
    step_cost: what each further token of a block costs, in steps of one token; it decides how
    many tokens are guessed ahead, never which are chosen.
    """

    context: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_CONTEXT)] = 0
    streams: Literal["auto", "one-context", "two-contexts"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=MOST_THREADS)] = 0
    gpu_layers: Annotated[int, msgspec.Meta(ge=-1, le=MOST_WHOLE)] | Literal["auto"] = "auto"
    devices: tuple[str, ...] = ()
    tensor_split: Annotated[tuple[Share, ...], msgspec.Meta(max_length=MOST_DEVICES)] = ()
    kv_on_host: bool = False
    rpc: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_DEVICES)] = ()
    insist: bool = False
    flash_attention: FlashAttention = "auto"
    kv_type: KvType = "f16"
    batch: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BATCH)] = 0
    draft: str = "ngram"
    step_cost: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0


class Memory(msgspec.Struct, frozen=True):
    """What a model takes, in bytes, with both streams at the end of their context.

    context: tokens of each stream. layers: of the model. weights: the file's. repacked: what the
    processor's kernels want in an order of their own, beside the file. kv: of both streams when
    they share nothing; fewer cells do while they share their beginning. compute: llama.cpp's
    working memory. process: the rest, vocabulary included.
    """

    context: int
    layers: int
    weights: int
    repacked: int
    kv: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.repacked + self.kv + self.compute + self.process


# -- commands ---------------------------------------------------------------------------------


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load a model, in place of any other. Answered by Loading…, then Loaded or Failed.

    needs: what it will take with these options, then with ever smaller contexts, by an estimate of
    its file (models/memory.py); empty where that is not known, and nothing is then held to it.
    """

    model: str
    options: LoadOptions = LoadOptions()
    needs: tuple[Memory, ...] = ()


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """Write the assistant's next message. Answered by Prefilling…, Step…, Finished or Failed.

    messages: the chat so far, ending with the user's message to answer.
    preference: in words; empty for none. strength, guard, placement: see design words.
    seed: of the sampler, 32 bits; the same request with the same seed gives the same reply.
    chat: which chat this is; one that has a name is kept on disk when another takes its place.
    begun: what the reply begins with, if it is to be continued; its text is not told again, nor are
    its tokens, unless it came without (see Finished.begun_ids). What its tokens say beyond its text
    comes with the first token that is written.
    trace: measure every token (shift, flip, log-probabilities) at a small cost.
    thinking: let the model think before it answers, where its template knows how.
    thought: what it thought before `begun`, as the tokens that came before the answer; without it,
    a reply that has begun does not think.
    """

    id: int
    messages: tuple[Message, ...]
    seed: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFE)]
    system: str
    preference: str = ""
    method: Method = "amulet"
    strength: float = 1.0
    guard: Fraction = 0.1
    placement: Placement = "system"
    sampling: Sampling = Sampling()
    max_tokens: Positive = 2048
    stop: tuple[str, ...] = ()
    trace: bool = False
    chat: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{0,64}$")] = ""
    begun: Message | None = None
    thinking: bool = False
    thought: tuple[int, ...] = ()


class Steer(msgspec.Struct, frozen=True, tag="steer"):
    """Turn the dial of a reply, by the id of its request: from its next token on."""

    id: int
    strength: float


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Write several replies side by side, each as it would be written alone (drafts and the
    context's limit apart). Answered by Prefilling…, Step… and a Finished for each, or Failed with
    the id of the first."""

    replies: Annotated[tuple[Reply, ...], msgspec.Meta(min_length=1, max_length=MOST_COMPARED)]


class Examine(msgspec.Struct, frozen=True, tag="examine"):
    """Tell what each stream would have said at every token of a reply that is there.

    request: what it was written for; `begun` is the reply. strengths: used at its tokens; where
    there are fewer, the last goes on. Answered by Prefilling…, Examined… or Failed.
    """

    request: Reply
    strengths: tuple[float, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stop the load or reply under way; what was written so far stands."""


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    """Free the model and its memory; the process stays."""


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """End the process."""


Command = Load | Reply | Steer | Compare | Examine | Stop | Unload | Quit

# -- events -----------------------------------------------------------------------------------


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """How much of the model is loaded."""

    fraction: float


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The model is ready.

    context: tokens each stream can hold. devices: where the layers are, in words.
    can_rewind: whether the KV cache can be cut back to a prefix. thinks: whether it can be told to
    think before it answers.
    """

    model: str
    description: str
    architecture: str
    context: int
    vocabulary: int
    layers: int
    gpu_layers: int
    devices: str
    streams: Arrangement
    threads: int
    can_rewind: bool
    template: bool
    load_s: float
    thinks: bool = False


class Prefilling(msgspec.Struct, frozen=True, tag="prefilling"):
    """Prompt tokens in place so far, over all streams; cached and shared ones count at once."""

    done: int
    total: int


class Step(msgspec.Struct, frozen=True, tag="step"):
    """One generated token.

    text: what it adds, empty while a character or a possible stop string is incomplete. thought:
    the same of what the model thinks before it answers, which is no part of the text.
    strength: used at this token. The measures are None unless the request asked to trace:
    shift in nats, flip_strength (see realignment), log-probabilities in nats; those of a stream
    that was not evaluated stay None.
    """

    id: int
    token: int
    text: str
    strength: float
    shift: float | None = None
    flip: bool | None = None
    flip_strength: float | None = None
    logp_base: float | None = None
    logp_pref: float | None = None
    logp_realigned: float | None = None
    thought: str = ""


class Stats(msgspec.Struct, frozen=True):
    """What a reply cost.

    prompt_tokens: of the longest stream's prompt; cached_tokens: of all streams, not evaluated
    again. prefill_s, first_token_s, decode_s in seconds from the request's arrival;
    tokens_per_s over the decode time. context_tokens: what the longest stream now holds. blocks:
    evaluated for the tokens; fewer than those where guesses were right. thought_tokens: of the
    tokens, those before the answer, marks included; thought_s: in seconds, from the first of them.
    """

    prompt_tokens: int
    cached_tokens: int
    evaluated_tokens: int
    tokens: int
    prefill_s: float
    first_token_s: float
    decode_s: float
    tokens_per_s: float
    context_tokens: int
    streams: int
    blocks: int = 0
    thought_tokens: int = 0
    thought_s: float = 0.0


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
    token_ids: tuple[int, ...]
    reason: FinishReason
    stats: Stats
    thought: str = ""
    begun_ids: tuple[int, ...] = ()


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A token that may come next: its id, its text, its probability; whether it ends the reply."""

    token: int
    text: str
    p: float
    ends: bool = False


class Candidates(msgspec.Struct, frozen=True, array_like=True):
    """The likeliest tokens at one place, best first, by each distribution; none for those that
    took no part."""

    base: tuple[Candidate, ...]
    pref: tuple[Candidate, ...]
    realigned: tuple[Candidate, ...]


class Examined(msgspec.Struct, frozen=True, tag="examined"):
    """What could have been said at the tokens of a reply from number `start` on, of `total`."""

    id: int
    start: int
    total: int
    places: tuple[Candidates, ...]


class Pace(msgspec.Struct, frozen=True, tag="pace"):
    """What a token costs against one of a plain chat on this model and machine: above 1."""

    cost: float


class Unloaded(msgspec.Struct, frozen=True, tag="unloaded"):
    """The model's memory is free."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A command could not be carried out; one sentence, and the exit code it means."""

    text: str
    exit_code: int
    id: int | None = None


class Died(msgspec.Struct, frozen=True, tag="died"):
    """The engine process is gone; made by the front end's side, never sent by the engine.

    lighter: it lacked a device's memory, and the next one loads the model with fewer layers there,
    so that what was asked may be asked again.
    """

    text: str
    lighter: bool = False


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

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(Command)
_event_decoder = msgspec.msgpack.Decoder(Event)


def write_frame(pipe: IO[bytes], message: Command | Event) -> None:
    """Send one message and flush. Raises UsageError if it is larger than MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise UsageError(
            f"a message of {len(body):,} bytes is over the bound of {MAX_FRAME:,}; shorten it."
        )
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def read_command(pipe: IO[bytes]) -> Command | None:
    """The next command, or None at the end of the pipe. Raises ValueError on a bad frame."""
    body = _read_frame(pipe)
    return None if body is None else _command_decoder.decode(body)


def read_event(pipe: IO[bytes]) -> Event | None:
    """The next event, or None at the end of the pipe. Raises ValueError on a bad frame."""
    body = _read_frame(pipe)
    return None if body is None else _event_decoder.decode(body)


def _read_frame(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > MAX_FRAME:
        raise ValueError(f"frame of {size} bytes is over the bound of {MAX_FRAME}")
    body = pipe.read(size)
    return body if len(body) == size else None
