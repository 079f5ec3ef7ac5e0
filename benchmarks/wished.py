"""Whether replies have what our own presets wish for, as far as it can be counted.

    python -m benchmarks.wished DIR

DIR is a folder of `amulet eval`. For each preset a plain count stands in for the wish: coarse, and
English only, but it does not ask the model that wrote the replies. Printed for every method: the
mean over replies, and in brackets how many of them recite the preference, five words in a row.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from amulet_local.evaluation.records import Folder, WrittenReply
from amulet_local.evaluation.scores.length import length, words
from amulet_local.evaluation.scores.readability import readability
from amulet_local.evaluation.scores.sentiment import sentiment


def list_lines(text: str) -> float:
    """The share of lines that begin as items of a list do."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    items = [line for line in lines if re.match(r"[-*•]|\d+[.)]", line)]
    return len(items) / max(1, len(lines))


def mentions(pattern: str, text: str) -> float:
    """Words of a list, for a hundred words."""
    return 100 * len(re.findall(rf"\b(?:{pattern})", text, re.IGNORECASE)) / max(1, length(text))


def britain(text: str) -> float:
    """Spellings of Britain less those of America, for a hundred words."""
    stems = "col|fav|behavi|neighb|flav|hum|hon"
    verbs = "organ|real|recogn|prior|min|max|apolog|emphas|memor|util|custom|personal|special"
    british = rf"(?:{stems})our|(?:{verbs})\w*is(?:e|ing|ation)|centre|grey|holiday|travell"
    american = rf"(?:{stems})or|(?:{verbs})\w*iz(?:e|ing|ation)|center|gray|vacation|traveli"
    return mentions(british, text) - mentions(american, text)


def paragraph(text: str) -> float:
    """Words in the longest paragraph."""
    return max((length(part) for part in re.split(r"\n\s*\n", text)), default=0.0)


def recites(reply: WrittenReply) -> bool:
    """Whether a reply says aloud what was wished rather than doing it."""
    wished, said = words(reply.words), f" {' '.join(words(reply.text))} "
    return any(f" {' '.join(wished[i : i + 5])} " in said for i in range(len(wished) - 4))


Count = Callable[[str], float]

WISHED: dict[str, tuple[str, Count]] = {
    "bullet-points": ("lines that are items of a list, share", list_lines),
    "short-of-time": ("words", length),
    "small-screen": ("words in the longest paragraph", paragraph),
    "plain-english": ("school grade", readability),
    "explain-like-im-ten": ("school grade", readability),
    "no-flattery": ("sentiment", sentiment),
    "gentle-with-beginners": (
        "steps and encouragement",
        partial(mentions, r"steps?\b|don't worry|you can do|take your time|practice|easy|start"),
    ),
    "around-the-world": (
        "countries and cultures",
        partial(
            mentions,
            r"countr|cultur|tradition|custom|Japan|Chin|India|Ital|French|France|Mexic|Africa|"
            r"German|Brazil|Spain|Spanish|Asia|Europe|Kore|Thai|Greek|Greece|Swed|Turk|world",
        ),
    ),
    "british-english": ("British less American spellings", britain),
    "metric-and-local": (
        "metric units less others",
        lambda text: (
            mentions(r"met(?:re|er)s?\b|km\b|kilo|cm\b|centi|gram|lit(?:re|er)|celsius|°C", text)
            - mentions(r"inch|feet|foot\b|miles?\b|pounds?\b|ounce|fahrenheit|°F|gallon", text)
        ),
    ),
    "privacy-first": (
        "privacy and data",
        partial(mentions, r"priva|data\b|personal info|share|secur|password|device|protect|safe"),
    ),
    "thrifty": (
        "money",
        partial(mentions, r"free\b|cheap|cost|price|afford|budget|sav(?:e|ing)|expens|\$|£|€"),
    ),
    "weighs-the-environment": (
        "environment",
        partial(mentions, r"environment|reus|recycl|repair|waste|energy|sustain|eco|natur|green"),
    ),
    "careful-about-uncertainty": (
        "hedges",
        partial(mentions, r"may\b|might|not sure|uncertain|I don't know|perhaps|possibl|depend"),
    ),
    "no-internet": ("offline", partial(mentions, r"offline|internet|online|wi-?fi|connect")),
    "today-is": (
        "dates and staleness",
        partial(mentions, r"20\d\d|out of date|outdated|up[- ]to[- ]date|as of|today|date\b"),
    ),
}


def main() -> None:
    runs: dict[tuple[str, str], list[WrittenReply]] = defaultdict(list)
    for reply in Folder(Path(sys.argv[1])).replies().values():
        runs[reply.preference, reply.variant].append(reply)
    for name, (what, count) in WISHED.items():
        means = [
            f"{variant} {statistics.fmean(count(reply.text) for reply in replies):.2f} "
            f"({sum(map(recites, replies))} of {len(replies)})"
            for (preference, variant), replies in sorted(runs.items(), key=lambda item: item[0][1])
            if preference == name
        ]
        if means:
            print(f"{name}, {what}: {', '.join(sorted(means, reverse=True))}")


if __name__ == "__main__":
    main()
