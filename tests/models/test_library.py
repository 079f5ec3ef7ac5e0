"""What a user types leads to one file, or to a sentence that says what to type instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.settings import models_folder
from models import catalogue
from models.library import installed, remove, resolve, resolve_own
from tests.models.gguf_files import write_model
from tests.models.test_inspection import write_part


@pytest.fixture
def folder() -> Path:
    models_folder().mkdir(parents=True)
    return models_folder()


def fake_default(folder: Path) -> Path:
    """A file that passes for the default model by name and size."""
    entry = catalogue.default()
    path = folder / entry.file
    path.touch()
    os.truncate(path, entry.size)
    return path


# -- resolve --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "default", "DEFAULT", "smollm2-135m-instruct"])
def test_the_default_model_has_several_names(name: str, folder: Path) -> None:
    path = fake_default(folder)
    assert resolve(name) == path


@pytest.mark.parametrize("name", ["Tiny.Q8_0.gguf", "Tiny.Q8_0", "tiny.q8_0"])
def test_a_file_is_found_by_its_name(name: str, folder: Path) -> None:
    path = write_model(folder / "Tiny.Q8_0.gguf")
    assert resolve(name) == path


def test_any_path_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "elsewhere.bin")
    assert resolve(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert resolve("elsewhere.bin") == Path("elsewhere.bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/elsewhere.bin") == path


@pytest.mark.parametrize("name", ["", "default", "smollm2-135m-instruct"])
def test_a_default_model_not_yet_fetched_names_the_command(name: str) -> None:
    with pytest.raises(
        NotUsableError, match=r"not here yet; fetch it \(93 MB\) with: amulet models pull default$"
    ):
        resolve(name)


def test_models_of_ones_own_are_offered_instead_of_the_default(folder: Path) -> None:
    write_model(folder / "mine.gguf")
    with pytest.raises(NotUsableError, match=r"choose one of yours with -m \(mine\), or fetch"):
        resolve("")


def test_a_default_model_of_the_wrong_size_is_damaged(folder: Path) -> None:
    os.truncate(fake_default(folder), 1000)
    with pytest.raises(
        NotUsableError, match=r"is damaged; fetch it again with: amulet models pull"
    ):
        resolve("")


def test_names_that_differ_in_case_need_the_exact_one(folder: Path) -> None:
    lower, upper = write_model(folder / "a.gguf"), write_model(folder / "A.gguf")
    if lower.samefile(upper):
        pytest.skip("this file system takes both for one")
    assert resolve("a") == lower
    (folder / "a.GGUF").write_bytes(b"")
    with pytest.raises(NotUsableError, match=r"'a' may mean any of a\.GGUF, a\.gguf"):
        resolve("a")


@pytest.mark.parametrize("name", ["qwen3-06b", "QWEN", "qwen3-0.6b-q8"])
def test_near_names_are_offered(name: str, folder: Path) -> None:
    write_model(folder / "Qwen3-0.6B-Q8_0.gguf")
    with pytest.raises(NotUsableError, match=r"near it are: Qwen3-0\.6B-Q8_0$"):
        resolve(name)


def test_a_far_name_leads_to_the_list() -> None:
    with pytest.raises(NotUsableError, match=r"no model is called 'zzz'; .*: amulet models$"):
        resolve("zzz")


@pytest.mark.parametrize("name", ["none.gguf", "some/where", "~nobody-at-all/x.gguf"])
def test_a_path_to_nothing_is_told(name: str) -> None:
    with pytest.raises(NotUsableError, match=f"there is no file {name}; check the path"):
        resolve(name)


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="is a folder; name a GGUF file in it"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "\x1b[2J"])
def test_an_impossible_name_is_told_safely(name: str) -> None:
    with pytest.raises(NotUsableError) as caught:
        resolve(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


# -- installed ------------------------------------------------------------------------------------


def test_nothing_is_installed_where_there_is_no_folder() -> None:
    assert installed() == []


def test_damaged_models_are_listed_with_their_reason(folder: Path) -> None:
    write_model(folder / "good.gguf")
    (folder / "bad.gguf").write_text("not a model")
    (folder / "notes.txt").write_text("no model either")
    (folder / ".fetching-x").mkdir()
    (folder / ".hidden.gguf").write_bytes(b"")
    bad, good = installed()
    assert (bad.name, bad.card) == ("bad", None)
    assert "is not a GGUF file" in bad.problem
    assert (good.name, good.problem) == ("good", "")
    assert good.card
    assert good.card.parameters == 1280


def test_a_fetched_model_is_listed_by_its_catalogue_name(folder: Path) -> None:
    fake_default(folder)
    assert [model.name for model in installed()] == ["smollm2-135m-instruct"]


def test_a_split_model_is_listed_once(folder: Path) -> None:
    write_part(folder, 1)
    write_part(folder, 2)
    assert [model.name for model in installed()] == ["m-00001-of-00002"]


def test_a_part_without_its_first_is_listed_as_damaged(folder: Path) -> None:
    write_part(folder, 2)
    assert "m-00001-of-00002.gguf is not beside it" in installed()[0].problem


def test_a_folder_that_is_a_file_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "file").touch()
    monkeypatch.setenv("AMULET_MODELS", str(home / "file"))
    with pytest.raises(NotUsableError, match=r"the models folder .*file cannot be read"):
        installed()


# -- remove ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default", "smollm2-135m-instruct"])
def test_a_fetched_model_is_removed_by_name(name: str, folder: Path) -> None:
    path = fake_default(folder)
    assert remove(name) == [path]
    assert not path.exists()


def test_a_damaged_model_can_be_removed(folder: Path) -> None:
    path = folder / "bad.gguf"
    path.write_text("not a model")
    assert remove("bad") == [path]


def test_a_split_model_goes_as_a_whole(folder: Path) -> None:
    parts = [write_part(folder, 1), write_part(folder, 2)]
    write_model(folder / "other.gguf")
    assert remove("m-00001-of-00002") == parts
    assert [path.name for path in folder.iterdir()] == ["other.gguf"]


def test_a_path_in_the_folder_is_a_name_too(folder: Path) -> None:
    path = write_model(folder / "a.gguf")
    assert remove(f"{folder}/../models/a.gguf") == [folder / ".." / "models" / "a.gguf"]
    assert not path.exists()


def test_nothing_outside_the_folder_is_removed(folder: Path, tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine.gguf")
    for name in (str(path), f"{folder}/../../../mine.gguf"):
        with pytest.raises(UsageError, match="Amulet removes nothing elsewhere"):
            remove(name)
    assert path.exists()


def test_a_link_is_removed_and_not_its_target(folder: Path, tmp_path: Path) -> None:
    target = write_model(tmp_path / "mine.gguf")
    (folder / "link.gguf").symlink_to(target)
    remove("link")
    assert target.exists()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["default", "none", "none.gguf"])
def test_what_is_not_there_cannot_be_removed(name: str, folder: Path) -> None:
    with pytest.raises(NotUsableError):
        resolve_own(name)
