"""What a load begins with where the user chose nothing: usual sizes, and what autotuning found.

The latter fills in where LoadOptions leaves a choice open (0 or "auto"). It is kept as one JSON
file per model in the data folder; a changed model file, machine or llama-cpp-python makes it stale.
Loads no native library, so that memory can be estimated by what a model will be loaded with.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from amulet_local.files import read_json
from amulet_local.protocol.loading import (
    LARGEST_BATCH,
    MOST_THREADS,
    Arrangement,
    FlashAttention,
    LoadOptions,
)
from amulet_local.settings import autotune_file, autotune_folder
from amulet_local.system import paths

DEFAULT_CONTEXT = 4096
BATCH = 512
BATCH_PLAIN_ATTENTION = 128  # which keeps the scores of a whole batch against the whole cache
# Rows of logits one decode may give: llama.cpp reserves memory for each, and from 64 on, its flash
# attention on processors uses another kernel, which rounds otherwise than that for a single row.
OUTPUTS = 63
_MOST_BYTES = 1 << 16
PADDING = 256  # llama.cpp rounds cells up to multiples of this


def usual_context(trained: int) -> int:
    """Tokens a stream gets where the user names no number, by what the model was trained for."""
    return min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)


def own_cells(length: int) -> int:
    """Cells beyond one stream's, for what the other streams of its context do not share with it:
    an eighth at first; the cache grows when that is not enough."""
    return max(PADDING, length // 8 // PADDING * PADDING)


def padded(cells: int) -> int:
    """As many, as llama.cpp rounds them up."""
    return -(-cells // PADDING) * PADDING


def layers_asked(options: LoadOptions) -> int:
    """Layers to put on devices, -1 for all, where nothing finds out how many fit."""
    return -1 if options.gpu_layers == "auto" else options.gpu_layers


class Autotuned(msgspec.Struct, frozen=True):
    """The choices that were fastest (see LoadOptions for their meaning)."""

    streams: Literal["auto", Arrangement]
    threads: Annotated[int, msgspec.Meta(ge=0, le=MOST_THREADS)]
    flash_attention: FlashAttention
    batch: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BATCH)]


def with_autotuned(options: LoadOptions, model: str) -> LoadOptions:
    """Options with what autotuning found in place of what they leave open."""
    if not paths.is_dir(autotune_folder()):  # to name a file in it takes a while
        return options
    try:
        found = read_json(autotune_file(model), _MOST_BYTES, Autotuned)
    except (OSError, ValueError):
        return options
    open_choices = {
        field: getattr(found, field)
        for field in Autotuned.__struct_fields__
        if getattr(options, field) in (0, "auto")
    }
    if options.kv_type != "f16":  # which leaves no choice
        del open_choices["flash_attention"]
    return replace(options, **open_choices)
