"""How a reply came about, in words and small bars: what stands below it.

A stored reply goes in, texts come out. Nothing here knows of widgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from amulet_local.chats.conversation import Node
from amulet_local.chats.followed import CLEARLY, SOMEWHAT, followed
from amulet_local.chats.provenance import Origin, Reason, TokenMeasures, known_measures
from amulet_local.strengths import BASE, label
from tui.heatmap.colours import LEAST_SHIFT
from tui.heatmap.sparkline import bars, squeezed
from tui.markdown.sanitising import clean, count, speed

_ENDS: dict[Reason, str] = {
    "stop": "",
    "length": "■ cut off: the reply limit or the context limit was reached",
    "cancelled": "■ stopped",
    "died": "■ the engine stopped here",
    "interrupted": "■ interrupted",
}
_TURNED = 0.005  # between strengths
_CELLS, _CELLS_OF_TWO = 24, 12  # of the bars: alone, and two beside each other


def how(node: Node, preset: str) -> list[str]:
    """How a reply came about, in pieces: its end, its steering, what it cost, its seed. preset:
    what to call its preset."""
    if node.origin is None:
        return ["written by you"]
    ending, stats = node.ending, node.ending.stats if node.ending else None
    parts = [_ENDS[ending.reason]] if ending else []
    if not node.message.text:
        parts.append("no answer" if node.thought.text else "the model wrote nothing")
    if node.origin.steered:
        parts.append(steered(node, preset))
        parts += map(clean, followed(node).told)
    if stats:
        written = stats.tokens - stats.thought_tokens
        parts.append(f"{count(written, 'token')}, {speed(stats.tokens_per_s)}")
        parts.append(f"first after {stats.first_token_s:.1f} s")
    parts.append(f"seed {node.origin.seed}")
    return [part for part in parts if part]


def gain_in_words(node: Node) -> str | None:
    """What the number behind "followed" is; None where there is none."""
    gain = followed(node).gain
    if gain is None:
        return None
    return (
        f"The preference made this reply's tokens {gain:+.3f} nats likelier on average; "
        f"{SOMEWHAT:g} or more counts as somewhat, {CLEARLY:g} or more as clearly."
    )


def thought_in_words(node: Node) -> str:
    """How long a thought was. Of a reply that was continued, its tokens are all that is known."""
    stats = node.ending.stats if node.ending else None
    if stats and stats.thought_tokens:
        return in_words(stats.thought_tokens, stats.thought_s)
    return in_words(len(node.thought.token_ids), 0.0)


def in_words(tokens: int, seconds: float) -> str:
    """A thought that is over, as far as anything is known of it."""
    told = [f"for {duration(seconds, exact=True)}"] if seconds else []
    counted = count(tokens, "token") if tokens else ""
    return ", ".join(filter(None, [" ".join(["thought", *told]), counted]))


def duration(seconds: float, *, exact: bool = False) -> str:
    """A time as one would say it."""
    if seconds < 60:
        return f"{seconds:.{1 if exact else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s"


def steered(node: Node, preset: str) -> str:
    """How a reply was steered, in words; empty where it was not."""
    if node.origin is None or not node.origin.steered:
        return ""
    if node.origin.alignment.mix:
        return _mixed(known_measures(node.measures), node.origin)
    preset = clean(preset) if node.origin.alignment.preference else ""
    followed = " + ".join(filter(None, [preset, "wish" if node.origin.wish else ""]))
    return f"{followed} {_strengths(known_measures(node.measures), node.origin)}"


def _mixed(measured: Sequence[TokenMeasures], origin: Origin) -> str:
    """The faders that were heard, and where those ended that were turned meanwhile."""
    ended = measured[-1].strengths if measured else ()
    faders = origin.alignment.mix
    told = []
    for fader, used in zip_longest(faders, ended[: len(faders)]):
        asked = BASE if fader.muted else fader.strength
        used = asked if used is None else used
        if asked or used:
            turned = f" → {used:+.2f}" if abs(used - asked) > _TURNED else ""
            told.append(f"{clean(fader.name) or 'own words'} {asked:+.2f}{turned}")
    return ", ".join([*told, *(["wish"] if origin.wish else [])])


def shift_sparkline(node: Node) -> str:
    """How the shift went over a realigned reply, in a line, and the strength if the dial was turned
    meanwhile; empty where nothing was measured."""
    measured = known_measures(node.measures)
    shifts = [token.shift for token in measured if token.shift is not None]
    if not shifts:
        return ""
    strengths = [token.strength for token in measured]
    turned = max(strengths) - min(strengths) > _TURNED
    cells = _CELLS_OF_TWO if turned else _CELLS
    most = max(shifts)
    line = f"shift {_row(shifts, cells, 0.0, max(most, LEAST_SHIFT))} max {most:.2f}"
    if turned:
        low, high = min(BASE, *strengths), max(BASE + 1, *strengths)
        line += f"  strength {_row(strengths, cells, low, high)}"
    return line


def _row(values: Sequence[float], cells: int, low: float, high: float) -> str:
    return bars(squeezed(values, cells), low, high)


def _strengths(measured: Sequence[TokenMeasures], origin: Origin) -> str:
    """The strength that was asked for, and the one it ended with where the dial was turned."""
    if measured and abs(measured[-1].strength - origin.alignment.strength) > _TURNED:
        used = measured[-1].strength
        return f"{origin.alignment.strength:.2f} → {used:.2f} {label(used)}"
    return f"{origin.alignment.strength:.2f} {label(origin.alignment.strength)}"
