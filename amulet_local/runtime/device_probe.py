"""The devices of this build of llama.cpp, as a process of its own sees them.

For those who only want to know: a front end keeps the native library out of its own process, and a
driver that is in a bad way takes no list of models with it. Where no backend for devices is built
in, no process is asked.

    python -m amulet_local.runtime.device_probe [HOST:PORT ...]      tells them as JSON
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from amulet_local.errors import AmuletError
from amulet_local.runtime.offload import Device
from amulet_local.system.child_processes import environment, python

_PATIENCE_S = 20.0
_PARTS = re.compile(r"ggml-(?P<backend>[a-z]+)")
_WITHOUT_DEVICES = {"base", "cpu", "blas"}


def probe_devices(servers: Sequence[str] = ()) -> list[Device]:
    """All of them, with those that other machines lend; none where nobody can tell."""
    backends = _backends() - _WITHOUT_DEVICES
    if not backends or (backends == {"rpc"} and not servers):
        return []
    with suppress(OSError, subprocess.SubprocessError, msgspec.DecodeError):
        answer = subprocess.run(
            python("-m", "amulet_local.runtime.device_probe", *servers),
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        return msgspec.json.decode(answer.stdout, type=list[Device])
    return []


def _backends() -> set[str]:
    """What is built in, going by the names of the libraries that are there."""
    package = find_spec("llama_cpp")
    folders = package.submodule_search_locations if package else None
    names = (library.name for folder in folders or () for library in Path(folder, "lib").glob("*"))
    return {match["backend"] for name in names if (match := _PARTS.search(name))}


def main() -> None:
    """Tell the devices; servers that do not answer lend none."""
    from amulet_local.runtime.llama.devices import add_servers, devices

    for server in sys.argv[1:]:
        with suppress(AmuletError):
            add_servers([server])
    sys.stdout.buffer.write(msgspec.json.encode(devices()))


if __name__ == "__main__":
    main()
