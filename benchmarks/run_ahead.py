"""Would it pay to let the preference stream write ahead alone, and the base verify a block?

    python -m benchmarks.run_ahead [-m MODEL] [--strength 3] [--tokens 96]

Measures what single rows, pairs and blocks cost in llama_decode, and how often the preference
stream's own choice is the realigned one; from both follows the best possible time per token of
running ahead (k single rows, then a block of k + 1 for the base), beside plain lockstep.
"""

from __future__ import annotations

import argparse
import statistics

from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.realignment import Combination, Workspace, combined
from amulet_local.runtime.autotune import block_ms, some_tokens
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from benchmarks.kv_types import PREFERENCE, QUESTIONS
from models.lookup import resolve


def main() -> None:
    parser = argparse.ArgumentParser(description="Running ahead against lockstep")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--strength", type=float, default=3.0)
    parser.add_argument("--tokens", type=int, default=96)
    arguments = parser.parse_args()
    model = Model(str(resolve(arguments.model)))
    alone = single_stream_ms(model)
    pair = block_ms(model, LoadOptions(streams="one-context"), repeat=9)[1]
    share = acceptance(model, arguments.strength, arguments.tokens)
    print(f"the preference stream alone chooses the realigned token in {share:.1%} of steps")
    print("| | ms a token |\n|---|---|")
    print(f"| lockstep, a batch of two | {pair:.2f} |")
    for ahead in (1, 3, 7):
        tokens = sum(share**i for i in range(ahead + 1))
        cost = (ahead + 1) * alone[1] + alone[ahead + 1]
        print(f"| {ahead} ahead, then a block of {ahead + 1} | {cost / tokens:.2f} |")
    model.close()


def single_stream_ms(model: Model) -> dict[int, float]:
    """Median milliseconds in llama_decode for blocks of one stream."""
    lockstep = Lockstep(model, LoadOptions(context=1024), streams=1)
    times: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
    for _ in range(10):
        for size, record in times.items():
            lockstep.prefill({0: some_tokens(model, 256)})
            before = lockstep.decode_s
            lockstep.advance(range(size))
            record.append((lockstep.decode_s - before) * 1000)
    lockstep.close()
    return {size: statistics.median(record[1:]) for size, record in times.items()}


def acceptance(model: Model, strength: float, tokens: int) -> float:
    """How often the preference stream's best token is the realigned choice, greedily."""
    prompter = Prompter(model.vocabulary, model.chat_template)
    lockstep = Lockstep(model, LoadOptions(context=1024))
    work = Workspace(model.vocabulary.size)
    same = []
    for question in QUESTIONS:
        chat = [Message("user", question)]
        logits = lockstep.prefill(
            {k: prompter.prompt(DEFAULT_SYSTEM, chat, p) for k, p in enumerate(("", PREFERENCE))}
        )
        for _ in range(tokens):
            token = int(combined(logits, Combination((strength,), 0.1), work).argmax())
            same.append(token == int(logits[1].argmax()))
            if model.vocabulary.ends_turn(token):
                break
            (logits,) = lockstep.advance([token])
    lockstep.close()
    return statistics.mean(same)


if __name__ == "__main__":
    main()
