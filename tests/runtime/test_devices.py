"""Devices are listed, chosen by name, and added from other machines only where these answer."""

from __future__ import annotations

import socket

import pytest

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.runtime.llama.devices import add_servers, backends, devices, handles, try_server
from amulet_local.runtime.offload import Device, default_devices


def device(name: str, kind: str, backend: str = "CUDA") -> Device:
    return Device(name, "", kind, 1, 1, backend)


def test_the_processor_is_a_device() -> None:
    assert "CPU" in backends()
    (processor,) = (each for each in devices() if each.kind == "cpu")
    assert processor.memory_total > 0
    assert not processor.offloads
    assert len(handles([processor.name.lower()])) == 1


def test_a_name_that_no_device_has_is_told() -> None:
    with pytest.raises(UsageError, match=r"no device 'CUDA9' .*; see: amulet doctor"):
        handles(["CUDA9"])


def test_other_machines_come_first_and_integrated_gpus_only_where_there_are_no_others() -> None:
    here = [device("CPU", "cpu", "CPU"), device("IGPU0", "integrated gpu"), device("A", "gpu")]
    remote = device("RPC0", "gpu", "RPC")
    assert [each.name for each in default_devices([*here, remote])] == ["RPC0", "A"]
    assert [each.name for each in default_devices([*here[:2], remote])] == ["RPC0", "IGPU0"]


@pytest.mark.parametrize("address", ["", "here", "here:", ":1", "a b:1", "here:0", "here:70000"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(UsageError, match="write it as host:port"):
        try_server(address)


def test_a_server_that_does_not_answer_is_told_before_llama_cpp_would_die() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(NotUsableError, match=rf"127\.0\.0\.1:{port} cannot be reached \(.*refused"):
        add_servers([f"127.0.0.1:{port}"])


def test_a_build_without_rpc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amulet_local.runtime.llama.devices.RPC", "none")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(UsageError, match="build it with -DGGML_RPC=on"),
    ):
        add_servers([f"127.0.0.1:{listening.getsockname()[1]}"])
