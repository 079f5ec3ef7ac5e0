"""How a model comes into memory: as many layers on devices and as much context as fit, by estimate
(offload.py), then by trying.

A path, options and estimates go in; a loaded model and its streams come out, with what the user
should know about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from msgspec.structs import replace

from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import MOST_FADERS
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.runtime.llama.devices import add_servers, devices
from amulet_local.runtime.llama.errors import NoDeviceMemoryError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import usual_context
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.offload import Device, chosen_devices, fit, free_memory

_MOST_STREAMS = 2 + MOST_FADERS  # of one reply: base, its faders, a wish


@dataclass(frozen=True)
class LoadResult:
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
    parallel: int = 1,
) -> LoadResult:
    """Load a model with its streams, or with less of what was asked for where that does not fit.

    parallel: how many replies are to be written at once, for which the streams are in one context,
    whatever the options say.
    Raises NotUsableError, UsageError; AbortedError when cancelled.
    """
    add_servers(options.rpc)
    found = [] if options.gpu_layers == 0 else chosen_devices(options, devices())
    if parallel > 1:
        options = replace(options, streams="one-context")
    plan = fit(options, needs, found, free_memory())
    notices = list(plan.notices)
    for layers in _fewer(plan.layers, needs):
        tried = replace(plan.options, gpu_layers=layers)
        try:
            model, lockstep = _load(path, tried, on_progress, parallel)
        except NoDeviceMemoryError as error:
            if layers == 0:
                raise UsageError(
                    f"{path} does not fit in memory ({error}); use a smaller --context or a "
                    "smaller model."
                ) from None
            continue
        all_layers = model.layers + 1
        count = all_layers if layers < 0 else min(layers, all_layers)
        if layers != plan.layers:
            notices.append(f"{_names(found)} ran out of memory, so {_layers(count, all_layers)}.")
        on = tuple(found) if count else ()
        return LoadResult(model, lockstep, tried, count if on else 0, on, tuple(notices))
    raise AssertionError("the last try is without devices")


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
    path: str,
    options: LoadOptions,
    on_progress: Callable[[float], bool] | None,
    parallel: int,
) -> tuple[Model, Lockstep]:
    assert options.gpu_layers != "auto"
    with ExitStack() as owned:
        model = Model(
            path,
            gpu_layers=options.gpu_layers,
            devices=options.devices,
            tensor_split=options.tensor_split,
            on_progress=on_progress,
        )
        owned.callback(model.close)
        length = options.context or usual_context(model.context_trained)
        # That all are at their longest at once is rare; who came last then waits.
        cells = length * max(2, parallel // 2) if parallel > 1 else 0
        streams = max(2 * parallel, _MOST_STREAMS) if parallel > 1 else 2
        lockstep = Lockstep(model, options, streams, cells)
        owned.pop_all()
    return model, lockstep


def _names(found: Sequence[Device]) -> str:
    return ", ".join(device.name for device in found)


def _layers(count: int, all_layers: int) -> str:
    if not count:
        return "the model runs on the processor"
    return f"{count} of {all_layers} layers run there and the rest on the processor"
