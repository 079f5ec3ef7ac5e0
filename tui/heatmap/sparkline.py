"""Numbers as a row of small bars. Nothing here knows of colours or widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

_BARS = "▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉"


def bars(values: Sequence[float], low: float, high: float) -> str:
    """A bar for each value, from low (lowest) to high (full)."""
    span = max(high - low, 1e-9)
    shares = (min(1.0, max(0.0, (value - low) / span)) for value in values)
    return "".join(_BARS[round(share * (len(_BARS) - 1))] for share in shares)


def squeezed(
    values: Sequence[float], width: int, summary: Callable[[Iterable[float]], float] = max
) -> list[float]:
    """At most `width` values: each stands for neighbours, where there are more."""
    if len(values) <= width:
        return list(values)
    return [
        summary(values[first_of(column, len(values), width) : _end(column, len(values), width)])
        for column in range(width)
    ]


def column_of(number: int, count: int, width: int) -> int:
    """In which column of a squeezed row a value is."""
    return number if count <= width else (number * width + width - 1) // count


def first_of(column: int, count: int, width: int) -> int:
    """The first value of a column of a squeezed row."""
    return column if count <= width else column * count // width


def _end(column: int, count: int, width: int) -> int:
    return (column + 1) * count // width


def level_bar(share: float, width: int) -> str:
    """A bar from the left that fills a share of `width` cells, to an eighth of one."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_PARTS[rest] if rest else "")).ljust(width)
