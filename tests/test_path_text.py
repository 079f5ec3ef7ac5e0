"""A path is the same wherever it has travelled, also where its name is no text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.chats.history import History, history_file
from amulet_local.cli import main
from amulet_local.errors import NotUsableError
from amulet_local.path_text import as_text, encodable, from_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings, models_folder
from models.library import listing
from models.lookup import remove, resolve
from models.receipts import Part, Receipt, keep, receipts
from tests.fake_engine import FakeEngine
from tests.models.gguf_files import write_model
from tests.models.test_inspection import write_part
from tests.tiny_models import write_llama
from tui.session.model_store import find_model, list_models
from tui.session.session import Session
from tui.session.steering import SteeringChoice

NAMES = {
    b"caf\xe9": r"caf\xe9",
    b"\xff\xfe": r"\xff\xfe",
    b"\xed\xa0\x80": r"\xed\xa0\x80",  # half a character, as UTF-8 must not have it
    "café ☃".encode(): "café ☃",
    b"a\\xe9": r"a\x5cxe9",  # written out in the name itself
    b"a\\x5cxe9\xe9": r"a\x5cx5cxe9\xe9",
    b"\xe9\n\x1b[2J": "\\xe9\n\x1b[2J",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_shown_as_text_and_comes_back(name: bytes) -> None:
    path = Path(os.fsdecode(b"/models/" + name))
    assert as_text(path) == f"/models/{NAMES[name]}"
    assert from_text(as_text(path)) == path


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_every_path_comes_back_from_every_encoder(name: bytes) -> None:
    path = Path(os.fsdecode(b"/" + name))
    text = as_text(path)
    assert from_text(msgspec.msgpack.decode(msgspec.msgpack.encode(text))) == path
    assert from_text(json.loads(msgspec.json.encode(text))) == path


@given(st.text(st.characters()))
def test_whatever_is_said_can_be_encoded(text: str) -> None:
    assert encodable(text).encode().decode() == encodable(text)
    assert str(NotUsableError(text)) == encodable(text)


# -- a model whose name is no text ----------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)


@pytest.fixture(params=[name for name in NAMES if b"\n" not in name], ids=repr)
def path(request: pytest.FixtureRequest) -> Path:
    """A model in a folder and a file of such a name."""
    name: str = os.fsdecode(request.param)
    path = models_folder() / name / f"{name}.gguf"
    path.parent.mkdir(parents=True)
    # The writer of GGUF files takes text alone.
    return write_model(path.parent / "made.gguf").rename(path)


def test_it_is_listed_and_found_by_what_is_listed(path: Path) -> None:
    for _ in range(2):  # anew, and from what is known of it
        (model,) = listing().models
        assert (model.path, model.name) == (path, as_text(path.stem))
    assert resolve(model.name) == resolve(as_text(path)) == resolve(str(path)) == path
    assert resolve(path.stem) == path  # as the shell completes it


def test_the_commands_tell_of_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert as_text(path.stem) in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["models"]
    assert (facts["name"], facts["path"]) == (as_text(path.stem), as_text(path))
    assert facts["path"].encode()
    for name in (facts["name"], facts["path"], str(path)):
        assert main(["models", "info", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["path"] == as_text(path)
    assert main(["models", "info", facts["name"]]) == 0


def test_what_is_wrong_with_it_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("damaged")
    assert main(["models", "--all"]) == 0
    assert "is not a GGUF file" in capsys.readouterr().out
    assert main(["models", "--all", "--json"]) == 0
    (left,) = json.loads(capsys.readouterr().out)["left_out"]
    assert left["path"] == as_text(path)
    assert main(["ask", "hi", "-m", str(path)]) == 3
    assert "is not a GGUF file" in capsys.readouterr().err


def test_it_can_be_removed_by_its_listed_name(path: Path) -> None:
    assert remove(as_text(path.stem)) == [path]
    assert not path.exists()


def test_where_it_came_from_is_kept(path: Path) -> None:
    keep(Receipt("x", (Part(as_text(path), path.stat().st_size),)))
    (receipt,) = receipts()
    assert receipt.path == path
    assert receipt.is_complete()


def test_the_chat_finds_it_and_keeps_its_name(path: Path) -> None:
    (offered,) = [model for model in list_models(LoadOptions()) if model.here]
    assert offered.path == as_text(path)
    model = find_model(offered.path)
    assert (model.path, model.name) == (path, as_text(path.stem))
    with History(history_file()) as store:
        engine = FakeEngine()
        session = Session(engine, store, Settings(), LoadOptions(), SteeringChoice())
        session.load(model)
        session.ask("hi")
        while not engine.events.empty():
            session.take(engine.events.get())
        (_, reply) = session.path
        assert reply.origin is not None
        assert from_text(reply.origin.file) == path


def test_a_split_one_is_found(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(models_folder()) + b"/\xe9"))
    folder.mkdir(parents=True)
    parts = [write_part(tmp_path, number) for number in (1, 2)]
    moved = [part.rename(folder / f"\udce9{part.name[1:]}") for part in parts]
    (model,) = listing().models
    assert (model.name, model.path) == (r"\xe9", moved[0])
    assert resolve(model.name) == moved[0]


@pytest.mark.model
def test_it_can_be_asked_and_its_chat_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the real engine, in a process of its own."""
    made = tmp_path / "made.gguf"
    write_llama(made)
    models_folder().mkdir(parents=True)
    path = made.rename(models_folder() / "caf\udce9.gguf")
    for name in (str(path), as_text(path), r"caf\xe9"):
        assert main(["ask", "hi", "-m", name, "--max-tokens", "2", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == r"caf\xe9"
