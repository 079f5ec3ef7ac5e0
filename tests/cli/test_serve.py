"""`amulet serve` before it serves: what it refuses, in a sentence; tests/server has the rest."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from amulet_local.cli.serve import _needs
from amulet_local.protocol.loading import LoadOptions
from tests.cli.conftest import Amulet
from tests.tiny_models import write_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("served") / "tiny.gguf"
    write_llama(path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--allow-origin", "localhost"], 2, "--allow-origin must be a page's origin"),
        (["--parallel", "99"], 2, "to 32"),
        (["--port", "70000"], 2, "to 65,535"),
        (["--host", "no such host"], 2, "cannot listen on no such host"),
        (["--host", ""], 2, "cannot listen on '', port 0"),
        (["--host", "192.0.2.1"], 2, "choose another with --host"),
        (["-p", "nothing-like-it"], 3, "there is no preset called 'nothing-like-it'"),
        (["--key-file", "/"], 3, "/ is not a file"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    amulet: Amulet, model: str, options: list[str], code: int, said: str
) -> None:
    refused = amulet("serve", "-m", model, "--port", "0", *options)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


def test_no_key_is_made_where_the_model_is_missing(amulet: Amulet, tmp_path: Path) -> None:
    key = tmp_path / "key"
    refused = amulet("serve", "-m", "no-such-model", "--key-file", str(key))
    assert refused.code == 3
    assert "no-such-model" in refused.err
    assert not key.exists()


def test_a_port_that_is_taken_is_told(amulet: Amulet, model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = amulet("serve", "-m", model, "--port", port)
    assert refused.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in refused.err
    assert "choose another with --port" in refused.err


def test_memory_is_estimated_for_all_replies_at_once(model: str) -> None:
    options = LoadOptions(context=512)
    (one, *_), (eight, *_) = (_needs(parallel, model, options) for parallel in (1, 8))
    assert eight.kv == 2 * one.kv
    assert eight.weights == one.weights
