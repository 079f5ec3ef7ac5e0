"""What llama.cpp says: its lines go to Python's logging, and its errors give reasons for failures.

llama.cpp tells why it refused something only in its log, so `forget_errors` goes before each
attempt, and `reason` and `lacks_memory` after one that failed.
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections import deque
from functools import lru_cache

import llama_cpp

logger = logging.getLogger("llama.cpp")
logger.addHandler(logging.NullHandler())  # silent unless a program asks to hear it
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_LONGEST = 200  # characters of a reason
_errors: deque[str] = deque(maxlen=8)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user_data: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    severity = _LEVELS.get(level, logging.DEBUG)
    logger.log(severity, "%s", line)
    if severity == logging.ERROR:
        _errors.append(line)


@lru_cache(maxsize=1)
def initialise() -> None:
    """Importing llama_cpp has set its own log callback; ours replaces it for good."""
    take_log()
    llama_cpp.llama_backend_init()


def take_log() -> None:
    """Have llama.cpp log here, whoever set a callback of their own before."""
    llama_cpp.llama_log_set(_on_log, ctypes.c_void_p(0))


def forget_errors() -> None:
    """Begin an attempt: the errors of earlier ones say nothing of it."""
    _errors.clear()


def lacks_memory() -> bool:
    """Whether the last attempt failed for want of memory, going by what llama.cpp said."""
    return any(re.search("out of memory|alloc", line, re.IGNORECASE) for line in _errors)


def reason() -> str:
    """Why llama.cpp refused, in its own words: the first error since the last attempt, as one line;
    what it quotes of a file may be long, and break lines."""
    said = re.sub(r"^\w+: ", "", _errors[0]) if _errors else "llama.cpp gave no reason"
    return " ".join(said.split())[:_LONGEST]
