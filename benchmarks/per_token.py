"""What a token costs beside the model: realign, guard, measure, sample, spell, pipe.

    python -m benchmarks.per_token [--vocabulary 151936] [--repeat 300]

Median milliseconds over random logits, and how often the paper's 60 iterations would take as long
as one realign. A Markdown table on standard output.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from amulet_local.bench.outside import outside_ms
from amulet_local.runtime.llama.model import Model
from tests.tiny_models import write_llama


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of a token outside llama_decode")
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--repeat", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        write_llama(path, vocabulary=arguments.vocabulary)
        model = Model(str(path))
        rows = outside_ms(model, arguments.repeat)
        model.close()
    print(f"| at a vocabulary of {arguments.vocabulary:,} | ms |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value:.3f} |")
    print(f"| 60 iterations / realign | {rows['60 iterations'] / rows['realign']:.0f} times |")


if __name__ == "__main__":
    main()
