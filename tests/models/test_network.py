"""Whatever a network or a server does, a fetch ends in a model or in a sentence with the cause."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants
from huggingface_hub.utils import get_session

from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.settings import models_folder
from amulet_local.system.child_processes import environment, python
from models import network
from models.fetch import FetchCancelledError
from models.pull import pull
from models.staging import half_fetched
from tests.models.hub_server import REPOSITORY, Hub, hub_server
from tests.models.test_pull import CHUNK, here, hub, refused

pytestmark = pytest.mark.slow

__all__ = ["hub"]  # the fixture

NAME = "Tiny.Q8_0.gguf"
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


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


# -- servers with ways of their own ---------------------------------------------------------------


def test_a_server_that_refuses_head_is_served_from(hub: Hub, what: str) -> None:
    hub.heads = False
    assert fetched(hub, what)


def test_what_is_packed_is_unpacked(hub: Hub, what: str) -> None:
    hub.packed = True
    assert fetched(hub, what)


def test_what_is_packed_and_cut_begins_anew(hub: Hub, what: str) -> None:
    hub.packed, hub.cuts, hub.cut_after = True, 2, 100
    assert fetched(hub, what)


def test_what_is_packed_in_an_unknown_way_is_told(hub: Hub, what: str) -> None:
    hub.headers = {"Content-Encoding": "pea-soup"}
    assert "is compressed as pea-soup, which cannot be unpacked" in refused(what)


def test_what_is_packed_badly_is_told(hub: Hub, what: str) -> None:
    hub.headers = {"Content-Encoding": "gzip"}
    assert "is compressed in a way that cannot be read" in refused(what)


@pytest.mark.parametrize("cuts", [0, 2])
def test_a_length_that_is_not_told_does_not_matter(hub: Hub, what: str, cuts: int) -> None:
    hub.length = None
    assert fetched(hub, what)


def test_a_length_that_is_too_large_does_not_matter(hub: Hub, what: str) -> None:
    hub.length = 1000
    assert fetched(hub, what)


def test_a_length_that_is_too_small_brings_no_half_model(hub: Hub, what: str) -> None:
    hub.length = -1000
    assert "stored" not in refused(what)
    assert NAME not in here()


def test_a_file_that_does_not_end_fills_no_disk(hub: Hub) -> None:
    hub.length, hub.more = None, bytes(8 * CHUNK)
    assert "does not end where its server said (" in refused(f"hf:{REPOSITORY}")
    assert NAME not in here()
    assert half_fetched() == 0


def test_a_length_that_is_no_number_is_told(hub: Hub, what: str) -> None:
    hub.headers = {"Content-Length": "many"}
    assert "cannot be fetched" in refused(what)


def test_a_file_that_changes_meanwhile_comes_in_one_version(hub: Hub) -> None:
    hub.tags, hub.cuts, hub.cut_after = ['"1"', '"1"', '"2"'], 2, 3 * CHUNK
    assert fetched(hub, f"{hub.url}/{NAME}")
    assert [each for each in hub.asked if "bytes" in each] != []


def test_a_changed_file_is_noticed_where_the_server_does_not_compare(hub: Hub) -> None:
    """With a tag that is no strong one, it is asked for a part and sends that of another file."""
    hub.tags, hub.cuts, hub.cut_after = ['W/"1"', 'W/"1"', 'W/"2"'], 2, 3 * CHUNK
    assert fetched(hub, f"{hub.url}/{NAME}")


def test_a_part_that_begins_elsewhere_is_not_taken(hub: Hub, what: str) -> None:
    hub.cuts, hub.cut_after = 2, 3 * CHUNK
    hub.headers = {"Content-Range": "bytes 5-9/10"}
    assert fetched(hub, what)


def test_a_server_that_never_gets_further_is_left(hub: Hub, what: str) -> None:
    hub.cuts, hub.cut_after = 1000, 3 * CHUNK
    hub.headers = {"Content-Range": "bytes 5-9/10"}
    refused(what)
    assert hub.cuts > 900


def test_an_address_may_lead_to_another_host(hub: Hub, what: str) -> None:
    with hub_server() as other:
        other.files = dict(hub.files)
        hub.elsewhere = other.url.replace("127.0.0.1", "localhost")
        other.cuts, other.cut_after = 2, 3 * CHUNK
        assert fetched(hub, what)
    assert other.asked != []


def test_the_token_is_told_to_no_other_host(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with hub_server() as other:
        other.files, other.token = dict(hub.files), "secret"
        hub.elsewhere = other.url.replace("127.0.0.1", "localhost")
        with pytest.raises(NotUsableError):
            pull(f"hf:{REPOSITORY}")
    assert other.asked != []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("{url}/Tiny.Q8_0.gguf", "redirects in a loop"),
        ("gopher://127.0.0.1/x", "cannot be used"),
        ("http://[::1/x", "cannot be"),
        ("", "status 302"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(
    hub: Hub, what: str, location: str, says: str
) -> None:
    hub.refusals = [302] * 50
    hub.headers = {"Location": location.format(url=hub.url)} if location else {}
    assert says in refused(what, AmuletError)


def test_what_comes_drop_by_drop_comes(hub: Hub, what: str) -> None:
    hub.piece = 4096
    assert fetched(hub, what)


def left_by_an_earlier_fetch(hub: Hub, what: str, data: bytes) -> None:
    """A part of a file of which the server tells no length."""
    hub.length, hub.cuts, hub.cut_after = None, 1, 0
    with pytest.raises(FetchCancelledError):
        pull(what, cancelled=lambda: hub.cuts == 0)
    (part,) = here()
    (models_folder() / part).write_bytes(data)


def test_a_part_that_is_longer_than_the_file_is_begun_anew(hub: Hub) -> None:
    """The server says 416, and would do so for ever."""
    what = f"{hub.url}/{NAME}"
    left_by_an_earlier_fetch(hub, what, hub.files[NAME] + bytes(1000))
    assert fetched(hub, what)
    assert hub.asked[-2:] == [f"GET /{NAME} bytes={len(hub.files[NAME]) + 1000}-", f"GET /{NAME}"]


def test_a_part_that_is_all_of_the_file_is_the_file(hub: Hub) -> None:
    what = f"{hub.url}/{NAME}"
    left_by_an_earlier_fetch(hub, what, hub.files[NAME])
    assert fetched(hub, what)
    assert hub.asked[-1] == f"GET /{NAME} bytes={len(hub.files[NAME])}-"


def test_a_part_of_its_length_that_is_not_the_file_goes(hub: Hub) -> None:
    what = f"{hub.url}/{NAME}"
    left_by_an_earlier_fetch(hub, what, bytes(len(hub.files[NAME])))
    assert "the fetched file cannot be used" in refused(what)
    assert fetched(hub, what)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(hub: Hub, status: int) -> None:
    hub.refusals = [status] * 3
    assert fetched(hub, f"hf:{REPOSITORY}")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_stays_in_trouble_is_told(hub: Hub, status: int) -> None:
    hub.refusals = [status] * 50
    text = refused(f"hf:{REPOSITORY}")
    assert f"cannot be fetched (status {status})" in text
    assert "check the name" not in text
    assert "stored" not in text


STATUSES = {
    400: "check the name",
    401: "set HF_TOKEN",
    403: "set HF_TOKEN",
    404: "check the name",
    407: "the proxy requires a name and a password",
    410: "no longer there",
    418: "check the name",
    429: "too many requests",
    451: "legal reasons",
    500: "try again later",
    501: "try again later",
    503: "try again later",
    599: "try again later",
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_told_as_what_it_means(hub: Hub, status: int) -> None:
    hub.api = status
    of_api = refused(f"hf:{REPOSITORY}")
    hub.refusals = [status]
    of_file = refused(f"{hub.url}/{NAME}")
    for text in (of_api, of_file):
        assert STATUSES[status] in text
        assert "stored" not in text


@pytest.mark.parametrize("status", [203, 204, 206, 304])
def test_a_success_that_brings_no_file_is_not_blamed_on_the_name(hub: Hub, status: int) -> None:
    hub.refusals = [status]
    assert f"(status {status}); look for another source" in refused(f"{hub.url}/{NAME}")


def test_a_pause_that_a_server_asks_for_is_told(hub: Hub) -> None:
    hub.headers, hub.refusals = {"Retry-After": "3600"}, [429] * 50
    assert "wait 3,600 seconds" in refused(f"hf:{REPOSITORY}")
    assert len([each for each in hub.asked if "resolve" in each]) == 1


@pytest.mark.parametrize("answer", [b"<html>Sign in</html>", b"", b"[]", b"null", b"7", b"\xff{"])
def test_an_answer_that_is_none_of_the_hubs_is_told(
    hub: Hub, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As networks with a page to sign in on give."""
    monkeypatch.setattr(hub, "tree", lambda: json)
    monkeypatch.setattr("tests.models.hub_server.json.dumps", lambda _: answer.decode("latin-1"))
    assert "makes no sense" in refused(f"hf:{REPOSITORY}")


# -- the user's own network -----------------------------------------------------------------------


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
