"""How a model comes into memory: as many layers on devices as fit, as much context as fits, by
estimate, then by trying.

A path, options and estimates go in; a loaded model and its streams come out, with what the user
should know about it. Nothing here knows of files' contents or of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
from msgspec.structs import replace

from amulet_local.devices import Device, add_servers, default_devices, devices
from amulet_local.errors import UsageError
from amulet_local.llama import Model, NoDeviceMemoryError
from amulet_local.lockstep import Lockstep
from amulet_local.protocol import LoadOptions, Memory

_DEVICE_RESERVE = 0.05  # of a device's memory, for its driver and what else goes on there

_NO_GPU = (
    "This build of llama-cpp-python cannot use a GPU, so the model runs on the CPU; "
    "`amulet doctor` says more."
)


@dataclass(frozen=True)
class Fitted:
    """A loaded model with its streams. options: how, with numbers in place of "auto".

    layers: on devices, the output layer among them. devices: which ones.
    """

    model: Model
    lockstep: Lockstep
    options: LoadOptions
    layers: int
    devices: tuple[Device, ...]
    notices: tuple[str, ...]


def load(
    path: str,
    options: LoadOptions,
    needs: Sequence[Memory],
    on_progress: Callable[[float], bool] | None = None,
) -> Fitted:
    """Load a model with its streams, or with less of what was asked for where that does not fit.

    Raises NotUsableError, UsageError; AbortedError when cancelled.
    """
    add_servers(options.rpc)
    found = _chosen(options)
    plan = fit(options, needs, found, free_memory())
    notices = list(plan.notices)
    for layers in _fewer(plan.layers, needs):
        tried = replace(plan.options, gpu_layers=layers)
        try:
            model, lockstep = _load(path, tried, on_progress)
        except NoDeviceMemoryError as error:
            if layers == 0:
                raise UsageError(
                    f"{path} does not fit into memory ({error}); take a smaller --context or a "
                    "smaller model."
                ) from None
            continue
        all_layers = model.layers + 1
        count = all_layers if layers < 0 else min(layers, all_layers)
        if layers != plan.layers:
            notices.append(
                f"The memory of {_names(found)} ran out, so {_layers(count, all_layers)} are there "
                "and the rest is on the processor."
            )
        on = tuple(found) if count else ()
        return Fitted(model, lockstep, tried, count if on else 0, on, tuple(notices))
    raise AssertionError("the last try is without devices")


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
        layers = most_layers(need, found, options) if asked == "auto" else asked
        taken = on_host(need, layers, options)
        if taken <= free or options.insist:
            if need is wanted:
                return Plan(options, layers, tuple(notices))
            return Plan(
                replace(options, context=need.context),
                layers,
                (
                    *notices,
                    f"With {wanted.context:,} tokens of context the model would take about "
                    f"{_gb(on_host(wanted, layers, options))} and {_gb(free)} are free, so the "
                    f"context is {need.context:,} tokens; --insist keeps the larger one.",
                ),
            )
    raise UsageError(
        f"the model takes about {_gb(taken)} even with {need.context:,} tokens of context, and "
        f"{_gb(free)} are free; close other programs, take a smaller model or quantisation, or "
        "load it all the same with --insist."
    )


def most_layers(need: Memory, found: Sequence[Device], options: LoadOptions) -> int:
    """How many layers fit on the devices, by estimate; -1 for all, the output layer included."""
    parts = need.layers + 1
    each = (need.weights + (0 if options.kv_on_host else need.kv)) / parts
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


def _chosen(options: LoadOptions) -> list[Device]:
    if options.gpu_layers == 0:
        return []
    found = devices()
    if not options.devices:
        return default_devices(found)
    by_name = {device.name.casefold(): device for device in found}
    return [by_name[name.casefold()] for name in options.devices if name.casefold() in by_name]


def _fewer(layers: int, needs: Sequence[Memory]) -> Iterator[int]:
    """What to try: as planned, then ever fewer by a quarter of all, then none."""
    yield layers
    most = needs[0].layers + 1 if needs else 32
    fewer = most if layers < 0 else layers
    while layers and (fewer := fewer - max(1, most // 4)) > 0:
        yield fewer
    if layers:
        yield 0


def _load(
    path: str, options: LoadOptions, on_progress: Callable[[float], bool] | None
) -> tuple[Model, Lockstep]:
    assert options.gpu_layers != "auto"
    model = Model(
        path,
        gpu_layers=options.gpu_layers,
        devices=options.devices,
        tensor_split=options.tensor_split,
        on_progress=on_progress,
    )
    try:
        return model, Lockstep(model, options)
    except BaseException:
        model.close()
        raise


def _names(found: Sequence[Device]) -> str:
    return ", ".join(device.name for device in found)


def _layers(count: int, all_layers: int) -> str:
    return f"{count} of {all_layers} layers" if count else "no layers"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
