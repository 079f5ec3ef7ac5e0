"""Which model of the catalogue suits this machine best: an estimate, before any of it is fetched.

What a machine has goes in; the model comes out, with about how fast it would write, or why there is
none. The best is the one that needs the most memory among those for which there is room, in memory
and on the disk, and that are quick enough.

Memory is what the catalogue tells, and a fifth of what is free stays so. Speed follows from the
starter's: to write a token, every weight is read once, so a step takes longer the more there is to
read. llama.cpp has quicker ways for the larger models' types of weights than for the starter's; by
how much, was measured on two models (docs/app.md). A GPU is hardly busy with the starter, which
then tells nothing: where a model fits there as a whole, it counts as quick.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.filesize import decimal

from amulet_local.files import free_space
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import free_memory
from amulet_local.settings import models_folder
from models import catalogue
from models.catalogue import Hosted
from models.hub import constants
from models.library import usable_devices
from models.staging import half_fetched

LEAST_PER_S = 5.0  # tokens a second: about as fast as one reads
_USED = 0.8  # of the free memory
_EASIER = 1.9  # bytes read in the time of one of the starter's; measured: 1.3 to 2.6
_OF_MAIN_MEMORY = ("Metal", "MTL")  # backends whose GPUs have none of their own


@dataclass(frozen=True)
class Machine:
    """What there is for a model, in bytes. memory: free, of the machine's own. devices: free on
    devices beside that. gpus: free on GPUs that are quicker than the processor, wherever it is.
    disk: room for what is fetched. offline: whether nothing may be fetched from the hub."""

    memory: int
    devices: int = 0
    gpus: int = 0
    disk: int = 1 << 62
    offline: bool = False

    @property
    def room(self) -> float:
        """Bytes that a model may take."""
        return _USED * self.memory + self.devices


@dataclass(frozen=True)
class Suggestion:
    """entry: the model; None where there is none, and `obstacle` says why, in a sentence. per_s:
    about how many tokens a second it would write, 0 where that is not known."""

    entry: Hosted | None
    per_s: float = 0.0
    obstacle: str = ""


def this_machine(options: LoadOptions) -> Machine:
    """What there is now. Raises OSError where the disk cannot be asked; may take a second."""
    gpus = [device for device in usable_devices(options) if device.kind == "gpu"]
    return Machine(
        memory=free_memory(),
        devices=sum(gpu.memory_free for gpu in gpus if gpu.backend not in _OF_MAIN_MEMORY),
        gpus=sum(gpu.memory_free for gpu in gpus),
        disk=free_space(models_folder()) + half_fetched(),
        offline=constants.is_offline_mode(),
    )


def suggest(machine: Machine, steps_per_s: float = 0.0) -> Suggestion:
    """The best model for a machine. steps_per_s: the starter's, 0 where it is not known yet."""
    if machine.offline:
        return _none("HF_HUB_OFFLINE is set, so nothing larger can be fetched.")
    hosted = [entry for entry in catalogue.entries() if isinstance(entry, Hosted)]
    fitting = [entry for entry in hosted if entry.memory <= machine.room]
    if not fitting:
        least = min(entry.memory for entry in hosted)
        return _none(
            f"No larger model fits: the smallest needs {decimal(least)} of memory; "
            f"{decimal(machine.memory)} are free, and a fifth of that is left to other programs."
        )
    stored = [entry for entry in fitting if entry.download <= machine.disk]
    if not stored:
        least = min(entry.download for entry in fitting)
        return _none(
            f"No larger model fits on the disk: the smallest takes {decimal(least)}, and "
            f"{decimal(machine.disk)} are free in {models_folder()}."
        )
    quick = [entry for entry in stored if _is_quick(entry, machine, steps_per_s)]
    if not quick:
        first = stored[0]
        return _none(
            f"A larger model would be slow here: {first.name} would write about "
            f"{_per_s(first, steps_per_s):.1f} tokens a second."
        )
    best = quick[-1]
    on_gpu = best.memory <= machine.gpus
    return Suggestion(best, 0.0 if on_gpu else _per_s(best, steps_per_s))


def _none(obstacle: str) -> Suggestion:
    return Suggestion(None, obstacle=obstacle)


def _is_quick(entry: Hosted, machine: Machine, steps_per_s: float) -> bool:
    known = steps_per_s > 0 and entry.memory > machine.gpus
    return not known or _per_s(entry, steps_per_s) >= LEAST_PER_S


def _per_s(entry: Hosted, steps_per_s: float) -> float:
    return steps_per_s * _EASIER * catalogue.default().size / entry.per_token
