"""What llama.cpp and the servers it reaches can do on this machine, for the doctor to report.

llama.cpp is examined in a process of its own, since a build that does not suit the machine dies on
its first instruction; the doctor then lives to tell.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from amulet_local.system.child_processes import environment, python


def _required(package: str) -> str:
    """The package with the versions that this installation of Amulet asks for."""
    with suppress(metadata.PackageNotFoundError):  # run from its folder, never installed
        for requirement in metadata.requires("amulet-local") or []:
            if requirement.startswith(package):
                return requirement
    return package


REQUIREMENT = _required("llama-cpp-python")
_PATIENCE_S = 60
PROBE = (
    "import json; from dataclasses import asdict; "
    "from amulet_local.runtime.llama.hardware import build_info, physical_cores; "
    "print(json.dumps({**asdict(build_info()), 'threads': physical_cores()}))"
)
_ASK_SERVER = """
import json, sys
from dataclasses import asdict
from amulet_local.runtime.llama.devices import add_servers, devices
from amulet_local.errors import AmuletError
try:
    add_servers(sys.argv[1:])
except AmuletError as error:
    print(error)
    sys.exit(2)
print(json.dumps([asdict(device) for device in devices() if device.backend == "RPC"]))
"""
INSTALL = f'"{sys.executable}" -m pip install --force-reinstall --no-cache-dir "{REQUIREMENT}"'
_WITHOUT_AMX = '"-DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__"'
_COMPILERS = ("c++", "g++", "clang++", "cl")
_HOW_TO_COMPILE = {
    "darwin": "xcode-select --install",
    "win32": "the Build Tools for Visual Studio",
}
_HOW_ELSE = "package g++, gcc-c++ or the like"


def run_apart(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that may crash. Raises TimeoutExpired."""
    return subprocess.run(
        python("-c", script, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=_PATIENCE_S,
        check=False,
    )


def examine_backend(missing: list[str], advice: list[str]) -> dict[str, Any] | None:
    """What llama.cpp can do here; None where it cannot be used."""
    try:
        probe = run_apart(PROBE)
    except subprocess.TimeoutExpired:
        missing.append(_rebuild(f"it did not answer within {_PATIENCE_S} s"))
        return None
    if probe.returncode:
        missing.append(_rebuild(_last_words(probe)))
        return None
    facts: dict[str, Any] = json.loads(probe.stdout.splitlines()[-1])
    for gpu in gpus():
        if gpu.backend not in facts["backends"]:
            advice.append(
                f"there is a GPU ({gpu.name}) that this build cannot use; to use it, rebuild "
                f"with: {_build_line(gpu.flag)}"
            )
        elif not any(device["backend"] == gpu.backend for device in facts["devices"]):
            advice.append(
                f"there is a GPU ({gpu.name}), but the {gpu.backend} backend sees no device; "
                "check the driver and the device's permissions."
            )
    if "AMX_INT8 = 1" in facts["features"]:
        advice.append(
            "this build uses Intel's AMX, and GCC 12's code for it can crash; if the engine "
            f"crashes, set CMAKE_ARGS={_WITHOUT_AMX} and rebuild: {INSTALL}"
        )
    return facts


def _rebuild(reason: str) -> str:
    """How to get llama.cpp to work, a compiler included where none is found."""
    first = ""
    if not any(map(shutil.which, _COMPILERS)):
        first = f"install a C++ compiler ({_HOW_TO_COMPILE.get(sys.platform, _HOW_ELSE)}), then "
    return f"llama.cpp cannot be used ({reason}); {first}build it with: {INSTALL}"


def _last_words(probe: subprocess.CompletedProcess[str]) -> str:
    if probe.returncode < 0:
        return f"it crashed with {signal.Signals(-probe.returncode).name}"
    lines = probe.stderr.strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit status {probe.returncode}"


@dataclass(frozen=True)
class Gpu:
    """A GPU that this machine seems to have, the backend for it, and what builds that in."""

    name: str
    backend: str
    flag: str


def gpus() -> list[Gpu]:
    """The best way for each maker; Vulkan where there is no other. Metal is built in by default."""
    if sys.platform == "darwin":
        return []
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        return [Gpu("NVIDIA", "CUDA", "-DGGML_CUDA=on")]
    if Path("/dev/kfd").exists() and shutil.which("hipcc"):
        return [Gpu("AMD", "ROCm", "-DGGML_HIP=on")]
    if list(Path("/dev/dri").glob("renderD*")):
        return [Gpu("one that may support Vulkan", "Vulkan", "-DGGML_VULKAN=on")]
    return []


def _build_line(flag: str) -> str:
    """What to type, in the shell of the system."""
    if sys.platform == "win32":
        return f'set "CMAKE_ARGS={flag}" && {INSTALL}'
    return f'CMAKE_ARGS="{flag}" {INSTALL}'


def examine_servers(addresses: Sequence[str], advice: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The devices that other machines lend, by address; each is asked by a process of its own,
    since llama.cpp ends with a server that does not speak as it should."""
    found: dict[str, list[dict[str, Any]]] = {}
    for address in addresses:
        found[address] = []
        try:
            answer = run_apart(_ASK_SERVER, address)
        except ValueError:  # a zero in it
            advice.append(f"{address!r} is not the address of an RPC server; write host:port.")
            continue
        except subprocess.TimeoutExpired:
            advice.append(f"the RPC server {address} did not answer within {_PATIENCE_S} s.")
            continue
        if answer.returncode == 0:
            found[address] = json.loads(answer.stdout.splitlines()[-1])
        elif answer.returncode == 2:
            advice.append(answer.stdout.strip())
        else:
            advice.append(
                f"{address} answers, but not as an RPC server of the same llama.cpp version; start "
                "one with the matching version (docs/hardware.md)."
            )
    return found
