"""How a chat comes to a better model than the starter: found, fetched, moved to.

What is done at each step is in screens/first_run.py. The model that the app begins with is kept
here, in a file of its own, as the theme is.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from amulet_local.errors import AmuletError
from amulet_local.files import read_bounded, write_whole
from amulet_local.path_text import from_text
from amulet_local.settings import data_folder
from amulet_local.system import paths
from tui.session.calibration import Calibration

_MOST_BYTES = 1 << 16  # of a path


class Stage(Enum):
    """What comes next."""

    WAITING = auto()  # for the starter's first reply, which tells a speed
    LOOKING = auto()  # for what suits this machine
    OFFERED = auto()  # the key fetches it
    FETCHING = auto()
    HERE = auto()  # the key moves the chat to it
    MOVING = auto()  # it is loading
    UNMEASURED = auto()  # the key measures what it bears
    OVER = auto()


@dataclass
class BetterModel:
    """stage: how far it is. name: what to fetch, by its name in the catalogue. here: the path of
    what was fetched. chosen: the path of what the user chose to load: where that succeeds, the app
    begins with it the next time. told: whether it was said why nothing better is offered.
    calibration: the search under way for what a model bears, if any. faster: the path of a model
    and the type that is worth a copy of it, where one is offered: the key writes it, unless it is
    at one of the stages."""

    stage: Stage = Stage.WAITING
    name: str = ""
    here: str = ""
    chosen: str = ""
    told: bool = False
    calibration: Calibration | None = None
    faster: tuple[str, str] | None = None


def last_model() -> str:
    """The path of the model that was chosen last in the app; empty if none was, or it is gone."""
    with suppress(OSError, UnicodeDecodeError, AmuletError):
        name = read_bounded(_file(), _MOST_BYTES).decode().strip()
        return name if name and paths.is_file(from_text(name)) else ""
    return ""


def remember(path: str) -> None:
    """Keep a choice; where that fails, it is made again next time."""
    with suppress(OSError, AmuletError):
        write_whole(_file(), path.encode())


def _file() -> Path:
    return data_folder() / "model"
