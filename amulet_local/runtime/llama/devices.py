"""The devices that llama.cpp can compute on: listing, choosing, and adding those of other machines.

Names and addresses go in, devices come out. The binding does not declare these functions, so they
are called in ggml's own libraries.
"""

from __future__ import annotations

import ctypes
import re
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import llama_cpp
from llama_cpp._ctypes_extensions import load_shared_library

from amulet_local.errors import NotUsableError, UsageError, cause
from amulet_local.runtime.offload import RPC, Device

_KINDS = ("cpu", "gpu", "integrated gpu", "accelerator", "meta")
_PATIENCE_S = 3.0
_ADDRESS = re.compile(r"(?P<host>[\w.-]+):(?P<port>\d{1,5})")

_Results = dict[str, type[Any] | None]
_REGISTRY: _Results = {
    "ggml_backend_dev_count": ctypes.c_size_t,
    "ggml_backend_dev_get": ctypes.c_void_p,
    "ggml_backend_reg_by_name": ctypes.c_void_p,
    "ggml_backend_reg_count": ctypes.c_size_t,
    "ggml_backend_reg_get": ctypes.c_void_p,
    "ggml_backend_register": None,
}
_BASE: _Results = {
    "ggml_backend_dev_name": ctypes.c_char_p,
    "ggml_backend_dev_description": ctypes.c_char_p,
    "ggml_backend_dev_memory": None,
    "ggml_backend_dev_type": ctypes.c_int,
    "ggml_backend_dev_backend_reg": ctypes.c_void_p,
    "ggml_backend_reg_name": ctypes.c_char_p,
    "ggml_backend_reg_get_proc_address": ctypes.c_void_p,
}


def devices() -> list[Device]:
    """All that this build of llama.cpp sees, in its order, with those that were added."""
    return [_described(handle) for handle in _handles()]


def offloads(gpu_layers: int | Literal["auto"]) -> bool:
    """Whether so many layers (-1: all) would put any on a GPU."""
    return gpu_layers != 0 and any(device.offloads for device in devices())


def handles(names: Sequence[str]) -> list[int]:
    """llama.cpp's pointers to devices by name, in this order.

    Raises UsageError for a name that no device has.
    """
    known = {_described(handle).name.casefold(): handle for handle in _handles()}
    for name in names:
        if name.casefold() not in known:
            here = ", ".join(device.name for device in devices() if device.offloads) or "none"
            raise UsageError(
                f"there is no device {name!r} to put layers on (available: {here}); see: "
                "amulet doctor"
            )
    return [known[name.casefold()] for name in names]


def add_servers(addresses: Sequence[str]) -> None:
    """Add the devices of llama.cpp's RPC servers, each at host:port; once is enough.

    llama.cpp ends the process when it cannot connect, so each address is tried before.
    Raises UsageError for a bad address or a build without RPC, NotUsableError where none answers.
    """
    for address in addresses:
        try_server(address)
        add = _rpc_function("ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
        server = add(address.encode())
        if not server:
            raise NotUsableError(f"{address} offers no devices to compute on; start it with one.")
        _library("ggml").ggml_backend_register(server)


def serve(host: str, port: int, threads: int) -> None:
    """llama.cpp's RPC server: let other machines compute on this one's GPUs, or on its processor
    where it has none. Without end.

    Raises UsageError where this build has no RPC.
    """
    start = _rpc_function(
        "ggml_backend_rpc_start_server",
        None,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.c_void_p,
    )
    described = {handle: _described(handle) for handle in _handles()}
    chosen = [handle for handle, device in described.items() if device.offloads] or [
        handle for handle, device in described.items() if device.kind == "cpu"
    ]
    pointers = (ctypes.c_void_p * len(chosen))(*chosen)
    start(f"{host}:{port}".encode(), None, threads, len(chosen), pointers)


def backends() -> list[str]:
    """The parts of llama.cpp that are built in, such as CPU, CUDA, Metal, Vulkan, RPC."""
    registry, base = _library("ggml"), _library("ggml-base")
    found = map(registry.ggml_backend_reg_get, range(registry.ggml_backend_reg_count()))
    names = [base.ggml_backend_reg_name(each).decode() for each in found]
    return [name for name in names if "[" not in name]  # which a server was added under


def try_server(address: str) -> None:
    """Raises UsageError where this is no host:port, NotUsableError where nothing listens there."""
    match = _ADDRESS.fullmatch(address)
    if not match or not 0 < int(match["port"]) < 1 << 16:
        raise UsageError(f"{address!r} is not the address of an RPC server; write it as host:port.")
    try:
        with socket.create_connection((match["host"], int(match["port"])), _PATIENCE_S):
            return
    except OSError as error:
        raise NotUsableError(
            f"the RPC server {address} cannot be reached ({cause(error)}); start it, or remove it "
            "from --rpc."
        ) from None


def _rpc_function(name: str, result: type[Any] | None, *parameters: type[Any]) -> Any:
    backend = _library("ggml").ggml_backend_reg_by_name(RPC.encode())
    if not backend:
        raise UsageError(
            "this build of llama-cpp-python cannot use other machines; build it with "
            "-DGGML_RPC=on, as docs/hardware.md explains."
        )
    address = _library("ggml-base").ggml_backend_reg_get_proc_address(backend, name.encode())
    return ctypes.CFUNCTYPE(result, *parameters)(address)


def _handles() -> list[int]:
    registry = _library("ggml")
    return [registry.ggml_backend_dev_get(k) for k in range(registry.ggml_backend_dev_count())]


def _described(handle: int) -> Device:
    base = _library("ggml-base")
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    base.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
    kind = base.ggml_backend_dev_type(handle)
    backend = base.ggml_backend_reg_name(base.ggml_backend_dev_backend_reg(handle))
    return Device(
        name=base.ggml_backend_dev_name(handle).decode(),
        description=base.ggml_backend_dev_description(handle).decode(),
        kind=_KINDS[kind] if kind < len(_KINDS) else "other",
        memory_free=free.value,
        memory_total=total.value,
        backend=backend.decode(),
    )


@cache
def _library(name: str) -> Any:
    """libggml registers devices, libggml-base describes them."""
    library = load_shared_library(name, Path(llama_cpp.__file__).parent / "lib")
    pointer, size_p = ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)
    parameters: dict[str, list[Any]] = {
        "ggml_backend_dev_count": [],
        "ggml_backend_dev_get": [ctypes.c_size_t],
        "ggml_backend_reg_count": [],
        "ggml_backend_reg_get": [ctypes.c_size_t],
        "ggml_backend_reg_by_name": [ctypes.c_char_p],
        "ggml_backend_dev_memory": [pointer, size_p, size_p],
        "ggml_backend_reg_get_proc_address": [pointer, ctypes.c_char_p],
    }
    for function, result in (_REGISTRY if name == "ggml" else _BASE).items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = parameters.get(function, [pointer])
    return library
