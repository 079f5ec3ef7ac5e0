"""What the other modules have of huggingface_hub, which reads the user's variables as it is
imported, and raises over those that it cannot use.

To import this module raises UsageError then.
"""

from __future__ import annotations

import os

from amulet_local.errors import UsageError
from models.cards import printable

try:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import (
        build_hf_headers,
        get_session,
        get_token,
        hf_raise_for_status,
    )
except ValueError as error:
    _set = " or ".join(sorted(name for name in os.environ if name.startswith("HF_")))
    raise UsageError(
        f"a variable that huggingface_hub reads cannot be used ({printable(str(error))}); fix or "
        f"unset {_set}."
    ) from None

__all__ = [
    "GatedRepoError",
    "HFValidationError",
    "HfHubHTTPError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "RepositoryNotFoundError",
    "RevisionNotFoundError",
    "build_hf_headers",
    "constants",
    "get_session",
    "get_token",
    "hf_raise_for_status",
]
