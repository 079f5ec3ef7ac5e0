"""Names of what is stored: unique without asking anybody.

A message's id sorts by time and tells when it was made; a chat's is short, for people to type.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable
from typing import Annotated

import msgspec

# Crockford's digits: none looks like another, and their order is that of their values.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26
_SHORT = 10

ID_PATTERN = rf"\A0[{_DIGITS}]{{{_LENGTH - 1}}}\Z"  # the 0 lasts until the year 3084
CHAT_PATTERN = r"\A[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z"
LATEST = (1 << 45) / 1000  # the time of such an id is before that, in seconds since 1970

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
ChatId = Annotated[str, msgspec.Meta(pattern=CHAT_PATTERN)]

_lock = threading.Lock()
_last = 0


def new_id(made: float | None = None) -> str:
    """An id of 26 characters, larger than all that this process made before.

    With a time in seconds since 1970, an id of that time, in no order with others of the same
    millisecond.
    """
    global _last
    moment = time.time_ns() // 1_000_000 if made is None else round(made * 1000)
    number = moment << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    if made is None:
        with _lock:
            number = _last = max(number, _last + 1)
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def time_of(name: str) -> float:
    """When an id was made, in seconds since 1970, to the millisecond."""
    number = 0
    for digit in name[: _LENGTH - _RANDOM_BITS // 5]:
        number = number << 5 | _DIGITS.index(digit)
    return number / 1000


def new_chat_id() -> str:
    """Ten random characters; the first few tell it from others."""
    return "".join(secrets.choice(_DIGITS) for _ in range(_SHORT))


def renewed(names: Iterable[str]) -> dict[str, str]:
    """A new id for each, of the same time and in the same order."""
    old = sorted(names)
    return dict(zip(old, sorted(new_id(time_of(name)) for name in old), strict=True))
