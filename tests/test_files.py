"""A file is put in place whole or not at all; room is asked for; a stamp tells of changes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from amulet_local.errors import UsageError
from amulet_local.files import (
    Stamp,
    clear_remnants,
    part_of,
    read_json,
    replacing,
    require_space,
    stamp,
    write_whole,
)
from amulet_local.system.child_processes import environment, python


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.json"
    with replacing(path) as part:
        part.write_bytes(b"one")
        assert names(path.parent) == {part_of(path).name}
    assert path.read_bytes() == b"one"
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == {"a.json"}


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"one")
    with pytest.raises(error), replacing(path) as part:  # noqa: PT012
        part.write_bytes(b"tw")
        raise error
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == {"a.json"}


def test_a_failure_before_anything_is_written_is_told_as_it_is(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        write_whole(blocker / "a.json", b"one")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "b", private=False):
        pass  # nothing was written
    assert names(tmp_path) == {"file"}


def test_the_unfinished_file_can_have_a_name_of_its_own(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.kv", tmp_path / "a.123.part") as part:
        assert part.name == "a.123.part"
        part.write_bytes(b"one")
    assert names(tmp_path) == {"a.kv"}


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    script = (
        "import os, pathlib, signal, sys; from amulet_local.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half of something long')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(python("-c", script, str(path)), env=environment(), check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with replacing(path) as part:
        assert part != left
        clear_remnants(tmp_path.glob("*.part"))
        assert list(tmp_path.iterdir()) == [part]
    assert names(tmp_path) == {"a.json"}


def test_room_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000))
    require_space("fetching tiny", 2_000_000, tmp_path, "AMULET_MODELS")
    with pytest.raises(UsageError) as caught:
        require_space("fetching tiny", 3_000_000_000, tmp_path, "AMULET_MODELS")
    assert str(caught.value) == (
        f"fetching tiny needs 3,000 MB in {tmp_path}, but only 2 MB are free there; make room, or "
        "set AMULET_MODELS to another folder."
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[1, 2]",
        b'{"a": "b"}',
        b'{"\xff": 1}',
        b"[" * 3_000,
        b'{"a": ' * 3_000,
        b"1" * 99,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_json_that_says_nothing_of_the_kind_is_a_value_error(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(body)
    with pytest.raises(ValueError, match=r"\S"):
        read_json(path, 1 << 20, dict[str, int])


def test_what_json_says_is_quoted_in_part(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"a": "{"x" * 9_999}"}}')
    with pytest.raises(ValueError, match=r"^Invalid enum value 'x+… - at `\$\[...\]`$") as raised:
        read_json(path, 1 << 20, dict[str, Literal["one"]])
    assert len(str(raised.value)) < 300


def test_a_stamp_tells_a_changed_file_and_not_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert stamp(path) is None
    assert stamp("\0") is None
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 5_000_000_000))
    first = stamp(path)
    assert first == Stamp(3, 5_000_000_000)
    assert stamp(shutil.copy2(path, tmp_path / "b")) == first
    os.utime(path, ns=(1, 6_000_000_000))
    assert stamp(path) != first
    path.write_bytes(b"four")
    os.utime(path, ns=(1, 5_000_000_000))
    assert stamp(path) != first
