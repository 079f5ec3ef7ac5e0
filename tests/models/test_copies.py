"""Two ways that lead to one file lead to one model, which goes by every name it has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.cli import main
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import config_folder, models_folder
from models.library import LocalModel, listing
from models.lookup import resolve
from tests.models.gguf_files import write_model
from tests.models.test_inspection import write_part
from tests.models.test_locations import put_in_hub, put_in_ollama
from tests.tiny_models import write_llama
from tui.session.model_store import find_model, list_models


@pytest.fixture
def folder() -> Path:
    models_folder().mkdir(parents=True)
    return models_folder()


@pytest.fixture
def store() -> Path:
    return Path.home() / ".ollama/models"


def tag_too(store: Path, model: str, other: str) -> None:
    """A second tag for what the first one names."""
    (name, tag), (new_name, new_tag) = model.split(":"), other.split(":")
    library = store / "manifests/example.org/library"
    (library / new_name).mkdir(parents=True, exist_ok=True)
    manifest = (library / name / tag).read_bytes()
    (library / new_name / new_tag).write_bytes(manifest)


def look_into(*folders: Path) -> None:
    config_folder().mkdir(parents=True, exist_ok=True)
    (config_folder() / "config.toml").write_text(
        f"model_folders = {json.dumps([*map(str, folders)])}"
    )


def only_model() -> LocalModel:
    """The one model, which every one of its names leads to."""
    (model,) = listing().models
    assert {resolve(name) for name in model.names} <= {model.path, *model.copies}
    assert len(set(model.names)) == len(model.names)
    assert [shown.path for shown in list_models(LoadOptions()) if shown.here] == [str(model.path)]
    return model


def test_two_tags_for_one_blob_are_one_model(store: Path) -> None:
    blob = put_in_ollama(store, "qwen3:0.6b")
    tag_too(store, "qwen3:0.6b", "qwen3:latest")
    tag_too(store, "qwen3:0.6b", "mine:q8")
    model = only_model()
    assert model.path == blob
    assert set(model.names) == {"qwen3:0.6b", "qwen3", "mine:q8"}
    assert model.copies == ()


def test_two_tags_are_listed_by_the_command(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_in_ollama(store, "qwen3:0.6b")
    tag_too(store, "qwen3:0.6b", "mine:q8")
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "qwen3:0.6b" in shown
    assert "mine:q8" in shown
    assert main(["models", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["models"]
    assert sorted(facts["names"]) == ["mine:q8", "qwen3:0.6b"]
    assert facts["name"] == facts["names"][0]


def test_two_tags_for_what_is_no_chat_model_are_left_out_once(store: Path) -> None:
    blob = put_in_ollama(store, "qwen3:0.6b")
    tag_too(store, "qwen3:0.6b", "mine:q8")
    blob.write_text("damaged")
    assert listing().models == ()
    assert [left.path for left in listing().left_out] == [blob]


def link_folder(folder: Path, elsewhere: Path) -> None:
    (elsewhere / "link").symlink_to(folder / "sub")
    look_into(elsewhere / "link")


def link_link(folder: Path, elsewhere: Path) -> None:
    (elsewhere / "b.gguf").symlink_to(folder / "sub/m.gguf")
    (folder / "c.gguf").symlink_to(elsewhere / "b.gguf")


def copy(folder: Path, _: Path) -> None:
    (folder / "other.gguf").write_bytes((folder / "sub/m.gguf").read_bytes())


MEETINGS: dict[str, Callable[[Path, Path], object]] = {
    "a folder within another": lambda f, _: look_into(f / "sub", f),
    "a folder named twice": lambda f, _: look_into(f / "sub", f / "sub"),
    "a folder named in two ways": lambda f, _: look_into(f / "sub/../sub", f / "sub/."),
    "a link to the folder": link_folder,
    "a link to the file": lambda f, _: (f / "other.gguf").symlink_to(f / "sub/m.gguf"),
    "a link to a link": link_link,
    "a second name in the file system": lambda f, _: os.link(f / "sub/m.gguf", f / "other.gguf"),
    "names that differ in case": lambda f, _: (f / "sub/M.GGUF").symlink_to("m.gguf"),
    "a copy": copy,
}


@pytest.mark.parametrize("meeting", MEETINGS)
def test_two_ways_to_a_file_are_one_model(meeting: str, folder: Path, tmp_path: Path) -> None:
    (folder / "sub").mkdir()
    write_model(folder / "sub/m.gguf")
    MEETINGS[meeting](folder, tmp_path)
    assert only_model().names


def test_a_folder_named_twice_on_the_command_line_is_listed_once(folder: Path) -> None:
    path = write_model(folder / "m.gguf")
    (model,) = listing([folder, folder]).models
    assert (model.path, model.copies) == (path, ())


def test_a_split_model_that_is_met_twice_is_one(folder: Path) -> None:
    (folder / "sub").mkdir()
    for number in (1, 2):
        write_part(folder / "sub", number)
    look_into(folder / "sub")
    assert only_model().name == "m"


def test_snapshots_of_the_hub_that_share_a_blob_are_one_model() -> None:
    hub = Path.home() / ".cache/huggingface/hub"
    path = put_in_hub(hub, "a/b", "m.gguf")
    (path.parent / "again.gguf").symlink_to(path.readlink())
    look_into(hub / "models--a--b/blobs", hub)
    assert set(only_model().names) == {"m", "again"}


def test_the_same_names_in_two_programs_each_lead_to_their_model(folder: Path, store: Path) -> None:
    own = write_model(folder / "m.gguf", layers=3)
    other = put_in_ollama(store, "m:latest")
    tag_too(store, "m:latest", "m:x")
    assert {resolve(name): model.path for model in listing().models for name in model.names} == {
        own: own,
        other: other,
    }


# -- names where a file's own says nothing --------------------------------------------------------


def nameless(path: Path) -> Path:
    """A model's file whose header gives it no name."""
    data = path.read_bytes().replace(b"general.name", b"general.nome")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("command", [["models", "--json"], ["models", "info", "{}", "--json"]])
def test_a_title_that_would_be_a_digest_is_the_name(
    command: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nameless(put_in_ollama(store, "qwen3:0.6b"))
    assert main([each.format("qwen3:0.6b") for each in command]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.get("models", [document])[0]["title"] == "qwen3:0.6b"


def test_a_title_that_would_be_a_parts_is_the_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        nameless(write_part(folder, number))
    for command in (["models", "--json"], ["models", "info", "m", "--json"]):
        assert main(command) == 0
        document = json.loads(capsys.readouterr().out)
        assert document.get("models", [document])[0]["title"] == "m"


def test_the_chat_calls_a_model_as_the_list_does(store: Path, folder: Path) -> None:
    put_in_ollama(store, "qwen3:0.6b")
    for number in (1, 2):
        write_part(folder, number)
    names = {name: find_model(name).name for name in ("qwen3:0.6b", "m")}
    assert names == {"qwen3:0.6b": "qwen3:0.6b", "m": "m"}


@pytest.mark.slow
def test_ask_calls_a_model_as_the_list_does(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the real engine."""
    monkeypatch.setattr("sys.stdin", None)
    blob = put_in_ollama(store, "qwen3:0.6b")
    write_llama(tmp_path / "made.gguf")
    blob.write_bytes((tmp_path / "made.gguf").read_bytes())
    assert main(["ask", "hi", "-m", "qwen3:0.6b", "--max-tokens", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "qwen3:0.6b"
