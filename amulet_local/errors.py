"""The ways to fail that a user meets: each carries one sentence and an exit code.

A message says what is wrong and what to do next, in one sentence; front ends print it as it is.
"""

from __future__ import annotations

from amulet_local.paths import encodable


class AmuletError(Exception):
    """Base of every error that is meant for the user's eyes."""

    exit_code = 1

    def __init__(self, sentence: str = "") -> None:
        super().__init__(encodable(sentence))


class UsageError(AmuletError):
    """The request itself cannot be served: a bad value, a prompt that does not fit."""

    exit_code = 2


class NotUsableError(AmuletError):
    """A model, preset or file is missing, damaged, or not of the right kind."""

    exit_code = 3


class EngineDiedError(AmuletError):
    """The engine process ended while it was needed."""

    exit_code = 4
