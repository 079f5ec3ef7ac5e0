"""What reading a prompt costs: a fresh chat, its next turn, another preference; and KV memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, suppress

import msgspec

from amulet_local.bench.timing import TimeLeft, Timing, seconds
from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.alignment import Placement
from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.runtime.autotune import some_tokens
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep

_PREFERENCES = (
    "Your answer should be verbose as much as possible.",
    "Your answer should be formal as much as possible.",
)
_FILLER = (
    "Tell me more about how people in small harbour towns spend the long evenings of autumn, and "
    "what they cook."
)


_ROWS = {  # about, each time
    "plain": 1100,
    "lockstep, system placement": 2200,
    "lockstep, turn placement": 1200,
    "one more preference": 2200,
    "another preference, system placement": 2000,
    "another preference, turn placement": 50,
}
_ROWS_ONCE = {
    "another preference, system placement": 4000,
    "another preference, turn placement": 2050,
}


class Turn(msgspec.Struct, frozen=True):
    """Reading a prompt: seconds until the first token can be chosen, and rows evaluated.

    layer: that time / time in llama_decode for these rows, which is the limit of the hardware.
    """

    name: str
    time: Timing
    rows: int
    layer: float


class KvMemory(msgspec.Struct, frozen=True):
    """KV cells of an arrangement once a chat fills its context, and their bytes."""

    name: str
    cells: int
    size: int


def turns_work(repeat: int) -> float:
    """How much `measure_turns` has to do, in rows of a long prompt."""
    return repeat * sum(_ROWS.values()) + sum(_ROWS_ONCE.values())


def measure_turns(
    model: Model, prompter: Prompter, options: LoadOptions, repeat: int, left: TimeLeft
) -> list[Turn]:
    """Fresh 1k-token prompt and next turn, plain and in lockstep; preference changed at 2k."""
    turns: list[Turn] = []
    cases: list[tuple[str, int, Placement]] = [
        ("plain", 1, "system"),
        ("lockstep, system placement", 2, "system"),
        ("lockstep, turn placement", 2, "turn"),
    ]
    for name, streams, placement in cases:
        left.next(f"reading prompts, {name}", repeat * _ROWS[name])
        turns += _fresh_and_next(model, prompter, options, repeat, name, streams, placement)
    left.next("one more preference", repeat * _ROWS["one more preference"])
    turns.append(_added_preference(model, prompter, options, repeat))
    for _, _, placement in cases[1:]:
        what = f"another preference, {placement} placement"
        left.next(what, repeat * _ROWS[what] + _ROWS_ONCE[what])
        turns.append(_changed_preference(model, prompter, options, repeat, placement))
    return turns


def measure_kv(model: Model, options: LoadOptions) -> list[KvMemory]:
    """What each arrangement allocates for chats that fill the context."""
    per_token = _kv_bytes_per_token(model, options)
    length = options.context - 64
    same = some_tokens(model, length)
    fills: list[tuple[str, int, Arrangement, dict[int, list[int]]]] = [
        ("plain", 1, "one-context", {0: same}),
        ("two contexts", 2, "two-contexts", {0: same, 1: same}),
        (
            "one context, turn placement",
            2,
            "one-context",
            {0: same, 1: [*same[:-50], *range(50)]},
        ),
        ("one context, system placement", 2, "one-context", {0: same, 1: [7, *same]}),
        (
            "one context, turn placement, 3 preferences",
            4,
            "one-context",
            {0: same, **{k: [*same[:-50], k, *range(49)] for k in (1, 2, 3)}},
        ),
    ]
    kv = []
    for name, streams, arrangement, prompts in fills:
        arranged = msgspec.structs.replace(options, streams=arrangement)
        with closing(Lockstep(model, arranged, streams)) as lockstep:
            lockstep.abort()  # there is room for all before anything is evaluated
            with suppress(AbortedError):
                lockstep.prefill(prompts)
            kv.append(KvMemory(name, lockstep.cells, round(lockstep.cells * per_token)))
    return kv


def _chat(prompter: Prompter, tokens: int, variant: int) -> list[Message]:
    """A chat of about so many tokens; variants share no turn."""
    chat: list[Message] = []
    for turn in itertools.count():
        chat.append(Message("user", f"{variant}.{turn}: {_FILLER}"))
        if len(prompter.prompt(DEFAULT_SYSTEM, chat)) >= tokens:
            return chat
        chat.append(Message("assistant", f"{variant}.{turn}: {_FILLER}"))
    raise AssertionError("the loop ends by returning")


def _prompts(
    prompter: Prompter,
    chat: list[Message],
    streams: int,
    placement: Placement,
    preference: str = _PREFERENCES[0],
) -> dict[int, list[int]]:
    return {
        k: prompter.prompt(DEFAULT_SYSTEM, chat, p, placement)
        for k, p in enumerate(("", preference)[:streams])
    }


def _fresh_and_next(
    model: Model,
    prompter: Prompter,
    options: LoadOptions,
    repeat: int,
    name: str,
    streams: int,
    placement: Placement,
) -> Iterator[Turn]:
    with closing(Lockstep(model, options, streams)) as lockstep:
        fresh, following = _Record(lockstep), _Record(lockstep)
        for variant in range(repeat):
            chat = _chat(prompter, 1000, variant)
            fresh.read(_prompts(prompter, chat, streams, placement))
            reply = prompter.prompt("", [Message("user", _FILLER)])
            for token in reply[:32]:
                lockstep.advance([token])
            chat += [Message("assistant", "", tuple(reply[:32])), Message("user", "Why is that?")]
            following.read(_prompts(prompter, chat, streams, placement))
    yield fresh.turn(f"fresh 1k-token prompt, {name}")
    yield following.turn(f"next turn, {name}")


def _added_preference(model: Model, prompter: Prompter, options: LoadOptions, repeat: int) -> Turn:
    """A third preference beside two at 2,000 tokens, turn placement: its own last turn."""
    with closing(Lockstep(model, options, streams=4)) as lockstep:
        record = _Record(lockstep)
        for variant in range(repeat):
            chat = _chat(prompter, 2000, variant)
            texts = ("", *_PREFERENCES, "Your answer should be brief.")
            prompts = {
                k: prompter.prompt(DEFAULT_SYSTEM, chat, p, "turn") for k, p in enumerate(texts)
            }
            lockstep.prefill({k: prompts[k] for k in (0, 1, 2)})
            record.read(prompts)
    return record.turn("one more preference at 2k tokens, turn placement")


def _changed_preference(
    model: Model, prompter: Prompter, options: LoadOptions, repeat: int, placement: Placement
) -> Turn:
    with closing(Lockstep(model, options, 2)) as lockstep:
        record = _Record(lockstep)
        chat = _chat(prompter, 2000, 0)
        lockstep.prefill(_prompts(prompter, chat, 2, placement, _PREFERENCES[0]))
        for turn in range(repeat):
            record.read(_prompts(prompter, chat, 2, placement, _PREFERENCES[(turn + 1) % 2]))
    return record.turn(f"other preference in a 2k-token chat, {placement} placement")


class _Record:
    """Prompts read into the same streams, one after the other."""

    def __init__(self, lockstep: Lockstep) -> None:
        self._lockstep = lockstep
        self._seconds: list[float] = []
        self._inside_s = 0.0
        self._rows = 0

    def read(self, prompts: dict[int, list[int]]) -> None:
        evaluated, inside = self._lockstep.evaluated, self._lockstep.decode_s
        self._seconds.append(seconds(lambda: self._lockstep.prefill(prompts)))
        self._rows = self._lockstep.evaluated - evaluated
        self._inside_s += self._lockstep.decode_s - inside

    def turn(self, name: str) -> Turn:
        layer = sum(self._seconds) / self._inside_s
        return Turn(name, Timing.of(self._seconds), self._rows, layer)


def _kv_bytes_per_token(model: Model, options: LoadOptions) -> float:
    """From the difference of two saved states, so that what is constant falls out."""
    batch = Batch(256)
    sizes = []
    with closing(
        Context(model, length=512, flash_attention=options.flash_attention, kv_type=options.kv_type)
    ) as context:
        for start in (0, 128):
            batch.clear()
            batch.add(some_tokens(model, 128), start, 0, outputs=1)
            context.decode(batch)
            sizes.append(len(context.state(0)))
    return (sizes[1] - sizes[0]) / 128
