"""Many strings of a GGUF file at once: how far they lie end to end, found without a loop."""

from __future__ import annotations

import numpy as np

_LENGTH = 8  # bytes, which tell how long a string is, before it
_FIRST_BIT = np.array([8 - bits.bit_length() for bits in range(256)])


def strings_end_to_end(window: memoryview, most: int) -> tuple[int, int]:
    """How many strings, at most `most`, lie end to end from the window's start, and their bytes.

    A string shorter than 256 bytes starts with its length and seven zeros. Each one's end must be
    the next place that looks so; where a long string or a zero inside a text breaks the chain, the
    count ends.
    """
    data = np.frombuffer(window, np.uint8)
    zeros = data == 0
    for shift in (1, 2, 3):  # runs of two, of four, of seven
        zeros = zeros[:-shift] & zeros[shift:]
    # Starts are nine bytes apart or more, so that of eight places one at most is looked for.
    eights = np.packbits(zeros)
    filled = np.flatnonzero(eights)
    starts = filled * 8 + _FIRST_BIT[eights[filled]] - 1
    if not starts.size or starts[0]:
        return 0, 0
    ends = starts + _LENGTH + data[starts]
    broken = np.flatnonzero(ends[:-1] != starts[1:])
    count = min(most, int(broken[0]) + 1 if broken.size else starts.size)
    count -= int(ends[count - 1]) > data.size
    return count, int(ends[count - 1]) if count else 0
