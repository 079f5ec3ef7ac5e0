"""Layers on other devices, tried without a GPU: llama.cpp's RPC servers on this very machine.

    python -m benchmarks.rpc [-m MODEL] [--tokens 32]

Needs a build of llama-cpp-python with -DGGML_RPC=on (docs/hardware.md), best in an environment of
its own. Two servers share the model, first all layers, then half of them, then all with the cache
kept here; each reply is compared with the one without servers, by one kind of attention (`auto` may
choose differently for a GPU, which a server is taken for, and rounds differently then). A Markdown
table on standard output; the exit code is 1 where any reply differs.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from msgspec.structs import replace

from amulet_local.engine.client import EngineProcess
from amulet_local.errors import NotUsableError
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Loaded, Notice, Reply
from amulet_local.runtime.llama.devices import try_server
from amulet_local.system.child_processes import environment, python
from models.inspection import inspect
from models.lookup import resolve
from models.memory import needs_of

_PATIENCE_S = 30.0
_REQUEST = Reply(
    id=1,
    messages=(Message("user", "What makes a good walking holiday?"),),
    seed=1,
    system="You help.",
    alignment=Alignment(preference="Be concise.", strength=3.0, sampling=Sampling(temperature=0.0)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Layers on RPC devices over loopback")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--tokens", type=int, default=32)
    arguments = parser.parse_args()
    path = resolve(arguments.model)
    request = replace(_REQUEST, max_tokens=arguments.tokens)
    half = (inspect(path).layers + 1) // 2
    with ExitStack() as opened:
        servers = tuple(opened.enter_context(server()) for _ in range(2))
        here = LoadOptions(context=1024, gpu_layers=0, draft="off", flash_attention="off")
        arms = {
            "here": here,
            "two servers, all layers": replace(here, gpu_layers="auto", rpc=servers),
            "two servers, shares 1 : 3": replace(
                here, gpu_layers=-1, rpc=servers, tensor_split=(1.0, 3.0)
            ),
            "one of them, half of the layers": replace(
                here, gpu_layers=half, rpc=servers, devices=("RPC1",)
            ),
            "two servers, cache here": replace(here, gpu_layers=-1, rpc=servers, kv_on_host=True),
        }
        print("| layers | on devices | where | same tokens |\n|---|---|---|---|")
        replies = {label: reply(str(path), options, request) for label, options in arms.items()}
    (_, expected), *_ = replies.values()
    same = True
    for label, (loaded, finished) in replies.items():
        equal = finished.token_ids == expected.token_ids
        same = same and equal
        layers = f"{loaded.gpu_layers} of {loaded.layers}"
        print(f"| {label} | {layers} | {loaded.devices} | {'yes' if equal else 'no'} |")
    return 0 if same else 1


@contextmanager
def server() -> Iterator[str]:
    """A server on a free port of this machine; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = python("-m", "amulet_local.runtime.rpc_server", f"--port={port}", "--threads=1")
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as process:
        try:
            address = f"127.0.0.1:{port}"
            await_server(process, address)
            yield address
        finally:
            process.kill()


def await_server(process: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            return try_server(address)
        except NotUsableError:
            time.sleep(0.1)
    raise SystemExit("the server did not start; see what it said above.")


def reply(model: str, options: LoadOptions, request: Reply) -> tuple[Loaded, Finished]:
    engine = EngineProcess(needs_of)
    try:
        engine.load(model, options)
        engine.reply(request)
        loaded = None
        while not isinstance(event := engine.events.get(), Finished):
            if isinstance(event, Failed | Died):
                raise SystemExit(event.text)
            if isinstance(event, Notice):
                print(event.text, file=sys.stderr)
            loaded = event if isinstance(event, Loaded) else loaded
        assert loaded is not None
        return loaded, event
    finally:
        engine.close()


if __name__ == "__main__":
    sys.exit(main())
