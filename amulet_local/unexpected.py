"""What should not have happened, as a sentence; its traceback goes to a file."""

from __future__ import annotations

import traceback
from contextlib import suppress
from datetime import datetime

from amulet_local.errors import AmuletError
from amulet_local.files import private, private_folder
from amulet_local.settings import app_log
from amulet_local.system import paths

_LARGEST_LOG = 1 << 20  # bytes, from which on it is begun anew


def told(error: BaseException) -> str:
    """What to say of an error; one that nobody foresaw goes to the log, with its traceback."""
    if isinstance(error, AmuletError):
        return str(error)
    try:
        log = app_log()
    except AmuletError as no_home:
        return f"Something went wrong in Amulet; its details cannot be kept: {no_home}"
    with suppress(OSError, AmuletError):
        private_folder(log.parent)
        found = paths.status(log)
        mode = "w" if found and found.st_size > _LARGEST_LOG else "a"
        with open(log, mode, encoding="utf-8", errors="backslashreplace", opener=private) as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}\n")
            file.writelines(traceback.format_exception(error))
    if isinstance(error, OSError):
        return f"the operating system reported an error ({error}); details are in {log}."
    return f"Something went wrong in Amulet; details are in {log}."
