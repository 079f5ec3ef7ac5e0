"""What a model takes of a machine's memory, estimated from its card before anything is loaded.

A card and the options it would be loaded with go in; bytes come out. The figures follow from what
llama.cpp allocates (its log tells each buffer) and were compared with what engine processes then
took (tests/models/test_memory.py). How much of it goes to devices is known to
amulet_local/runtime/offload.py.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from amulet_local.errors import NotUsableError
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.runtime.load_defaults import (
    BATCH,
    BATCH_PLAIN_ATTENTION,
    OUTPUTS,
    PADDING,
    own_cells,
    usual_context,
    with_autotuned,
)
from amulet_local.runtime.offload import Device, estimate_offload
from models.cards import ModelCard

USUAL = LoadOptions()

_STREAMS = 2
_F32_BYTES = 4
_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}

# Measured: the interpreter, its packages and llama.cpp's code; a token and a merge of a vocabulary
# in llama.cpp's tables; what sampling and realignment keep of each token.
_PROCESS = 57 << 20
_TOKEN = 128 + 64
_MERGE = 165

# More than any machine has, and a number that messages can carry; files may claim more.
_MOST = 1 << 56

LEAST_CONTEXT = 512  # less is no chat
_MOST_STEPS = 128  # each some percent less than the one before


def estimate(card: ModelCard, options: LoadOptions = USUAL) -> Memory:
    """The memory that a model will take when it is loaded like this, on the processor."""
    options = with_autotuned(options, as_text(card.path))
    context = options.context or usual_context(card.context_trained)
    apart = options.streams == "two-contexts"
    cells = _padded(context if apart else max(_STREAMS * context, context + own_cells(context)))
    contexts = _STREAMS if apart else 1
    shape = card.shape
    kv = contexts * int(cells * shape.kv_numbers * _KV_BYTES[options.kv_type])
    return Memory(
        context=context,
        layers=card.layers,
        weights=card.weights,
        repacked=_repacked(card),
        kv=min(_MOST, kv + _STREAMS * shape.state),
        compute=min(_MOST, contexts * _compute(card, options, cells)),
        process=_PROCESS + card.vocabulary * _TOKEN + shape.merges * _MERGE,
    )


def needs(card: ModelCard, options: LoadOptions = USUAL) -> tuple[Memory, ...]:
    """What the model will take when it is loaded like this, then with ever smaller contexts: what
    the engine wants to know, so as to find the largest that fits."""
    wanted = estimate(card, options)
    shrinking = (LEAST_CONTEXT / wanted.context) ** (1 / _MOST_STEPS)
    steps = (int(wanted.context * shrinking**step) for step in range(1, _MOST_STEPS + 1))
    smaller = {max(LEAST_CONTEXT, step // PADDING * PADDING) for step in steps}
    contexts = sorted((each for each in smaller if each < wanted.context), reverse=True)
    return (wanted, *(estimate(card, replace(options, context=each)) for each in contexts))


def needs_of(path: str, options: LoadOptions) -> tuple[Memory, ...]:
    """The same of a file; empty where it cannot be read, which loading it will tell."""
    from models.inspection import inspect  # what reads headers takes a while to import

    try:
        return needs(inspect(from_text(path), compare_tokens=False), options)
    except NotUsableError:
        return ()


def largest_context(
    card: ModelCard, options: LoadOptions, free: int, found: Sequence[Device] = ()
) -> int:
    """The most tokens of context, up to what the options ask for, with which the model takes no
    more than `free` bytes beside what goes to devices; 0 if there is none worth having."""
    fitting = (
        e.context for e in needs(card, options) if estimate_offload(e, options, found, free).fits
    )
    return next(fitting, 0)


def memory_advice(
    card: ModelCard, options: LoadOptions, free: int, found: Sequence[Device] = ()
) -> str:
    """What to do where a model does not fit into so many free bytes, beside what goes to the
    devices to use; "" where it does."""
    wanted = estimate(card, options)
    placing = estimate_offload(wanted, options, found, free)
    if placing.fits:
        return ""
    beside = f" in addition to what is on {', '.join(placing.devices)}" if placing.layers else ""
    short = (
        f"With a context of {wanted.context:,} tokens the model needs about "
        f"{placing.host / 1e9:.1f} GB{beside}, but only {free / 1e9:.1f} GB are free"
    )
    if context := largest_context(card, options, free, found):
        return f"{short}; it will be loaded with {context:,} tokens unless you use --insist."
    return (
        f"{short}, too little for any context; use a smaller model or quantisation, close other "
        "programs, or load it anyway with --insist."
    )


def _compute(card: ModelCard, options: LoadOptions, cells: int) -> int:
    """llama.cpp plans its buffer so that results which are not needed at the same time share it, so
    the largest stage of a layer counts: attention, feed-forward, or the logits at the end."""
    shape = card.shape
    plain = _plain_attention(options)
    batch = min(options.batch or (BATCH_PLAIN_ATTENTION if plain else BATCH), cells)
    mask = batch * cells * (_F32_BYTES if plain else _F32_BYTES // 2)
    scores = batch * cells * shape.heads * _F32_BYTES if plain else 0
    between = batch * shape.width * _F32_BYTES
    attention = scores + mask + 4 * between
    feed_forward = mask + 2 * batch * shape.feed_forward * _F32_BYTES + 2 * between
    logits = min(batch, OUTPUTS) * (card.vocabulary + shape.width) * _F32_BYTES + between
    return max(attention, feed_forward, logits)


def _plain_attention(options: LoadOptions) -> bool:
    """As the streams choose (see streams.py), going by what the processor can do."""
    if options.flash_attention == "auto" and options.kv_type == "f16":
        return "avx512f" in _processor_flags()
    return options.flash_attention == "off" and options.kv_type == "f16"


def repacks() -> bool:
    """Whether llama.cpp keeps Q4_0 a second time here, in an order that suits several rows."""
    return _is_arm() or "avx2" in _processor_flags()


def _repacked(card: ModelCard) -> int:
    if _is_arm():
        return card.shape.q4 + card.shape.other_k
    return card.shape.q4 if repacks() else 0


def _is_arm() -> bool:
    return platform.machine().casefold() in ("arm64", "aarch64")


@cache
def _processor_flags() -> frozenset[str]:
    """What the processor says it can do, where a file tells; a usual laptop elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset({"avx2"} if platform.machine().casefold() in ("amd64", "x86_64") else ())
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())


def _padded(cells: int) -> int:
    return -(-cells // PADDING) * PADDING
