"""What llama_decode alone takes for a token of each of so many sequences, in one batch: the bound
on what several replies at once can gain, whoever serves them.

    python -m benchmarks.rows [-m MODEL] [--threads 1] [--repeat 9]

A steered reply is two rows a step. So eight at once come to at most 8 t(2) / t(16) times the tokens
of one. The median processor time of a batch, by thread, so that other programs on the machine do
not count; the sizes come in turn. A Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import statistics
import time

from amulet_local.path_text import as_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from models import lookup

ROWS = (1, 2, 4, 8, 16)
_HELD = 100  # tokens of each sequence before


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of llama_decode by rows")
    parser.add_argument("-m", "--model", default="")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=9)
    args = parser.parse_args()
    threads = args.threads or physical_cores()
    model = Model(as_text(lookup.resolve(args.model)))
    options = LoadOptions(context=2 * _HELD, threads=threads)
    lockstep = Lockstep(model, options, streams=max(ROWS))
    prompts = {k: [1 + (k + 7 * n) % 100 for n in range(_HELD)] for k in range(max(ROWS))}
    lockstep.prefill(prompts)
    times: dict[int, list[float]] = {rows: [] for rows in ROWS}
    for _ in range(args.repeat):
        for rows, taken in times.items():
            began = time.process_time()
            lockstep.advance_each(dict.fromkeys(range(rows), 5))
            taken.append((time.process_time() - began) / threads)
            lockstep.rewind(1)
    t = {rows: statistics.median(taken) for rows, taken in times.items()}
    print("| rows | ms | ms a row |\n|---|---|---|")
    for rows in ROWS:
        print(f"| {rows} | {1000 * t[rows]:.1f} | {1000 * t[rows] / rows:.1f} |")
    print(f"\n8 steered / one: at most {8 * t[2] / t[16]:.2f}")
    print(f"8 plain / one: at most {8 * t[1] / t[8]:.2f}")
    lockstep.close()
    model.close()


if __name__ == "__main__":
    main()
