"""What Amulet keeps is its user's alone: folders 0700 and files 0600, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from amulet_local import settings
from amulet_local.chats.chat import Chat
from amulet_local.chats.export import export_chat
from amulet_local.chats.history import History, history_file
from amulet_local.engine.client import EngineProcess
from amulet_local.evaluation.records import Folder, Verdict
from amulet_local.evaluation.records import Setting as EvaluationSetting
from amulet_local.files import private_folder, replacing, write_named, write_whole
from amulet_local.presets.editing import new_preset
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.unexpected import told
from models.card_cache import CardCache
from tests.checks import some
from tests.cli.conftest import Amulet
from tests.cli.conftest import amulet as amulet  # the fixture
from tui.themes import remember


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The most open there is."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Of a folder and all that is in it, in octal digits."""
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (folder, *folder.rglob("*"))
    }


def open_to_others(folder: Path) -> list[str]:
    return [name for name, mode in some(modes(folder).items()) if mode not in ("0o700", "0o600")]


def test_whatever_is_written_in_a_day_is_private(home: Path, tmp_path: Path) -> None:
    with History(history_file()) as store:
        chat = Chat(store)
        chat.ask("What?")
        chat.draft = "And"
        settings.mend_folders()
        assert {"data/chats.sqlite", "data/chats.sqlite-wal", "data/chats.lock"} < set(modes(home))
        assert open_to_others(home) == []
    new_preset("mine")
    remember("amulet-dark")
    told(ValueError("x"))
    write_whole(settings.strengths_file("m"), b"{}")
    write_whole(settings.autotune_file("m"), b"{}")
    cards = CardCache()
    cards.look_at([tmp_path / "none.gguf"])
    cards.save()
    (made,) = [name for name in modes(home) if name.endswith("models.msgpack")]
    assert made
    assert open_to_others(home) == []
    assert load_presets().get("mine")


@pytest.mark.model
def test_the_log_of_the_engine_is_private(home: Path) -> None:
    engine = EngineProcess()
    engine.load("none.gguf", LoadOptions())
    engine.events.get()
    engine.close()
    assert (settings.log_folder() / "engine.log").exists()
    assert open_to_others(home) == []


def test_what_was_there_before_is_closed_at_the_next_start(home: Path, amulet: Amulet) -> None:
    names = ("data/chats.sqlite", "data/chats.sqlite-wal", "data/kept/a.kv", "log/engine.log")
    for name in (*names, "config/config.toml", "cache/models.msgpack", "data/calibration/a.json"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for path in home.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert amulet("presets").code == 0
    closed = {name: mode for name, mode in modes(home).items() if name != "."}
    assert set(closed.values()) == {"0o700", "0o600"}


def test_what_others_may_share_stays_open(home: Path, tmp_path: Path) -> None:
    models = settings.models_folder()
    models.mkdir(parents=True)
    (models / "a.gguf").write_bytes(b"")
    linked = tmp_path / "dotfiles.toml"
    linked.write_text("")
    settings.config_folder().mkdir()
    (settings.config_folder() / "config.toml").symlink_to(linked)
    settings.mend_folders()
    assert modes(models) == {".": "0o777", "a.gguf": "0o666"}
    assert modes(settings.data_folder())["."] == "0o700"
    assert oct(linked.stat().st_mode & 0o777) == "0o666"


def test_an_export_is_private_and_so_is_one_over_an_older_file(tmp_path: Path) -> None:
    older = tmp_path / "older.md"
    older.write_text("older")
    with History(None) as store:
        chat = Chat(store)
        chat.ask("What?")
        for path in (older, tmp_path / "new.md"):
            export_chat(chat, path, "md", overwrite=path is older)
            assert "What?" in path.read_text("utf-8")
            assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_the_files_of_an_evaluation_are_private(tmp_path: Path) -> None:
    setting = EvaluationSetting(
        model="m", system="", placement="system", sampling=Sampling(), seed=1, max_tokens=1
    )
    folder = Folder(tmp_path / "report" / "one")
    folder.settle(setting)
    folder.add_judgement(msgspec.json.decode(_VERDICT, type=Verdict))
    assert open_to_others(tmp_path / "report") == []


_VERDICT = (
    b'{"type":"verdict","judge":"j","question":1,"preference":"","variant":"v","digest":"d",'
    b'"first":1.0,"second":1.0}'
)


def test_a_file_is_private_from_its_first_byte_on(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b" / "c") as part:
        assert open_to_others(tmp_path / "a") == []
        part.write_bytes(b"one")
    assert modes(tmp_path / "a") == {".": "0o700", "b": "0o700", "b/c": "0o600"}
    with replacing(tmp_path / "model", private=False) as part:
        part.write_bytes(b"one")
    assert oct((tmp_path / "model").stat().st_mode & 0o777) == "0o666"


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    private_folder(shared / "mine" / "too")
    assert modes(shared) == {".": "0o777", "mine": "0o700", "mine/too": "0o700"}
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")


# -- files that a user names ----------------------------------------------------------------------


def test_a_file_that_a_user_names_is_whole_or_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "older.md"
    path.write_bytes(b"older")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            write_named(path, b"newer", overwrite=True)
        with pytest.raises(OSError, match="No space"):
            write_named(tmp_path / "new.md", b"newer", overwrite=False)
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["older.md"]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    target, link = tmp_path / "target.md", tmp_path / "link.md"
    target.write_bytes(b"older")
    link.symlink_to(target)
    write_named(link, b"newer", overwrite=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"newer"
    write_named(Path(os.devnull), b"newer", overwrite=True)
    assert not Path(os.devnull).is_file()
    with pytest.raises(FileExistsError):
        write_named(link, b"newest", overwrite=False)
    with pytest.raises(IsADirectoryError):
        write_named(tmp_path, b"newest", overwrite=True)


def test_a_pipe_is_written_to_where_somebody_reads_and_else_nobody_waits(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nobody reads from this pipe"):
        write_named(pipe, b"said", overwrite=True)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_named(pipe, b"said", overwrite=True)
    assert os.read(reader, 9) == b"said"
    os.close(reader)
    reading, writing = os.pipe()
    write_named(Path(f"/dev/fd/{writing}"), b"said", overwrite=True)  # as `>(command)` is named
    assert os.read(reading, 9) == b"said"
    os.close(reading)
    os.close(writing)


def test_a_file_that_must_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.md"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "access", lambda *_: False)  # which root may do anyway
    with pytest.raises(PermissionError):
        write_named(path, b"newer", overwrite=True)
    assert path.read_bytes() == b"older"
