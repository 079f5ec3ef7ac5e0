"""Streams of tokens and the contexts they live in: one context for all, or one for each.

Load options and a number of streams go in; streams come out, each a sequence of a context, with the
tokens whose keys and values are cached there.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from amulet_local.protocol.loading import FlashAttention, LoadOptions
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.devices import offloads
from amulet_local.runtime.llama.hardware import plain_attention_is_faster
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import BATCH, BATCH_PLAIN_ATTENTION, own_cells


@dataclass
class Stream:
    """Where a stream lives, and the tokens whose keys and values its cache holds."""

    context: Context
    sequence: int
    tokens: list[int]

    @property
    def is_whole(self) -> bool:
        """Whether it holds something, and its cache all of that: a sliding window drops cells."""
        return self.context.first_position(self.sequence) == 0

    def cut(self, length: int, *, uncertain: bool = False) -> None:
        """Keep the first `length` tokens, or none where the memory cannot be cut there.

        uncertain: the cache may hold more than `tokens` says.
        """
        if length == len(self.tokens) and not uncertain:
            return
        removed = self.context.remove(self.sequence, length)
        if length and not (removed and self.is_whole):
            self.context.remove(self.sequence, 0)
            self.tokens.clear()
        else:
            del self.tokens[length:]


def open_streams(
    owned: ExitStack, model: Model, options: LoadOptions, count: int, length: int, cells: int = 0
) -> list[Stream]:
    """Empty streams that hold `length` tokens each; `owned` frees their contexts.

    cells: of a context that all share; 0 for what a few that have much in common need at first.

    Raises UsageError where a context cannot be made, NoDeviceMemoryError.
    """
    together = options.streams != "two-contexts"
    flash_attention = _flash_attention(options)
    batch = options.batch or (BATCH_PLAIN_ATTENTION if flash_attention == "off" else BATCH)
    per_context = count if together else 1
    contexts = [
        owned.enter_context(
            closing(
                Context(
                    model,
                    length=cells or length + (per_context > 1) * own_cells(length),
                    sequences=per_context,
                    batch=batch,
                    threads=options.threads,
                    flash_attention=flash_attention,
                    kv_type=options.kv_type,
                    kv_on_host=options.kv_on_host,
                )
            )
        )
        for _ in range(1 if together else count)
    ]
    return [Stream(contexts[0 if together else k], k if together else 0, []) for k in range(count)]


def can_rewind(context: Context) -> bool:
    """Whether the model's memory can be cut: evaluate two tokens and try to forget one. The context
    is empty before and after. Raises what decoding raises."""
    batch = Batch(2)
    batch.add([0, 0], 0, 0, outputs=1)
    context.decode(batch)
    rewound = context.remove(0, 1)
    context.remove(0, 0)
    return rewound


def _flash_attention(options: LoadOptions) -> FlashAttention:
    """The user's choice, else what is faster as a rule (docs/performance.md); a quantised cache
    leaves none."""
    choice = options.flash_attention
    if choice == "auto" and options.kv_type == "f16" and not offloads(options.gpu_layers):
        return "off" if plain_attention_is_faster() else "auto"
    return choice
