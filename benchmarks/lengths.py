"""How long replies get when asked to be concise: by prompt alone, and realigned.

    python -m benchmarks.lengths QUESTIONS.json [--limit 20]

Greedy, no guard, 128 new tokens, on the default model; a Markdown table on standard output.
QUESTIONS.json is a list of {"index": n, "question": text}.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from amulet_local.engine.engine import Engine
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Method, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Finished, Load, Reply
from amulet_local.strengths import AMULET
from models.lookup import resolve

METHODS: tuple[Method, ...] = ("base", "pref", "amulet")


def main() -> None:
    parser = argparse.ArgumentParser(description="Lengths of concise replies by method")
    parser.add_argument("questions", type=Path)
    parser.add_argument("--limit", type=int, default=20)
    arguments = parser.parse_args()
    questions = [entry["question"].strip() for entry in json.loads(arguments.questions.read_text())]
    engine = Engine(Load(str(resolve("default")), LoadOptions()), lambda _: True)
    concise = load_presets().get("concise")
    lengths: dict[str, list[int]] = {method: [] for method in METHODS}
    print("| question | " + " | ".join(METHODS) + " |\n|---|" + "---|" * len(METHODS))
    for question in questions[: arguments.limit]:
        for method in METHODS:
            events: list[Event] = []
            request = Reply(
                id=1,
                messages=(Message("user", question),),
                seed=0,
                system=DEFAULT_SYSTEM,
                alignment=Alignment(
                    preference=concise.preference,
                    method=method,
                    strength=AMULET,
                    guard=0.0,
                    sampling=Sampling(temperature=0),
                ),
                max_tokens=128,
            )
            engine.reply(request, events.append)
            finished = events[-1]
            assert isinstance(finished, Finished)
            lengths[method].append(len(finished.token_ids))
        row = " | ".join(str(lengths[method][-1]) for method in METHODS)
        print(f"| {question} | {row} |", flush=True)
    medians = " | ".join(f"{statistics.median(lengths[method]):g}" for method in METHODS)
    print(f"| **median tokens** | {medians} |")
    engine.close()


if __name__ == "__main__":
    main()
