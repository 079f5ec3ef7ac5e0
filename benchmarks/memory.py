"""Peak memory of the engine process beside plain llama.cpp's, at the same context.

    python -m benchmarks.memory [-m MODEL] [--context 4096]

Each side runs in a process of its own and writes 32 tokens; Linux's VmHWM is its peak. The engine
keeps two streams in one context, the preference in the system prompt, so nothing is shared.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Reply
from amulet_local.system.child_processes import environment, python
from models.lookup import resolve

_WORDS = "word " * 3400
_PLAIN = """
import sys
from llama_cpp import Llama
llama = Llama(sys.argv[1], n_ctx=int(sys.argv[2]), n_threads=2, n_threads_batch=2, verbose=True)
llama.create_chat_completion([{"role": "user", "content": sys.argv[3]}], max_tokens=32)
print(open("/proc/self/status").read())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--context", type=int, default=4096)
    arguments = parser.parse_args()
    model = str(resolve(arguments.model))
    plain = plain_peak(model, arguments.context)
    engine = engine_peak(model, arguments.context)
    print("| | peak MB |\n|---|---|")
    print(f"| plain llama.cpp | {plain / 1e6:.0f} |")
    print(f"| engine, two streams | {engine / 1e6:.0f} |")


def plain_peak(model: str, context: int) -> int:
    command = python("-c", _PLAIN, model, str(context), _WORDS)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return peak(done.stdout)


def engine_peak(model: str, context: int) -> int:
    engine = EngineProcess()
    try:
        engine.load(model, LoadOptions(context=context, streams="one-context"))
        message = Message("user", _WORDS)
        engine.reply(
            Reply(1, (message,), 0, "You help.", Alignment(preference="Be brief."), max_tokens=32)
        )
        while not isinstance(event := engine.events.get(), Finished):
            if isinstance(event, Failed | Died):
                raise SystemExit(event.text)
        return peak(Path(f"/proc/{engine.pid}/status").read_text())
    finally:
        engine.close()


def peak(status: str) -> int:
    """Bytes at the most, from a process's status."""
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
