"""Does a fader below 0 lead away? Questions whose instruction is a fader that is led away from, and
what became of them, by kind of instruction.

    python -m benchmarks.mix_away OUT.jsonl FILE.jsonl...
    amulet eval --instructions OUT.jsonl --methods base,pref,amulet@s=1.5 --judge none --out FOLDER
    python -m benchmarks.mix_away FOLDER

FILES are in the form of IFEval's questions with one instruction (see evaluation/instructions.py).
Of the kinds that a program finds more often where they are prompted for than where nobody asks, it
is told in how many it finds them less often with the fader at -1.5: than with the prompt, and than
where nobody asks, as far as there is anything to lose.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from amulet_local.evaluation.records import WrittenReply
from amulet_local.verifiers import strict

Rates = dict[str, dict[str, float]]  # by kind, by method


def main() -> None:
    first, *files = map(Path, sys.argv[1:])
    if files:
        lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
        made = [away(json.loads(line)) for line in lines if line.strip()]
        first.write_text("".join(f"{json.dumps(each)}\n" for each in made), "utf-8")
        print(f"{len(made)} questions with a fader below 0")
        return
    replies = (first / "replies.jsonl").read_bytes().splitlines()
    found = rates(msgspec.json.decode(line, type=WrittenReply) for line in replies)
    print("| kind | questions | not asked | prompted | led away |\n|---|---|---|---|---|")
    for kind, by in sorted(found.items()):
        shares = " | ".join(f"{by[method]:.0%}" for method in ("base", "pref", "amulet"))
        print(f"| {kind} | {by['questions']:.0f} | {shares} |")
    raised = [by for by in found.values() if by["pref"] > by["base"]]
    to_lose = [by for by in raised if by["base"] > 0]
    below_prompted = sum(by["amulet"] < by["pref"] for by in raised)
    below_base = sum(by["amulet"] < by["base"] for by in to_lose)
    print(
        f"\nprompting raises {len(raised)} kinds; led away, {below_prompted} fall below the prompt"
    )
    print(f"not asked, {len(to_lose)} of them are found at times; {below_base} fall below that")


def away(line: dict[str, object]) -> dict[str, object]:
    return {**line, "each": [line["question_with_instruction"]], "signs": [-1]}


def rates(replies: Iterable[WrittenReply]) -> Rates:
    """How often each kind is found, of the questions that were answered in all three ways."""
    found: dict[str, dict[int, dict[str, bool]]] = defaultdict(lambda: defaultdict(dict))
    for reply in replies:
        for kind in {each.kind for each in reply.verifiers}:
            found[kind][reply.question][reply.method] = strict(reply.verifiers, reply.text)
    told: Rates = {}
    for kind, by_question in found.items():
        whole = [answers for answers in by_question.values() if len(answers) == 3]
        if whole:
            told[kind] = {
                method: sum(answers[method] for answers in whole) / len(whole)
                for method in ("base", "pref", "amulet")
            }
            told[kind]["questions"] = len(whole)
    return told


if __name__ == "__main__":
    main()
