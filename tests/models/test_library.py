"""What a user types leads to one file, or to a sentence that says what to type instead."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import Device
from amulet_local.settings import cache_folder, config_folder, models_folder
from models import catalogue
from models.library import listing
from models.lookup import remove, resolve, resolve_own
from tests.models.gguf_files import SHAPES, write_model
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
    """In folders of their own, since there are file systems that take both for one."""
    for name in ("one", "two", "three"):
        (folder / name).mkdir()
    lower = write_model(folder / "one" / "a.gguf")
    write_model(folder / "two" / "A.gguf", layers=3)
    assert resolve("a") == lower
    write_model(folder / "three" / "a.gguf", "qwen2")
    with pytest.raises(NotUsableError, match=r"'a' could mean any of one/a, three/a; give"):
        resolve("a")


@pytest.mark.parametrize("name", ["qwen3-06b", "QWEN", "qwen3-0.6b-q8"])
def test_near_names_are_offered(name: str, folder: Path) -> None:
    write_model(folder / "Qwen3-0.6B-Q8_0.gguf")
    with pytest.raises(NotUsableError, match=r"similar names: Qwen3-0\.6B-Q8_0$"):
        resolve(name)


def test_near_names_of_the_catalogue_come_with_the_command() -> None:
    with pytest.raises(
        NotUsableError,
        match=r"with amulet models pull: ministral-3-8b, ministral-3-3b, ministral-3-14b$",
    ):
        resolve("mistral")


def test_a_far_name_leads_to_the_list() -> None:
    with pytest.raises(NotUsableError, match=r"there is no model called 'zzz'; .*: amulet models$"):
        resolve("zzz")


@pytest.mark.parametrize("name", ["none.gguf", "./where", "~nobody-at-all/x.gguf"])
def test_a_path_to_nothing_is_told(name: str) -> None:
    with pytest.raises(NotUsableError, match=f"there is no file {Path(name)}; check the path"):
        resolve(name)


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="is a folder; choose a GGUF file in it"):
        resolve(str(tmp_path))


def test_a_path_to_a_pipe_is_told_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(NotUsableError, match="is not a regular file"):
        resolve(str(tmp_path / "pipe.gguf"))


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "\x1b[2J"])
def test_an_impossible_name_is_told_safely(name: str) -> None:
    with pytest.raises(NotUsableError) as caught:
        resolve(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


# -- listing --------------------------------------------------------------------------------------


def names() -> list[str]:
    return [model.name for model in listing().models]


def test_nothing_is_listed_where_there_is_no_folder() -> None:
    nothing = listing()
    assert (nothing.models, nothing.left_out) == ((), ())


def test_what_is_no_chat_model_is_left_out_with_the_reason(folder: Path) -> None:
    write_model(folder / "good.gguf")
    write_model(folder / "seer.gguf", "clip")
    write_model(folder / "words.gguf", tensors={})
    write_model(folder / "both.gguf", tensors={**SHAPES, "v.blk.0.attn_q.weight": (32, 32)})
    (folder / "bad.gguf").write_text("not a model")
    (folder / "notes.txt").write_text("no model either")
    (folder / ".fetching-x").mkdir()
    (folder / ".hidden.gguf").write_bytes(b"")
    found = listing()
    (good,) = found.models
    assert (good.name, good.card.parameters, good.program) == ("good", 1280, "Amulet")
    reasons = {left.path.name: left.reason for left in found.left_out}
    assert reasons.keys() == {"bad.gguf", "seer.gguf", "words.gguf", "both.gguf"}
    assert "is not a GGUF file" in reasons["bad.gguf"]
    assert reasons["seer.gguf"].endswith(
        "is a projector (the part of a model that handles images or sound)."
    )
    assert "a vocabulary without model weights" in reasons["words.gguf"]
    assert "a model and its projector in one file" in reasons["both.gguf"]


def test_a_fetched_model_is_listed_by_its_catalogue_name(folder: Path) -> None:
    write_model(folder / catalogue.default().file)
    assert names() == ["smollm2-135m-instruct"]


def test_a_split_model_is_listed_once_under_its_name(folder: Path) -> None:
    first = write_part(folder, 1)
    write_part(folder, 2)
    assert names() == ["m"]
    assert resolve("m") == resolve("m-00001-of-00002") == first


def test_a_part_without_its_first_is_left_out(folder: Path) -> None:
    write_part(folder, 2)
    (left,) = listing().left_out
    assert "m-00001-of-00002.gguf is not in the same folder" in left.reason


def test_a_folder_that_is_a_file_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "file").touch()
    monkeypatch.setenv("AMULET_MODELS", str(home / "file"))
    with pytest.raises(NotUsableError, match=r"the models folder .*file cannot be read"):
        listing()


def test_folders_may_nest_and_turn_in_circles(folder: Path) -> None:
    inner = folder / "org" / "repo"
    inner.mkdir(parents=True)
    write_model(inner / "deep.gguf")
    (inner / "around").symlink_to(folder)
    assert names() == ["deep"]


def test_any_folder_can_be_listed_by_itself(folder: Path, tmp_path: Path) -> None:
    write_model(folder / "mine.gguf")
    (tmp_path / "elsewhere").mkdir()
    write_model(tmp_path / "elsewhere" / "other.gguf")
    assert [m.name for m in listing([tmp_path / "elsewhere"]).models] == ["other"]


def test_folders_in_the_config_are_looked_through(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "llms").mkdir()
    path = write_model(tmp_path / "llms" / "other.gguf")
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text(f'model_folders = ["{tmp_path / "llms"}"]')
    assert names() == ["other"]
    assert listing().models[0].program == "llms"
    assert resolve("other") == resolve("llms/other") == path


def test_copies_of_a_model_are_one(folder: Path, tmp_path: Path) -> None:
    path = write_model(folder / "a.gguf")
    copy = Path(shutil.copy(path, folder / "b.gguf"))
    (folder / "c.gguf").symlink_to(path)
    other = write_model(folder / "d.gguf", tensors=SHAPES, extra=lambda w: w.add_author("x"))
    one, two = listing().models
    assert (one.path, set(one.copies)) == (path, {copy, folder / "c.gguf"})
    assert (two.path, two.copies) == (other, ())


def test_models_of_one_size_that_differ_in_their_weights_are_two(folder: Path) -> None:
    path = write_model(folder / "a.gguf")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    (folder / "b.gguf").write_bytes(data)
    assert names() == ["a", "b"]


def test_a_name_is_as_long_as_tells_it_apart(folder: Path) -> None:
    for owner, width in (("one", 32), ("two", 64)):
        (folder / owner).mkdir()
        shapes = {**SHAPES, "more": (width, 32)}
        write_model(folder / owner / "m.gguf", tensors=shapes)
    assert names() == ["one/m", "two/m"]
    assert resolve("TWO/M.gguf") == folder / "two" / "m.gguf"
    with pytest.raises(
        NotUsableError, match=r"'m' could mean any of one/m, two/m; give the full name"
    ):
        resolve("m")


def test_a_file_that_is_not_listed_makes_no_name_ambiguous(folder: Path) -> None:
    for owner in ("cut", "gone", "whole"):
        (folder / owner).mkdir()
    model = write_model(folder / "whole" / "m.gguf")
    os.truncate(write_model(folder / "cut" / "m.gguf"), 1000)
    (folder / "gone" / "m.gguf").symlink_to("nowhere")
    assert names() == ["m"]
    assert resolve("m") == model
    assert resolve("cut/m") == folder / "cut" / "m.gguf"
    with pytest.raises(NotUsableError, match="'m' could mean any of"):
        resolve_own("m")  # which is to be removed


def test_a_name_of_the_catalogue_is_never_another_files(folder: Path) -> None:
    write_model(folder / "default.gguf")
    assert names() == ["amulet/default"]


def test_a_model_says_what_it_takes_and_whether_it_fits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(folder / "a.gguf")
    assert listing().models[0].placing.fits
    assert listing(options=LoadOptions(context=512)).models[0].memory.context == 512
    monkeypatch.setattr("models.library.free_memory", lambda: 1000)
    assert not listing().models[0].placing.fits


def test_a_model_says_how_much_of_it_devices_take(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own memory is then held to the rest alone."""
    write_model(folder / "a.gguf")
    card = Device("CUDA0", "a card", "gpu", 1 << 40, 1 << 40, "CUDA")
    monkeypatch.setattr("models.library.probe_devices", lambda servers: [card])
    (model,) = listing().models
    assert str(model.placing) == "all on CUDA0"
    assert model.placing.host < model.memory.total
    assert str(listing(options=LoadOptions(gpu_layers=0)).models[0].placing) == "in memory"
    assert str(listing(options=LoadOptions(gpu_layers=2)).models[0].placing) == (
        "2 of 3 layers on CUDA0"
    )


# -- what is known from the last time -------------------------------------------------------------


def test_headers_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(folder / "good.gguf")
    (folder / "bad.gguf").write_text("not a model")
    before = listing()
    monkeypatch.setattr("models.inspection.inspect", no_look)
    again = listing()
    assert (again.models, again.left_out) == (before.models, before.left_out)


def test_a_changed_file_is_read_again(folder: Path) -> None:
    path = write_model(folder / "a.gguf")
    listing()
    write_model(path, layers=4)
    os.utime(path, ns=(1, 1))
    assert listing().models[0].card.layers == 4


def test_a_damaged_cache_is_made_anew(folder: Path) -> None:
    write_model(folder / "a.gguf")
    listing()
    (cache,) = cache_folder().iterdir()
    for damage in (b"", b"\x80", cache.read_bytes()[:-3]):
        cache.write_bytes(damage)
        assert names() == ["a"]


def no_look(*_: object, **__: object) -> None:
    raise AssertionError("a header was read again")


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


def test_nothing_outside_the_folder_is_removed(folder: Path) -> None:
    path = write_model(folder.parent / "mine.gguf")
    for name in (str(path), f"{folder}/../mine.gguf"):
        with pytest.raises(UsageError, match="the only folder Amulet removes from"):
            remove(name)
    assert path.exists()


def test_a_link_is_removed_and_not_its_target(folder: Path, tmp_path: Path) -> None:
    target = write_model(tmp_path / "mine.gguf")
    (folder / "link.gguf").symlink_to(target)
    remove("link")
    assert target.exists()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("target", ["loop.gguf", "nowhere.gguf"])
def test_a_link_that_leads_nowhere_is_removed(target: str, folder: Path) -> None:
    link = folder / "loop.gguf"
    link.symlink_to(target)
    assert remove("loop") == [link]
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_called_like_a_model_is_none_to_remove(folder: Path) -> None:
    (folder / "a.gguf").mkdir()
    with pytest.raises(NotUsableError, match="is a folder; remove it yourself"):
        remove("a")


def test_without_a_name_nothing_is_removed(folder: Path) -> None:
    write_model(folder / "a.gguf")
    with pytest.raises(UsageError, match="the name of a model is missing"):
        remove("")


@pytest.mark.parametrize("name", ["hf:org/tiny", "HF:org/tiny:Q8_0", "https://a.example/m.gguf"])
def test_what_is_elsewhere_is_to_be_fetched(name: str, folder: Path) -> None:
    with pytest.raises(NotUsableError, match="fetch it with: amulet models pull"):
        resolve(name)


@pytest.mark.parametrize("name", ["default", "none", "none.gguf"])
def test_what_is_not_there_cannot_be_removed(name: str, folder: Path) -> None:
    with pytest.raises(NotUsableError):
        resolve_own(name)
