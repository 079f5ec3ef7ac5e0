"""Paths from outside: looking at one tells what is there, and never raises."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.settings import data_folder, models_folder
from amulet_local.system import paths

STRANGE = (
    "~nosuchuser",
    "~nosuchuser/file",
    "~a\0b/file",
    "~\ud800/file",
    "x" * 300,
    "x/" * 3000,
    "a\0b",
    "\ud800",
    "\udcff",
    "/dev/null/below",
    "loop/file",
)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know, without HOME."""

    def nobody(_id: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("AMULET_HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.parametrize("name", STRANGE)
def test_nothing_is_seen_at_a_path_that_cannot_be(name: str, here: Path) -> None:
    assert not paths.exists(name)
    assert not paths.is_file(name)
    assert not paths.is_dir(name)
    assert paths.status(name) is None


@pytest.mark.parametrize("name", STRANGE)
def test_a_path_that_cannot_be_stays_as_it_is_written(name: str, here: Path) -> None:
    assert paths.expand(name) == Path(name)
    assert paths.real(name).name == Path(name).name


def test_what_is_there_is_seen(here: Path) -> None:
    (here / "file").touch()
    assert paths.is_file("file")
    assert paths.exists("file")
    assert not paths.is_dir("file")
    assert paths.is_dir(here)
    assert not paths.is_file(here)


def test_a_file_behind_a_closed_folder_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: object) -> None:
        raise PermissionError

    with monkeypatch.context() as closed:
        closed.setattr(os, "stat", refuse)  # for root no folder is closed
        seen = paths.exists("closed/file")
    assert not seen


def test_a_home_is_understood(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert paths.expand("~/file") == here / "file"
    assert paths.usable("~/file") == here / "file"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "~\0", "\udcff/a\0"])
def test_a_name_that_no_file_can_have_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="contains a character not allowed in file names"):
        paths.usable(name)


def test_a_path_into_nobodys_home_is_refused_unless_there_is_a_folder_of_that_name(
    here: Path,
) -> None:
    with pytest.raises(UsageError, match="'~nosuchuser' is not a user's home folder here"):
        paths.usable("~nosuchuser/file")
    (here / "~nosuchuser").mkdir()
    assert paths.usable("~nosuchuser/file") == Path("~nosuchuser/file")
    assert paths.usable("~draft.md") == Path("~draft.md")


def test_the_current_folder_is_named_by_nothing_once_it_is_gone(here: Path) -> None:
    assert paths.current_folder() == here
    (here / "loop").unlink()
    here.rmdir()
    assert paths.current_folder() == Path()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_a_sentence_says_what_to_set() -> None:
    with pytest.raises(NotUsableError, match="set HOME or AMULET_HOME"):
        data_folder()
    with pytest.raises(NotUsableError, match="set HOME or AMULET_HOME"):
        paths.home()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_our_own_folder_is_enough(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMULET_HOME", str(here))
    assert data_folder() == here / "data"


@pytest.mark.parametrize("value", ["~nosuchuser/x", "~nosuchuser", "~no such user/x"])
def test_a_folder_in_nobodys_home_is_refused_with_a_sentence(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, folder in (("AMULET_MODELS", models_folder), ("AMULET_HOME", data_folder)):
        monkeypatch.setenv(variable, value)
        with pytest.raises(NotUsableError, match=f"{variable} is {value}, but"):
            folder()


def test_a_pipe_is_read_while_it_is_written_to_and_else_is_empty(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with paths.opened(pipe) as nobody_writes:
        assert nobody_writes.read() == b""
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, b"said")
    with paths.opened(pipe) as file:
        os.close(writer)
        assert file.read() == b"said"
