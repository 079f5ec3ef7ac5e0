"""Each program's models are found where it keeps them, whatever its variables and settings say."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.settings import config_folder
from models import discovery
from models.discovery import look_into
from models.library import listing
from models.locations import Location, locations
from models.lookup import resolve
from tests.models.gguf_files import write_model


@pytest.fixture(autouse=True)
def _the_folders_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.fixture
def user() -> Path:
    """The user's home folder."""
    return Path.home()


def put(folder: Path, name: str, width: int = 32) -> Path:
    """A model that differs from all of another width."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_model(folder / name, layers=width)


def put_in_hub(hub: Path, repository: str, name: str, revision: str = "abc") -> Path:
    """As the hub's cache keeps it: a blob, and a link that gives it its name."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    blob = put(folder / "blobs", "blob.gguf", width=len(name))
    digest = hashlib.sha256(blob.read_bytes()).hexdigest()
    blob = blob.rename(blob.with_name(digest))
    path = folder / "snapshots" / revision / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(blob, path.parent))
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(revision)
    return path


def put_in_ollama(
    store: Path, model: str, *, namespace: str = "library", projector: bool = False
) -> Path:
    """As Ollama keeps it: blobs named by digest, and a manifest that names the blobs."""
    blob = put(store / "blobs", "blob.gguf", width=len(model))
    digest = hashlib.sha256(blob.read_bytes()).hexdigest()
    blob = blob.rename(blob.with_name(f"sha256-{digest}"))
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    if projector:
        layers.append(
            {"mediaType": "application/vnd.ollama.image.projector", "digest": "sha256:" + "1" * 64}
        )
    name, tag = model.split(":")
    manifest = store / "manifests" / "example.org" / namespace / name / tag
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return blob


def found() -> dict[str, str]:
    """The names of all models, and who keeps each."""
    return {model.name: model.program for model in listing().models}


Put = Callable[[Path], Path]

WHERE: dict[str, tuple[str, dict[str, str], Put]] = {
    "hub": (
        "Hugging Face",
        {},
        lambda u: put_in_hub(u / ".cache/huggingface/hub", "a/b", "m.gguf"),
    ),
    "hub by XDG_CACHE_HOME": (
        "Hugging Face",
        {"XDG_CACHE_HOME": "{user}/c"},
        lambda u: put_in_hub(u / "c/huggingface/hub", "a/b", "m.gguf"),
    ),
    "hub by HF_HOME": (
        "Hugging Face",
        {"HF_HOME": "{user}/hf"},
        lambda u: put_in_hub(u / "hf/hub", "a/b", "m.gguf"),
    ),
    "hub by HF_HUB_CACHE": (
        "Hugging Face",
        {"HF_HUB_CACHE": "{user}/x", "HF_HOME": "{user}/hf"},
        lambda u: put_in_hub(u / "x", "a/b", "m.gguf"),
    ),
    "llama.cpp": ("llama.cpp", {}, lambda u: put(u / ".cache/llama.cpp", "m.gguf")),
    "llama.cpp by LLAMA_CACHE": (
        "llama.cpp",
        {"LLAMA_CACHE": "{user}/l"},
        lambda u: put(u / "l", "m.gguf"),
    ),
    "LM Studio": ("LM Studio", {}, lambda u: put(u / ".lmstudio/models/a/b", "m.gguf")),
    "LM Studio, older": ("LM Studio", {}, lambda u: put(u / ".cache/lm-studio/models/a", "m.gguf")),
    "Jan": ("Jan", {}, lambda u: put(u / ".config/Jan/data/llamacpp/models/m", "model.gguf")),
    "Jan, older": ("Jan", {}, lambda u: put(u / ".config/Jan/data/models/m", "m.gguf")),
    "GPT4All": ("GPT4All", {}, lambda u: put(u / ".local/share/nomic.ai/GPT4All", "m.gguf")),
}


@pytest.mark.parametrize("case", WHERE)
def test_a_programs_models_are_found(
    case: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, variables, put_it = WHERE[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(user=user))
    path = put_it(user)
    assert found() == {"m": program}
    assert resolve("m") == path


# -- settings that other programs keep ------------------------------------------------------------


def test_lm_studio_may_keep_models_elsewhere(user: Path) -> None:
    put(user / "big disk", "m.gguf")
    (user / "studio").mkdir()
    (user / ".lmstudio-home-pointer").write_text(str(user / "studio"))
    (user / "studio/settings.json").write_text(json.dumps({"downloadsFolder": "~/big disk"}))
    assert found() == {"m": "LM Studio"}


def test_jan_may_keep_models_elsewhere(user: Path) -> None:
    put(user / "jan/llamacpp/models/qwen", "model.gguf")
    (user / ".config/Jan").mkdir(parents=True)
    (user / ".config/Jan/settings.json").write_text(json.dumps({"data_folder": str(user / "jan")}))
    assert found() == {"qwen": "Jan"}


def test_gpt4all_may_keep_models_elsewhere(user: Path) -> None:
    put(user / "gpt", "m.gguf")
    (user / ".config/nomic.ai").mkdir(parents=True)
    (user / ".config/nomic.ai/GPT4All.ini").write_text(f"[General]\nmodelPath={user / 'gpt'}\n")
    assert found() == {"m": "GPT4All"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_of_other_programs_may_begin_with_a_byte_order_mark(
    encoding: str, user: Path
) -> None:
    for name in ("studio", "gpt"):
        put(user / name, f"{name}.gguf", width=len(name))
    (user / ".lmstudio").mkdir()
    (user / ".lmstudio/settings.json").write_text(
        json.dumps({"downloadsFolder": str(user / "studio")}), encoding
    )
    (user / ".config/nomic.ai").mkdir(parents=True)
    (user / ".config/nomic.ai/GPT4All.ini").write_text(
        f"[General]\nmodelPath={user / 'gpt'}\n", encoding
    )
    assert found() == {"studio": "LM Studio", "gpt": "GPT4All"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"downloadsFolder": 7, "data_folder": null}']
)
def test_settings_that_are_not_understood_are_passed_over(text: str, user: Path) -> None:
    put(user / ".lmstudio/models", "m.gguf")
    (user / ".lmstudio/settings.json").write_text(text)
    (user / ".config/Jan").mkdir(parents=True)
    (user / ".config/Jan/settings.json").write_text(text)
    (user / ".config/nomic.ai").mkdir(parents=True)
    (user / ".config/nomic.ai/GPT4All.ini").write_text(text or "modelPath")
    assert found() == {"m": "LM Studio"}


# -- Hugging Face ---------------------------------------------------------------------------------


def test_of_several_revisions_the_one_in_use_counts(user: Path) -> None:
    hub = user / ".cache/huggingface/hub"
    put_in_hub(hub, "a/b", "m.gguf", "newer")
    current = put_in_hub(hub, "a/b", "m.gguf", "current")
    assert resolve("m") == resolve("b/m") == resolve("a/b/m") == current
    assert len(listing().models) == 1


def test_of_several_revisions_one_whose_blob_is_gone_does_not_count(user: Path) -> None:
    hub = user / ".cache/huggingface/hub"
    older = put_in_hub(hub, "a/b", "m.gguf", "older")
    current = put_in_hub(hub, "a/b", "m.gguf", "current")
    current.unlink()
    current.symlink_to("nowhere")
    assert resolve("m") == older
    assert len(listing().models) == 1


def test_a_file_whose_blob_is_gone_is_left_out(user: Path) -> None:
    path = put_in_hub(user / ".cache/huggingface/hub", "a/b", "m.gguf")
    path.resolve().unlink()
    found = listing()
    assert found.models == ()
    assert "there is no file" in found.left_out[0].reason


def test_other_repositories_are_not_looked_through(user: Path) -> None:
    put(user / ".cache/huggingface/hub/datasets--a--b/snapshots/x", "m.gguf")
    assert found() == {}


# -- Ollama ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["", "OLLAMA_MODELS"])
def test_an_ollama_model_is_named_as_ollama_names_it(
    variable: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = user / ".ollama/models"
    if variable:
        store = user / "elsewhere"
        monkeypatch.setenv(variable, str(store))
    tagged = put_in_ollama(store, "qwen3:0.6b", projector=True)
    latest = put_in_ollama(store, "mistral-small:latest")
    other = put_in_ollama(store, "mine:q8", namespace="somebody")
    assert found() == {"qwen3:0.6b": "Ollama", "mistral-small": "Ollama", "mine:q8": "Ollama"}
    assert resolve("qwen3:0.6b") == tagged
    assert resolve("mistral-small") == resolve("mistral-small:latest") == latest
    assert resolve("somebody/mine:q8") == resolve("ollama/example.org/somebody/mine:q8") == other


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"layers": [{"mediaType": 1}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "../x"}]}',
        b'{"layers": [{"mediaType": "\xff"}]}',
        b'{"config": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    ],
    ids=lambda manifest: repr(manifest[:40]),
)
def test_a_manifest_that_is_none_is_passed_over(manifest: bytes, user: Path) -> None:
    path = user / ".ollama/models/manifests/example.org/library/m/latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest)
    here, there = listing(), listing([user / ".ollama"])
    assert (here.models, here.left_out) == (there.models, there.left_out)
    assert listing().models == ()


def test_the_same_model_in_two_programs_is_one(user: Path) -> None:
    blob = put_in_ollama(user / ".ollama/models", "mm:x")
    studio = user / ".lmstudio/models/a/b"
    studio.mkdir(parents=True)
    (studio / "m.gguf").write_bytes(blob.read_bytes())
    (model,) = listing().models
    assert (model.name, model.program, model.copies) == ("mm:x", "Ollama", (studio / "m.gguf",))


# -- bounds ---------------------------------------------------------------------------------------


def test_a_folder_that_may_not_be_read_is_told(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = user / ".ollama/models"
    store.mkdir(parents=True)
    scandir = os.scandir

    def closed(path: str | Path) -> object:
        if Path(path) == store:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    (left,) = listing().left_out
    assert left.reason == f"{store} was not searched (Permission denied)."


def test_a_folder_with_too_many_files_is_not_looked_through_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.gguf").touch()
    sightings, unread = look_into([Location("x", tmp_path)])
    assert len(sightings) == 3
    assert unread[0].reason == "it holds more than 3 files"


def test_a_folder_deep_below_is_not_reached(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*map(str, range(discovery.DEEPEST + 1)))
    deep.mkdir(parents=True)
    (deep / "m.gguf").touch()
    assert look_into([Location("x", tmp_path)]) == ([], [])


def test_a_folder_named_by_several_comes_once(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(user / ".ollama/models"))
    here = [location.folder for location in locations([user / "a", user / "a/"])]
    assert len(here) == len(set(here))


# -- folders that cannot be ------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["~nosuchuser/models", "a\0b", "\ud800", "x" * 300, "~\0"])
def test_a_folder_that_cannot_be_in_another_programs_settings_hides_no_model(
    folder: str, user: Path
) -> None:
    settings = user / ".lmstudio" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"downloadsFolder": folder}))
    put(user / ".lmstudio/models", "here.gguf")
    assert [model.name for model in listing().models] == ["here"]


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("~nosuchuser/models", "'~nosuchuser' is not a user's home folder here"),
        ("a\\u0000b", "contains a character not allowed in file names"),
    ],
)
def test_a_folder_of_the_users_own_that_cannot_be_is_a_sentence(folder: str, reason: str) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text(f'model_folders = ["{folder}"]')
    with pytest.raises(NotUsableError, match=f"model_folders in .*config.toml .*{reason}"):
        listing()


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "OLLAMA_MODELS"])
@pytest.mark.parametrize("folder", ["~nosuchuser/models", "x" * 300, "/dev/null/x"])
def test_a_variable_of_another_program_that_leads_nowhere_hides_no_model(
    variable: str, folder: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, folder)
    put(user / ".lmstudio/models", "here.gguf")
    assert [model.name for model in listing().models] == ["here"]
    assert resolve("here") == user / ".lmstudio/models/here.gguf"


def test_without_a_home_the_folders_that_variables_name_are_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_id: int) -> None:
        raise KeyError

    put(tmp_path / "cache", "here.gguf")
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert [model.name for model in listing().models] == ["here"]
