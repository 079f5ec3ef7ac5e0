"""Lend this machine to another that has a model too large for itself: llama.cpp's RPC server.

    python -m amulet_local.runtime.rpc_server [--host 127.0.0.1] [--port 50052] [--threads N]

Needs a build with -DGGML_RPC=on. Whoever reaches the port can read and write this process's memory:
it belongs on a trusted network only.
"""

from amulet_local.system.child_processes import leave_current_folder

if __name__ == "__main__":
    leave_current_folder()

import argparse
import sys

from amulet_local.errors import AmuletError
from amulet_local.runtime.llama.devices import serve
from amulet_local.runtime.llama.hardware import physical_cores

PORT = 50052


def main() -> int:
    """Serve until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="amulet_local.runtime.rpc_server", description="Share this machine's devices over RPC"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--threads", type=int, default=0, help="0: one per physical core")
    arguments = parser.parse_args()
    try:
        serve(arguments.host, arguments.port, arguments.threads or physical_cores())
    except AmuletError as error:
        print(f"amulet: {error}", file=sys.stderr)
        return error.exit_code
    print(f"amulet: cannot listen on {arguments.host}:{arguments.port}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
