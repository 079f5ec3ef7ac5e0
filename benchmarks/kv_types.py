"""What a quantised KV cache does to agreement with a float one.

    python -m benchmarks.kv_types [-m MODEL] [--tokens 96]

Greedy realigned replies to a few questions: how many tokens agree until the first difference, and
how often the next token's choice is the same when both caches are fed the same text.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.loading import KvType, LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.realignment import Combination, Row, Workspace, combined, log_softmax
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.strengths import LINEAR
from models.lookup import resolve

QUESTIONS = (
    "How do I keep houseplants alive while I travel?",
    "What is a good way to learn the names of the stars?",
    "Why does bread go stale, and what can be done about it?",
    "How should I plan a week of meals for two people?",
)
PREFERENCE = "Your answer should be concise as much as possible."
COMBINATION = Combination((LINEAR,), guard=0.1)
KV_TYPES: tuple[KvType, ...] = ("q8_0", "q4_0")


def main() -> None:
    parser = argparse.ArgumentParser(description="KV cache types against f16")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--tokens", type=int, default=96)
    arguments = parser.parse_args()
    model = Model(str(resolve(arguments.model)))
    prompter = Prompter(model.vocabulary, model.chat_template)
    work = Workspace(model.vocabulary.size)
    reference = Lockstep(model, LoadOptions(context=1024))
    print("| KV cache | same choice | KL to f16, nats (mean) | bytes |\n|---|---|---|---|")
    print("| f16 | 100.0% | 0 | 1.00 |")
    for kv_type in KV_TYPES:
        other = Lockstep(model, LoadOptions(context=1024, kv_type=kv_type))
        same, divergence = [], []
        for question in QUESTIONS:
            chat = [Message("user", question)]
            prompts = {
                k: prompter.prompt(DEFAULT_SYSTEM, chat, p) for k, p in enumerate(("", PREFERENCE))
            }
            rows = [reference.prefill(prompts), other.prefill(prompts)]
            for _ in range(arguments.tokens):
                choices = [int(combined(row, COMBINATION, work).argmax()) for row in rows]
                same.append(choices[0] == choices[1])
                divergence.append(kl(rows))
                rows = [lockstep.advance(choices[:1])[0] for lockstep in (reference, other)]
        mean = float(np.mean(divergence))
        print(f"| {kv_type} | {100 * np.mean(same):.1f}% | {mean:.4f} | {size(kv_type):.2f} |")
        other.close()
    reference.close()
    model.close()


def size(kv_type: KvType) -> float:
    """Bytes of a value, of those in f16."""
    elements, octets = GGML_QUANT_SIZES[GGMLQuantizationType[kv_type.upper()]]
    return octets / elements / 2


def kl(rows: Sequence[Sequence[Row]]) -> float:
    """KL(f16 || other) of the preference stream's next token."""
    p, q = (log_softmax(row[1].astype(np.float64)) for row in rows)
    return float((np.exp(p) * (p - q)).sum())


if __name__ == "__main__":
    main()
