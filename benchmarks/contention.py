"""What a token costs while another program wants a core, by how long OpenMP's threads spin.

    python -m benchmarks.contention [-m MODEL] [--busy 1]

Each setting of GOMP_SPINCOUNT runs in processes of its own, in turn with the others; the median of
their medians is told, with and without busy programs beside. A Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess

from amulet_local.system.child_processes import environment, python
from models.lookup import resolve

SPINS = (300_000, 10_000, 1_000, 100)
_STEPS = """
import statistics, sys, time
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.protocol.messages import LoadOptions
lockstep = Lockstep(Model(sys.argv[1]), LoadOptions(context=512))
lockstep.prefill({0: [1, 2, 3], 1: [1, 2, 4]})
times, end = [], time.monotonic() + 3
while time.monotonic() < end:
    began = time.perf_counter()
    lockstep.advance([5])
    lockstep.rewind(1)
    times.append(time.perf_counter() - began)
print(statistics.median(times) * 1000)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="OpenMP's spinning under contention")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--busy", type=int, default=1, help="programs that want a core each")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    model = str(resolve(arguments.model))
    print(f"| spins | alone, ms a token | beside {arguments.busy} busy | \n|---|---|---|")
    columns = [measure(model, busy, arguments.repeat) for busy in (0, arguments.busy)]
    for spins in SPINS:
        print(f"| {spins:,} | {columns[0][spins]:.1f} | {columns[1][spins]:.1f} |")


def measure(model: str, busy: int, repeat: int) -> dict[int, float]:
    """Median milliseconds of a step by number of spins."""
    others = [subprocess.Popen(python("-c", "while True: pass")) for _ in range(busy)]
    try:
        times: dict[int, list[float]] = {spins: [] for spins in SPINS}
        for _ in range(repeat):
            for spins, record in times.items():
                record.append(step_ms(model, spins))
        return {spins: statistics.median(record) for spins, record in times.items()}
    finally:
        for other in others:
            other.kill()


def step_ms(model: str, spins: int) -> float:
    done = subprocess.run(
        python("-c", _STEPS, model),
        env=environment() | {"GOMP_SPINCOUNT": str(spins)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
