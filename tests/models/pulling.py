"""A hub that tests fetch from, and what came of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import huggingface_hub.file_download
import pytest
from huggingface_hub import close_session, constants

from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.settings import models_folder
from models.pull import pull
from tests.models.gguf_files import SHAPES, write_model
from tests.models.hub_server import REPOSITORY, Hub, hub_server

CHUNK = 1 << 14
NAME = "Tiny.Q8_0.gguf"
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with one model in it; an empty cache; no waiting before another try."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    with hub_server() as server:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        server.files["Tiny.Q8_0.gguf"] = model()
        yield server


@functools.cache
def model(width: int = 1 << 16) -> bytes:
    """A model of some 256 KB."""
    tensors = {**SHAPES, "big": (width, 1)}
    with TemporaryDirectory() as folder:
        return write_model(Path(folder) / "made.gguf", tensors=tensors).read_bytes()


def here() -> set[str]:
    """The models and half-fetched files in the folder."""
    paths = (path for path in models_folder().rglob("*") if path.is_file())
    return {path.name for path in paths if "lock" not in path.name and "receipts" not in path.name}


def refused(what: str, kind: type[AmuletError] = NotUsableError) -> str:
    with pytest.raises(kind) as caught:
        pull(what)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400
    return text


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No proxy but what a test sets; the session is made anew, as it reads variables once. No
    certificates: those of the system take longer to read than all else that most tests do."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    close_session()
    yield
    close_session()


def fetched(hub: Hub, what: str) -> bool:
    """Whether a fetch brings the very file, and leaves nothing beside it."""
    pulled = pull(what)
    return pulled.path.read_bytes() == hub.files[NAME] and here() == {NAME}


@pytest.fixture(params=["hub", "URL"])
def what(request: pytest.FixtureRequest, hub: Hub) -> str:
    """A model of the hub, and a file at an address."""
    return f"hf:{REPOSITORY}" if request.param == "hub" else f"{hub.url}/{NAME}"
