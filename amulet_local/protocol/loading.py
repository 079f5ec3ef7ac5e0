"""How a model is loaded, and how much memory that takes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from amulet_local.protocol.numbers import MOST_WHOLE

MOST_DEVICES = 16  # llama.cpp's own bound
MOST_THREADS = 512  # likewise; with more, it ends the process
LONGEST_CONTEXT = 2**24  # tokens; beyond, cells of several streams could not be counted
LARGEST_BATCH = 2**16
Arrangement = Literal["one-context", "two-contexts"]
FlashAttention = Literal["auto", "on", "off"]
KvType = Literal["f16", "q8_0", "q4_0"]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1e18)]  # of bytes, if need be


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
    step_cost: what each further token of a block costs, in steps of one token, in place of what
    was measured; it decides how many tokens are guessed ahead, never which are chosen.
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
