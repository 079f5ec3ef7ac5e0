"""What can go wrong in native calls that is no fault of a file or of the user."""

from __future__ import annotations

from amulet_local.errors import AmuletError


class AbortedError(Exception):
    """`Context.abort` cut the load or decode short; its batch must be evaluated anew."""


class NoCellsError(Exception):
    """All cells of the context are taken; the batch was not evaluated."""


class NoDeviceMemoryError(Exception):
    """A device has too little memory for what was to be put there."""


class DecodeError(AmuletError):
    """llama_decode failed; the message says how."""
