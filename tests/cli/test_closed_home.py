"""A home that cannot be written to, or not even be looked into: what can work does, and tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amulet_local.settings import config_folder, log_folder, models_folder, presets_folder
from tests.chats.stores import a_closed_store
from tests.checks import some
from tests.cli.conftest import Amulet, use
from tests.fake_engine import FakeEngine
from tests.powers import as_anybody
from tests.tiny_models import write_llama

COMMANDS = [
    ["models"],
    ["models", "info", "tiny"],
    ["presets"],
    ["presets", "show", "concise"],
    ["chats"],
    ["chats", "search", "new"],
    ["ask", "Where to?", "-m", "tiny"],
]
MODES = [0o555, 0o000]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder that is open."""
    monkeypatch.setenv("AMULET_MODELS", str(tmp_path / "models"))
    models_folder().mkdir()
    write_llama(models_folder() / "tiny.gguf")
    use(FakeEngine(), monkeypatch)
    return models_folder() / "tiny.gguf"


@pytest.fixture(params=MODES, ids=["read-only", "closed"])
def closed(request: pytest.FixtureRequest, home: Path, model: Path) -> Iterator[Path]:
    """A home with a chat, a preset and settings, all of whose folders have this mode."""
    a_closed_store()
    presets_folder().mkdir(parents=True)
    log_folder().mkdir()
    (presets_folder() / "mine.toml").write_text('preference = "Rhyme."')
    (config_folder() / "config.toml").write_text("max_tokens = 7")
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(request.param)
    with as_anybody():
        yield home
    for folder in folders:
        folder.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_works_in_a_closed_home(command: list[str], closed: Path, amulet: Amulet) -> None:
    result = amulet(*command)
    assert (result.code, "Traceback" in result.err) == (0, False), result.err
    assert result.out


@pytest.mark.slow
def test_doctor_misses_nothing_in_a_closed_home_but_a_model(closed: Path, amulet: Amulet) -> None:
    report = amulet("doctor", "--json").document
    assert len(report["missing"]) == 1
    assert report["missing"][0].startswith("no model is chosen")


@pytest.mark.parametrize("mode", MODES, ids=["read-only", "closed"])
def test_an_empty_closed_home_has_no_chats(
    mode: int, home: Path, model: Path, amulet: Amulet
) -> None:
    home.mkdir()
    home.chmod(mode)
    with as_anybody():
        result = amulet("chats")
    home.chmod(0o700)
    assert (result.code, result.out) == (0, "No chats yet; start one with: amulet\n")
    assert "will be lost" not in result.err, "who only lists chats loses nothing"


@pytest.mark.slow
def test_a_file_with_a_path_is_described_in_a_closed_home(
    closed: Path, model: Path, monkeypatch: pytest.MonkeyPatch, amulet: Amulet
) -> None:
    """Also where the models would be in it, none of which is needed."""
    monkeypatch.delenv("AMULET_MODELS")
    result = amulet("models", "info", str(model))
    assert result.code == 0, result.err
    assert "parameters" in result.out


def test_what_its_user_closed_stays_closed(home: Path, amulet: Amulet) -> None:
    presets_folder().mkdir(parents=True)
    presets_folder().chmod(0o555)
    amulet("presets")
    assert presets_folder().stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("mode", MODES, ids=["read-only", "closed"])
def test_what_would_be_saved_is_refused_in_a_sentence(
    mode: int, home: Path, amulet: Amulet
) -> None:
    home.mkdir()
    home.chmod(mode)
    with as_anybody():
        results = [amulet("presets", "new", "own"), amulet("chats", "wipe", "--yes")]
    home.chmod(0o700)
    for result in some(results):
        assert result.code in (2, 3)
        assert "(Permission denied); make it writable, or set AMULET_HOME" in result.err


def test_damaged_chats_in_a_read_only_home_can_be_read(home: Path, amulet: Amulet) -> None:
    path = a_closed_store()
    body = bytearray(path.read_bytes())
    body[16:100] = bytes(84)  # what SQLite needs to know of the file
    path.write_bytes(body)
    path.parent.chmod(0o555)
    path.chmod(0o444)
    with as_anybody():
        result = amulet("chats")
    path.parent.chmod(0o700)
    assert result.code == 0
    assert "Your chats file was damaged" in result.err
    assert path.read_bytes() == body
