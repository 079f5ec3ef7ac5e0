"""The file of a loaded model. Its weights are mapped, so replies come from what is there now."""

from __future__ import annotations

from amulet_local.errors import NotUsableError
from amulet_local.files import Stamp
from amulet_local.path_text import from_text
from amulet_local.system import paths


class ModelFile:
    """A model's file, as it is before it is loaded."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode, self._stamp = _inode_and_stamp(path)

    def check(self) -> None:
        """Raises NotUsableError where the file was written to since."""
        inode, now = _inode_and_stamp(self._path)
        if inode == self._inode and now != self._stamp:
            raise NotUsableError(
                f"{self._path} changed while in use; choose the model again to load the "
                "new version."
            )


def _inode_and_stamp(path: str) -> tuple[int, Stamp | None]:
    """The inode tells a file that was put in the place of the mapped one, which changes no weights
    in use, from the mapped one written to."""
    status = paths.status(from_text(path))
    return (status.st_ino, Stamp.of(status)) if status else (0, None)
