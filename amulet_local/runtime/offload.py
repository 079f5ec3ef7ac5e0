"""Where a model's layers go, and how much context there is room for: by estimate, before loading.

Estimates, options and devices go in; how many layers go to devices, and whether the rest fits into
the machine's own memory, come out. Loads no native library and asks no device, so that it serves
whoever lists models as well as the engine that loads them (loader.py, which then tries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from msgspec.structs import replace

from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions, Memory

RPC = "RPC"  # the backend of other machines' devices
_DEVICE_RESERVE = 0.05  # of a device's memory, for its driver and what else goes on there

_NO_GPU = (
    "This build of llama-cpp-python cannot use a GPU, so the model runs on the CPU; "
    "see `amulet doctor`."
)


@dataclass(frozen=True)
class Device:
    """A backend device; memory in bytes. kind: cpu, gpu, integrated gpu, accelerator or meta.

    backend: the part of llama.cpp that drives it, such as CPU, CUDA, Metal, Vulkan, RPC.
    """

    name: str
    description: str
    kind: str
    memory_free: int
    memory_total: int
    backend: str = ""

    @property
    def offloads(self) -> bool:
        """Whether layers can be put there."""
        return "gpu" in self.kind


def default_devices(found: Sequence[Device]) -> list[Device]:
    """Those that llama.cpp takes where none are named: other machines' first, then GPUs, and
    integrated GPUs where there are no others."""
    remote = [device for device in found if device.backend == RPC]
    gpus = [device for device in found if device.kind == "gpu" and device not in remote]
    integrated = [device for device in found if device.kind == "integrated gpu"]
    return [*remote, *(gpus or integrated)]


def chosen_devices(options: LoadOptions, found: Sequence[Device]) -> list[Device]:
    """Those of the found ones that a model is loaded on with these options."""
    if options.gpu_layers == 0:
        return []
    if not options.devices:
        return default_devices(found)
    by_name = {device.name.casefold(): device for device in found}
    return [by_name[name.casefold()] for name in options.devices if name.casefold() in by_name]


@dataclass(frozen=True)
class Offload:
    """Where a model would be, by estimate.

    layers: how many on devices, -1 for all; all_layers: the output layer among them. devices: their
    names. host: bytes taken of the machine's own memory; fits: whether so much is free.
    """

    layers: int
    all_layers: int
    devices: tuple[str, ...]
    host: int
    fits: bool

    def __str__(self) -> str:
        if not self.devices:
            return "in memory"
        names = ", ".join(self.devices)
        if self.layers < 0 or self.layers >= self.all_layers:
            return f"all on {names}"
        if not self.layers:
            return f"in memory: {names} has no room for any layer"
        return f"{self.layers} of {self.all_layers} layers on {names}"


def estimate_offload(
    need: Memory, options: LoadOptions, found: Sequence[Device], free: int
) -> Offload:
    """As many layers on devices as asked for, or as fit. found: the devices to use. free: bytes of
    the machine's own memory."""
    asked = options.gpu_layers if found else 0
    layers = most_layers(need, found, options) if asked == "auto" else asked
    host = on_host(need, layers, options)
    names = tuple(device.name for device in found)
    return Offload(layers, need.layers + 1, names, host, host <= free)


@dataclass(frozen=True)
class Plan:
    """How a model is to be loaded, by estimate. layers: on devices, -1 for all."""

    options: LoadOptions
    layers: int
    notices: tuple[str, ...] = ()


def fit(options: LoadOptions, needs: Sequence[Memory], found: Sequence[Device], free: int) -> Plan:
    """The most layers on devices, then the largest context, that fit.

    needs: see protocol.Load. found: the devices to use. free: bytes of the machine's own memory.
    Raises UsageError where the model does not fit with any context, unless the options insist.
    """
    asked, notices = options.gpu_layers, []
    if not found:
        if asked not in ("auto", -1, 0):
            notices.append(_NO_GPU)
        asked = 0
    if not needs:
        return Plan(options, -1 if asked == "auto" else asked, tuple(notices))
    wanted = needs[0]
    for need in needs:
        offload = estimate_offload(need, options, found, free)
        if offload.fits or options.insist:
            if need is wanted:
                return Plan(options, offload.layers, tuple(notices))
            notices.append(
                f"With a context of {wanted.context:,} tokens the model would need about "
                f"{_gb(on_host(wanted, offload.layers, options))}, but {_gb(free)} are free, so "
                f"the context is {need.context:,} tokens; use --insist for the larger one."
            )
            return Plan(replace(options, context=need.context), offload.layers, tuple(notices))
    least = needs[-1]
    taken = estimate_offload(least, options, found, free).host
    raise UsageError(
        f"the model needs about {_gb(taken)} even with {least.context:,} tokens of context, "
        f"but {_gb(free)} are free; close other programs, use a smaller model or quantisation, or "
        "load it anyway with --insist."
    )


def most_layers(need: Memory, found: Sequence[Device], options: LoadOptions) -> int:
    """How many layers fit on the devices, by estimate; -1 for all, the output layer included."""
    parts = need.layers + 1
    each = max(1.0, (need.weights + (0 if options.kv_on_host else need.kv)) / parts)
    room = (device.memory_free * (1 - _DEVICE_RESERVE) - need.compute for device in found)
    if options.tensor_split:  # the device with the least room for its share sets the bound
        total = sum(options.tensor_split) or 1.0
        shares = [share / total for share in options.tensor_split]
        bounds = [
            max(0.0, space) / share for space, share in zip(room, shares, strict=False) if share
        ]
        space = min(bounds, default=0.0)
        layers = int(space / each)
    else:
        layers = sum(int(max(0.0, space) / each) for space in room)
    return -1 if layers >= parts else layers


def on_host(need: Memory, layers: int, options: LoadOptions) -> int:
    """Bytes of the machine's own memory that are taken when so many layers are on devices.

    The file is mapped: what went to a device needs no memory here.
    """
    parts = need.layers + 1
    here = 1 - (parts if layers < 0 else min(layers, parts)) / parts
    kv = need.kv if options.kv_on_host else here * need.kv
    return int(here * (need.weights + need.repacked) + kv + need.compute + need.process)


def free_memory() -> int:
    """Bytes that a process may take without others having to give way."""
    return int(psutil.virtual_memory().available)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
