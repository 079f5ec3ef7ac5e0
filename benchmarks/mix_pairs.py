"""Questions with two instructions each, for `amulet eval --instructions`, from those with one.

    python -m benchmarks.mix_pairs OUT.jsonl FILE.jsonl...

FILES are in the form of IFEval's questions with one instruction (see evaluation/instructions.py).
Each question keeps its own instruction, as far as that stands behind it, and gets one of another
family that belongs to another question; those that would contradict each other or change what is
asked are left out. Every other line asks, those between lend; the order is the files'.
"""

from __future__ import annotations

import json
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

# What decides the whole form of a reply leaves little room for a second instruction.
_WHOLE = {
    "detectable_format:json_format",
    "detectable_format:constrained_response",
    "detectable_format:multiple_sections",
    "combination:two_responses",
    "combination:repeat_prompt",
    "language:response_language",
}
_FEWEST_WORDS = 3


def instruction(line: dict[str, Any]) -> str:
    """What stands behind the question; empty where that is no sentence of its own."""
    question, whole = line["question"].strip(), line["question_with_instruction"].strip()
    rest = whole.removeprefix(question).strip()
    own = whole.startswith(question) and rest[:1].isupper()
    return rest if own and len(rest.split()) >= _FEWEST_WORDS else ""


def family(line: dict[str, Any]) -> str:
    return str(line["instruction_id_list"][0].partition(":")[0])


def pairs(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    usable = [
        line
        for line in lines
        if len(line["instruction_id_list"]) == 1
        and line["instruction_id_list"][0] not in _WHOLE
        and instruction(line)
    ]
    askers, lenders = usable[::2], cycle(usable[1::2])
    made = []
    for asker in askers:
        other = next(it for it in lenders if family(it) != family(asker))
        question = asker["question"].strip()
        two = [instruction(asker), instruction(other)]
        made.append(
            {
                "question": question,
                "question_with_instruction": f"{question} {two[0]} {two[1]}",
                "each": [f"{question} {each}" for each in two],
                "instruction_id_list": [
                    *asker["instruction_id_list"],
                    *other["instruction_id_list"],
                ],
                "kwargs": [*asker["kwargs"], *other["kwargs"]],
            }
        )
    return made


def main() -> None:
    out, *files = map(Path, sys.argv[1:])
    lines = [
        json.loads(line)
        for path in files
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]
    made = pairs(lines)
    out.write_text("".join(f"{json.dumps(each)}\n" for each in made), "utf-8")
    print(f"{len(made)} questions with two instructions each")


if __name__ == "__main__":
    main()
