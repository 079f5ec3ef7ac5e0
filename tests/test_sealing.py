"""What Amulet did not write is never read as if it had: by any change, by length, by purpose."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from amulet_local import sealing
from amulet_local.sealing import NotOursError, StoppedError, read_sealed, write_sealed
from amulet_local.settings import data_folder, mend_folders
from tests.checks import some

BLOCKS = [b"one, ", b"", b"two and ", b"three"]
WHOLE = b"".join(BLOCKS)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "sealed"
    write_sealed(path, b"a test", BLOCKS)
    return path


def key_file() -> Path:
    return data_folder() / "state.key"


def test_what_is_sealed_is_read_again(sealed: Path) -> None:
    assert bytes(read_sealed(sealed, b"a test")) == WHOLE
    write_sealed(sealed, b"a test", [])
    assert bytes(read_sealed(sealed, b"a test")) == b""


def test_any_changed_byte_is_noticed(sealed: Path) -> None:
    data = sealed.read_bytes()
    for place in some(range(len(data))):
        sealed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(NotOursError):
            read_sealed(sealed, b"a test")


def test_any_other_length_is_noticed(sealed: Path) -> None:
    data = sealed.read_bytes()
    for end in some(range(len(data))):
        sealed.write_bytes(data[:end])
        with pytest.raises(NotOursError):
            read_sealed(sealed, b"a test")
    sealed.write_bytes(data + b"x")
    with pytest.raises(NotOursError):
        read_sealed(sealed, b"a test")


def test_what_is_sealed_for_something_else_is_not_ours(sealed: Path) -> None:
    with pytest.raises(NotOursError):
        read_sealed(sealed, b"another test")


def test_no_more_than_the_head_of_a_strange_file_is_read(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sealed.open("r+b") as file:
        file.truncate(1 << 40)  # which takes no room on the disk, and would not fit in memory
    with pytest.raises(NotOursError):
        read_sealed(sealed, b"a test")
    sealed.unlink()
    os.mkfifo(sealed)
    with pytest.raises(FileNotFoundError):
        read_sealed(sealed, b"a test")


def test_the_key_is_private_and_made_once(sealed: Path) -> None:
    key = key_file().read_bytes()
    assert (len(key), stat.S_IMODE(key_file().stat().st_mode)) == (32, 0o600)
    write_sealed(sealed, b"a test", BLOCKS)
    assert key_file().read_bytes() == key


@pytest.mark.parametrize("way", ["open to others", "too short", "too long", "gone"])
def test_a_key_that_others_may_know_is_replaced(sealed: Path, way: str) -> None:
    key = key_file().read_bytes()
    if way == "open to others":
        key_file().chmod(0o640)
    elif way == "gone":
        key_file().unlink()
    else:
        key_file().write_bytes(key[:-1] if way == "too short" else key + b"x")
    with pytest.raises(NotOursError):
        read_sealed(sealed, b"a test")
    assert key_file().read_bytes()[:31] != key[:31]
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600


def test_a_key_that_others_may_know_is_not_closed_and_then_trusted(sealed: Path) -> None:
    key_file().chmod(0o644)
    mend_folders()
    with pytest.raises(NotOursError):
        read_sealed(sealed, b"a test")


def test_a_key_that_nobody_else_may_know_is_kept(sealed: Path) -> None:
    mend_folders()
    assert bytes(read_sealed(sealed, b"a test")) == b"".join(BLOCKS)


def test_where_no_key_can_be_kept_nothing_is_sealed(home: Path, tmp_path: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="directory"):
        write_sealed(tmp_path / "sealed", b"a test", BLOCKS)
    assert not (tmp_path / "sealed").exists()


def test_writing_can_be_given_up_anywhere(sealed: Path) -> None:
    before = sealed.read_bytes()
    stops = 0
    for asked in some(range(2 * len(BLOCKS))):
        answers = iter([False] * asked)
        with pytest.raises(StoppedError):
            write_sealed(sealed, b"a test", [b"other", *BLOCKS[1:]], lambda: next(answers, True))  # noqa: B023
        stops += 1
        assert [file.read_bytes() for file in sealed.parent.glob("sealed*")] == [before]
    assert stops == 8
    assert len(before) - len(WHOLE) == sealing._HEAD
