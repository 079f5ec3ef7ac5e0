"""Who may talk to the server, and how little of its time one that may not, or is slow, can take."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.server.keys import read_or_make_key
from tests.checks import comes
from tests.server.serving import MODEL, Serving, chat_body, serving

pytestmark = pytest.mark.model

PAGE = "http://localhost:3000"
BEGUN = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{"


def status(server: Serving, method: str = "GET", path: str = "/v1/models", **headers: str) -> int:
    with server.client() as client:
        code: int = client.request(method, path, headers=headers).status_code
        return code


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a b", "[::1", "☃"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(server: Serving, host: str) -> None:
    with server.client() as client:
        answer = client.get("/v1/models", headers={b"host": host.encode()})
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8017", "127.0.0.1:1", "[::1]:8017"])
def test_names_of_this_machine_are_heard(server: Serving, host: str) -> None:
    assert status(server, host=host) == 200


def test_a_whole_address_in_the_place_of_a_path_is_heard_if_it_is_of_this_machine(
    server: Serving,
) -> None:
    """As a client sends it that takes the server for a proxy; the Host header is left aside."""
    host, port = server.url.removeprefix("http://").split(":")

    def asked(address: str, header: str) -> int:
        connection = HTTPConnection(host, int(port))
        connection.putrequest("GET", address, skip_host=True)
        connection.putheader("Host", header)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    assert asked(f"{server.url}/v1/models", "localhost") == 200
    assert asked(f"{server.url}/v1/models?a=b", "evil.example") == 200
    assert asked("HTTP://localhost/health", "localhost") == 200
    assert asked("http://evil.example/v1/models", "localhost") == 403
    assert asked("http://evil.example/localhost", "localhost") == 403
    assert asked("http:///v1/models", "localhost") == 403
    assert asked(server.url, "localhost") == 404


def test_pages_of_other_origins_are_refused(server: Serving) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:3000"):
        assert status(server, origin=origin) == 403
        assert status(server, "OPTIONS", "/v1/chat/completions", origin=origin) == 403


def test_an_origin_that_is_allowed_may_ask_from_a_browser(tmp_path: Path) -> None:
    with serving(tmp_path, "--allow-origin", PAGE) as server, server.client() as client:
        wanted = {
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,x-stainless-os",
        }
        preflight = client.options("/v1/chat/completions", headers=wanted)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
        asked = client.post("/v1/chat/completions", json=chat_body(), headers={"origin": PAGE})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
        wrong = client.post("/v1/chat/completions", content=b"{", headers={"origin": PAGE})
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (400, PAGE)
        assert status(server, origin="http://localhost:3001") == 403


def test_other_hosts_need_a_key_which_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    with serving(tmp_path, host="0.0.0.0") as server:
        file = server.home / "data" / "server.key"
        key = file.read_text("ascii").strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert status(server, path="/health") == 200
        for sent in ("", "Bearer", "Bearer wrong", f"Basic {key}", f"Bearer {key}x"):
            assert status(server, authorization=sent) == 401
        assert status(server, authorization=f"Bearer {key}") == 200
        assert status(server, authorization=f"bearer {key}", host="amulet.example") == 200


def test_a_key_that_others_may_read_or_is_none_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "key"
    key, made = read_or_make_key(file)
    assert (read_or_make_key(file), made) == ((key, False), True)
    file.write_text("short")
    with pytest.raises(NotUsableError, match="does not contain a key"):
        read_or_make_key(file)
    file.chmod(0o644)
    with pytest.raises(NotUsableError, match="others may read"):
        read_or_make_key(file)


@pytest.mark.parametrize("mode", [0o600, 0o755])
def test_a_key_file_that_is_a_folder_is_said_to_be_no_file(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.mkdir(mode)
    with pytest.raises(NotUsableError, match="is not a file; name another with --key-file"):
        read_or_make_key(path)


def test_a_key_is_read_from_a_pipe_and_nothing_is_written_to_it(tmp_path: Path) -> None:
    key = "a key of a command".replace(" ", "-")
    reading, writing = os.pipe()  # as <(command) has it
    os.write(writing, f"{key}\n".encode())
    os.close(writing)
    assert read_or_make_key(Path(f"/dev/fd/{reading}")) == (key, False)
    os.close(reading)
    os.mkfifo(tmp_path / "key", 0o600)  # to which nobody writes
    with pytest.raises(NotUsableError, match="does not contain a key"):
        read_or_make_key(tmp_path / "key")


def test_what_is_too_large_is_refused(server: Serving) -> None:
    with server.client() as client:
        long = client.post("/v1/chat/completions", content=b" " * (5 << 20))
        assert (long.status_code, long.json()["error"]["code"]) == (413, "body_too_large")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection, suppress(ConnectionError):
        for _ in range(300):
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"y" * 1000)
        assert connection.recv(12) in (b"HTTP/1.1 400", b"")
    assert server.chat().status_code == 200


def test_a_prompt_of_a_megabyte_is_refused_by_its_length(server: Serving) -> None:
    messages = [{"role": "user", "content": "word " * 210_000}]
    error = server.chat(messages=messages).json()["error"]
    assert error["code"] == "context_length_exceeded"
    shorter = server.chat(messages=[{"role": "user", "content": "word " * 3000}]).json()["error"]
    assert shorter["code"] == "context_length_exceeded"  # which only its tokens tell


def test_connections_that_say_nothing_keep_nobody_out(server: Serving) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(200)]
    for connection in silent[:50]:
        connection.sendall(BEGUN)
    for connection in silent[50:100]:
        connection.sendall(b"GET / HTT")
    assert server.chat().status_code == 200
    silent[150].settimeout(30)
    assert silent[150].recv(1) == b""  # ten seconds later
    for connection in silent:
        connection.close()
    assert server.chat().status_code == 200


def test_nothing_that_was_asked_is_repeated_in_an_error(server: Serving) -> None:
    secret = "correct horse"
    for body in (
        {"messages": [{"role": secret, "content": "x"}]},
        {"messages": secret},
        chat_body(placement=secret),
        chat_body(model=secret),
        chat_body(response_format={"type": secret}),
    ):
        answer = server.chat(**body)
        assert answer.status_code in (400, 404)
        assert secret not in answer.text


def test_it_ends_in_good_order(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        engine, known = server.engine, server.home / "data" / "server.json"
        assert known.exists()
        doctor = [sys.executable, "-m", "amulet_local", "doctor", "--json"]
        told = subprocess.run(
            doctor,
            env=os.environ | {"AMULET_HOME": str(server.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert json.loads(told.stdout)["server"] == {"url": server.url, "model": MODEL}
        assert server.chat().status_code == 200
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert comes(lambda: not engine.is_running())
        assert not known.exists()
