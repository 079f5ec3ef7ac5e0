"""Models are fetched from any address, and take the place of nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from amulet_local.cli import main
from amulet_local.errors import AmuletError, UsageError
from amulet_local.settings import models_folder
from models import catalogue
from models.hub_files import place
from models.pull import pull
from tests.checks import some
from tests.models.hub_server import REPOSITORY, Hub, hub_server
from tests.models.pulling import hub, model, refused
from tests.models.test_inspection import write_part

__all__ = ["hub"]  # the fixture


def test_a_url_is_fetched_and_held_to_its_checksum(hub: Hub) -> None:
    data = hub.files["Tiny.Q8_0.gguf"]
    url = f"{hub.url}/Tiny.Q8_0.gguf"
    assert "is not that file" in refused(f"{url}#sha256={'0' * 64}")
    pulled = pull(f"{url}#sha256={hashlib.sha256(data).hexdigest()}")
    assert pulled.path == models_folder() / "Tiny.Q8_0.gguf"
    assert pulled.path.read_bytes() == data


def test_a_repository_takes_the_place_of_no_file_of_ones_own(hub: Hub) -> None:
    path = models_folder() / REPOSITORY / "Tiny.Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    assert "is there already" in refused(f"hf:{REPOSITORY}", UsageError)
    assert path.read_text() == "precious"
    assert [each for each in hub.asked if "resolve" in each] == []


def test_files_of_one_name_in_a_repository_stay_apart(hub: Hub) -> None:
    names = ["Q4/model.gguf", "Q8/model.gguf", "model.gguf"]
    hub.files = {name: model(1 << (12 + number)) for number, name in enumerate(names)}
    fetched = [pull(f"{hub.url}/{REPOSITORY}/resolve/main/{name}").path for name in names]
    assert fetched == [models_folder() / REPOSITORY / name for name in names]
    assert [path.read_bytes() for path in fetched] == list(hub.files.values())


def test_no_folder_of_a_repository_leads_elsewhere() -> None:
    for name in ("../m.gguf", "/m.gguf", ".x/./m.gguf", "C:/a\\..\\b/m.gguf", "a\n/m.gguf"):
        assert place(REPOSITORY, name) == f"{REPOSITORY}/m.gguf"
    assert place(REPOSITORY, "../a/.b/c d/m.gguf") == f"{REPOSITORY}/a/c d/m.gguf"


def test_a_fetch_that_was_killed_as_it_stored_its_files_goes_on(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files = {}
    for number in (1, 2):
        part = write_part(tmp_path, number)
        hub.files[part.name] = part.read_bytes()
    first, second = sorted(hub.files)
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == first:
            raise KeyboardInterrupt
        return replace(path, target)

    for what in (f"{hub.url}/{first}", f"hf:{REPOSITORY}"):
        with monkeypatch.context() as dying:
            dying.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                pull(what)
        assert pull(what).path.with_name(second).read_bytes() == hub.files[second]


def test_a_url_takes_the_place_of_no_other_model(hub: Hub) -> None:
    """Nor of a file, link or folder of the user's own."""
    url = f"{hub.url}/Tiny.Q8_0.gguf"
    kept = pull(url).path
    with hub_server() as other:
        other.files["Tiny.Q8_0.gguf"] = model(1 << 15)
        assert f"{kept} is there already" in refused(f"{other.url}/Tiny.Q8_0.gguf", UsageError)
        assert other.asked == ["GET /Tiny.Q8_0.gguf"]
    assert kept.read_bytes() == hub.files["Tiny.Q8_0.gguf"]
    hub.files |= {"mine.gguf": model(), "link.gguf": model(), "folder.gguf": model()}
    (models_folder() / "mine.gguf").write_text("precious")
    (models_folder() / "link.gguf").symlink_to("nowhere")
    (models_folder() / "folder.gguf").mkdir()
    for name in ("mine", "link", "folder"):
        assert "is there already" in refused(f"{hub.url}/{name}.gguf", UsageError)
    assert (models_folder() / "mine.gguf").read_text() == "precious"


def test_a_damaged_file_is_fetched_again_from_its_url(hub: Hub) -> None:
    url = f"{hub.url}/Tiny.Q8_0.gguf"
    path = pull(url).path
    os.truncate(path, 1000)
    assert pull(url).fetched
    assert path.read_bytes() == hub.files["Tiny.Q8_0.gguf"]


def test_a_url_may_be_typed_loosely(hub: Hub) -> None:
    assert pull(f" {hub.url.replace('http', 'HTTP')}/Tiny.Q8_0.gguf\n").fetched


def test_a_password_in_an_address_is_shown_nowhere(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    url = hub.url.replace("//", "//someone:secret@")
    assert "secret" not in refused(f"{url}/none.gguf")
    assert "secret" not in refused(f"{url}:x/none.gguf", AmuletError)
    for _ in range(2):
        assert main(["models", "pull", f"{url}/Tiny.Q8_0.gguf"]) == 0
        assert "secret" not in "".join(capsys.readouterr())
    assert main(["models", "pull", f"{url}/none.gguf"]) == 3
    shown = "".join(capsys.readouterr())
    assert f"{hub.url}/none.gguf cannot be fetched" in shown


def test_a_server_that_tells_no_size_is_not_said_to_have_told_one(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.length = None
    url = f"{hub.url}/Tiny.Q8_0.gguf"
    assert main(["models", "pull", url]) == 0
    assert capsys.readouterr().err == f"Fetching {url}\n"


def test_an_address_of_another_kind_is_told_which_are_known() -> None:
    assert "an address that begins with https:// or http://" in refused("ftp://host/m.gguf")


def test_a_url_of_the_hub_has_the_hubs_checksum(hub: Hub) -> None:
    url = f"{hub.url}/{REPOSITORY}/resolve/main/Tiny.Q8_0.gguf"
    hub.wrong_checksums = True
    assert "is not that file" in refused(url)
    hub.wrong_checksums = False
    assert pull(url).path.parent == models_folder() / REPOSITORY


@pytest.mark.parametrize("tail", ["/", "/page.html", "/.gguf", "/m.gguf#md5=1"])
def test_a_url_that_leads_nowhere_is_told(hub: Hub, tail: str) -> None:
    refused(hub.url + tail, UsageError)


def test_a_url_to_nothing_is_told(hub: Hub) -> None:
    assert "cannot be fetched (status 404)" in refused(f"{hub.url}/none.gguf")


def test_entries_of_the_catalogue_are_all_of_a_known_form() -> None:
    for entry in some(catalogue.entries()):
        assert msgspec.convert(msgspec.to_builtins(entry), catalogue.Entry) == entry
