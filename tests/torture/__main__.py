"""Run the torture: all parts or those named, from where it stopped, with a report at the end.

    python -m tests.torture [NAME...] [--seed N] [--count N] [--first N] [--folder FOLDER] [--fresh]

Every case runs in a process that may hang or die; another then goes on with the next case. Results
are kept as lines of JSON, one file a part and seed; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from tests.torture.part import Part, parts

_FOLDER = Path("build/torture")
_LONGEST = 2_000  # characters of a fault that are kept
_SHOWN, _EXAMPLES = 1_000, 5  # in the report


def main() -> int:
    """The exit status: 1 where a case failed."""
    known = parts()
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(known)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first case")
    parser.add_argument("--count", type=int, help="how many cases; as many as the part has")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where results are kept")
    parser.add_argument("--fresh", action="store_true", help="forget results that are there")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.names) - known.keys():
        parser.error(f"there is no part {', '.join(unknown)}")
    chosen = [known[name] for name in args.names or known]
    if args.work:
        _work(chosen[0], args.seed, args.first, args.count)
        return 0
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORTURE_FOLDER"] = str(args.folder.resolve())  # for a part that keeps more
    results = {}
    for part in chosen:
        file = args.folder / f"{part.name}-{args.seed}.jsonl"
        if args.fresh:
            file.unlink(missing_ok=True)
        count = part.full if args.count is None else args.count
        results[part.name] = _run(part, args.seed, range(args.first, args.first + count), file)
    report = "\n".join(_report(name, args.seed, cases) for name, cases in results.items())
    (args.folder / "report.md").write_text(report, "utf-8")
    print(report)
    return int(any(case["fault"] for cases in results.values() for case in cases))


# -- running --------------------------------------------------------------------------------------


def _run(part: Part, seed: int, numbers: range, file: Path) -> list[dict[str, Any]]:
    """The results of these cases: those that are in the file, and the others, added to it."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    done = {case["number"]: case for case in map(json.loads, filter(_is_whole, lines))}
    waiting = [number for number in numbers if number not in done]
    with file.open("a", encoding="utf-8") as kept:
        while waiting:
            for case in _cases(part, seed, waiting[0], waiting[-1] + 1):
                done[case["number"]] = case
                kept.write(json.dumps(case) + "\n")
                kept.flush()
                if len(done) % 100 == 0:
                    print(f"{part.name}: {len(done):,} cases", file=sys.stderr, flush=True)
            waiting = [number for number in waiting if number not in done]
    return [done[number] for number in numbers]


def _is_whole(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")


def _cases(part: Part, seed: int, first: int, end: int) -> Iterator[dict[str, Any]]:
    """The cases that a process gets done, the last of which may have been its end."""
    words = [part.name, "--seed", str(seed), "--first", str(first), "--count", str(end - first)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture", "--work", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
    number = first
    try:
        while number < end:
            fault = ""
            try:
                line = lines.get(timeout=part.limit_s)
                fault = "" if line else f"the process ended with {process.wait()}"
            except queue.Empty:
                line, fault = "", f"no end within {part.limit_s:g} s"
            yield {"number": number, "outcome": "", "fault": fault} if fault else json.loads(line)
            if fault:
                return
            number += 1
    finally:
        _end(process)


def _pass_on(pipe: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in pipe:
        lines.put(line)
    lines.put("")


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started."""
    family = [process.pid]
    try:
        family += [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for pid in family:
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _work(part: Part, seed: int, first: int, count: int) -> None:
    for number in range(first, first + count):
        outcome, fault = "", ""
        try:
            outcome = part.case(seed, number)
        except Exception:  # whatever it is, it is a fault
            fault = traceback.format_exc()[-_LONGEST:]
        print(json.dumps({"number": number, "outcome": outcome, "fault": fault}), flush=True)


# -- telling --------------------------------------------------------------------------------------


def _report(name: str, seed: int, cases: Sequence[dict[str, Any]]) -> str:
    outcomes = Counter(case["outcome"] for case in cases if not case["fault"])
    faults = [case for case in cases if case["fault"]]
    lines = [f"## {name}: {len(cases):,} cases, seed {seed}, {len(faults):,} faults", ""]
    lines += [f"- {outcome}: {count:,}" for outcome, count in outcomes.most_common()]
    for case in faults[:_EXAMPLES]:
        lines += ["", f"case {case['number']}:", "", "```", case["fault"][-_SHOWN:].strip(), "```"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
