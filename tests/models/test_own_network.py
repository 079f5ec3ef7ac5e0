"""Whatever the user's own network and settings are, a fetch ends in a model or in a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants
from huggingface_hub.utils import get_session

from amulet_local.errors import AmuletError, UsageError
from amulet_local.settings import models_folder
from amulet_local.system.child_processes import environment, python
from models import network
from tests.models.hub_server import REPOSITORY, Hub, hub_server
from tests.models.pulling import (
    fetched,
    hub,
    plain_network,
    refused,
    what,
)

pytestmark = pytest.mark.slow

__all__ = ["hub", "plain_network", "what"]  # the fixtures


def closed_port() -> int:
    """One on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "proxy",
    [
        "gopher://127.0.0.1:1",
        "socks4://127.0.0.1:1",
        "http://127.0.0.1:port",
        "http://[::1",
        "://",
        "https://user:secret@127.0.0.1:99999",
        " http://user:secret@127.0.0.1:1",
        "http//user:se@cret@127.0.0.1",
        "htp://user:se/cret@127.0.0.1:1",
    ],
)
def test_a_proxy_that_is_none_is_told_with_its_variable(
    hub: Hub, what: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    text = refused(what, AmuletError)
    assert "ALL_PROXY" in text
    assert "cret" not in text


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "https_proxy"])
def test_a_socks_proxy_without_its_package_says_what_to_install(
    hub: Hub, what: str, scheme: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:1")
    text = refused(what, UsageError)
    assert text.startswith(variable)
    assert "pip install socksio" in text


def test_a_proxy_that_does_not_answer_is_told_with_its_variable(
    hub: Hub, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    assert "check the network and ALL_PROXY" in refused(what)


def test_a_proxy_that_wants_a_password_is_told(
    hub: Hub, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server() as proxy:
        proxy.proxy = True
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert "the proxy requires a name and a password" in refused(what)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        close_session()
        assert "the proxy requires a name and a password" in refused("https://localhost/m.gguf")


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text"])
def test_a_certificate_file_that_cannot_be_used_is_told_with_its_variable(
    hub: Hub, what: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "certificates.pem"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("x" if kind == "text" else "")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    text = refused(what, UsageError)
    assert "SSL_CERT_FILE" in text
    assert "certificates" in text
    assert "stored" not in text


@pytest.fixture(params=["pipe", "device"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What somebody who reads it waits for, or gets from, without end."""
    if request.param == "device":
        return Path("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_certificates_without_an_end_are_told(
    hub: Hub, what: str, endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(endless))
    assert refused(what, UsageError) == (
        f"the certificates that SSL_CERT_FILE names, {endless}, cannot be used (it is not a "
        "regular file); fix or unset that."
    )


def test_a_token_without_an_end_is_told(
    hub: Hub, endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(endless))
    assert refused(f"hf:{REPOSITORY}", UsageError) == (
        f"the token in {endless} cannot be used (it is not a regular file); fix or remove it."
    )


ADDRESSES = [
    "http://127.0.0.1:99999/m.gguf",
    "http://[::1/m.gguf",
    "http://a b/m.gguf",
    "http://\u2603\u0301\ud800/m.gguf",
    "http:///m.gguf",
    "http://user:pass@/m.gguf",
    "https://xn--zzzzzzzzzzz--/m.gguf",
    "http://host.invalid/m.gguf",
    "http://127.0.0.1:x/m.gguf",
    "http://" + "a" * 300 + ".invalid/m.gguf",
    "http://127.0.0.1:1/" + "a" * 70000 + ".gguf",
    "http://127.0.0.1:1/%00.gguf",
    "http://127.0.0.1:1/\n.gguf",
]


@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
def test_an_address_that_is_none_is_told(hub: Hub, address: str) -> None:
    assert "stored" not in refused(address, AmuletError)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HF_ENDPOINT", "http://["),
        ("HF_ENDPOINT", "http://x:99999"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
    ],
)
def test_a_variable_over_which_the_hubs_library_is_not_imported_is_named(
    variable: str, value: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        python("-m", "amulet_local", "models", "pull", "default"),
        env=environment() | {variable: value, "AMULET_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.startswith("amulet: a variable that huggingface_hub reads cannot be used")
    assert done.stderr.endswith(f"; fix or unset {variable}.\n")
    assert done.returncode == UsageError.exit_code


@pytest.mark.parametrize("endpoint", ["", "x", "gopher://x"])
def test_an_endpoint_that_no_request_can_go_to_is_named(
    hub: Hub, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert refused(f"hf:{REPOSITORY}", UsageError).endswith("; check HF_ENDPOINT.")


@pytest.mark.parametrize("endpoint", ["gopher://x", "x", "http://[::1", "http://host.invalid"])
def test_an_endpoint_that_is_none_is_told(
    hub: Hub, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert "stored" not in refused(f"hf:{REPOSITORY}", AmuletError)


def test_a_token_that_no_header_can_carry_is_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t\u00f6ken\u2603")
    text = refused(f"hf:{REPOSITORY}", UsageError)
    assert text == "the token in HF_TOKEN cannot be used (it is not plain text); fix or remove it."


def test_a_token_that_cannot_be_read_is_told_with_its_file(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xff")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    text = refused(f"hf:{REPOSITORY}", UsageError)
    assert text == f"the token in {path} cannot be used (it is not plain text); fix or remove it."
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path / "below"))
    assert "(Not a directory)" in refused(f"hf:{REPOSITORY}", UsageError)


def test_a_server_that_says_nothing_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "did not answer in time" in refused(f"{address}/m.gguf")
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert "did not answer in time" in refused(f"hf:{REPOSITORY}")


def test_a_server_that_speaks_another_language_is_told(hub: Hub) -> None:
    with hub_server() as plain:
        address = plain.url.replace("http:", "https:")
        assert "cannot be fetched" in refused(f"{address}/m.gguf")


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), KeyError("x"), OSError(5, "x"), ValueError(), Exception("\x1b[2J")]
)
def test_whatever_a_library_raises_becomes_a_sentence(
    hub: Hub, what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(get_session()), "send", fail)
    text = refused(what, AmuletError)
    assert "stored" not in text


def test_an_error_of_ones_own_is_left_as_it_is() -> None:
    with pytest.raises(UsageError, match="as it is"), network.reaching("x"):
        raise UsageError("as it is")


# -- the folder -----------------------------------------------------------------------------------


def test_a_folder_that_takes_no_files_is_told_with_the_reason(hub: Hub, what: str) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / ".fetching.lock").mkdir()
    text = refused(what, UsageError)
    assert "cannot be stored in" in text
    assert "Is a directory" in text


def test_a_lock_is_one_whatever_is_in_its_file(hub: Hub, what: str) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / ".fetching.lock").write_text("no lock at all" * 100)
    assert fetched(hub, what)
