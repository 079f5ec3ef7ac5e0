"""What the installed build of llama.cpp can do on this machine: CPU features, cores, devices."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import llama_cpp
import psutil

from amulet_local.runtime.llama.devices import backends, devices, offloads
from amulet_local.runtime.llama.log import initialise
from amulet_local.runtime.offload import Device


@dataclass(frozen=True)
class BuildInfo:
    """What this build of llama-cpp-python can do. backends: such as CPU, CUDA, RPC."""

    version: str
    features: str
    gpu_offload: bool
    backends: tuple[str, ...]
    devices: tuple[Device, ...]


def build_info() -> BuildInfo:
    """The version, CPU features and devices of the installed llama-cpp-python."""
    initialise()
    return BuildInfo(
        version=llama_cpp.__version__,
        features=llama_cpp.llama_print_system_info().decode().strip(),
        gpu_offload=offloads(-1),
        backends=tuple(backends()),
        devices=tuple(devices()),
    )


def physical_cores() -> int:
    """The physical cores this process may use; more threads than that only slow decoding."""
    allowed = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))


def plain_attention_is_faster() -> bool:
    """Whether this CPU build writes tokens of a long chat faster without flash attention.

    Built for AVX-512 it does, by half at 1,000 tokens; for AVX2 there is no difference, and flash
    attention reads prompts faster.
    """
    return b"AVX512 = 1" in llama_cpp.llama_print_system_info()
