"""Whatever a server does, a fetch ends in a model or in a sentence with the cause."""

from __future__ import annotations

import json

import pytest

from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.settings import models_folder
from models.fetch import FetchCancelledError
from models.pull import pull
from models.staging import half_fetched
from tests.models.hub_server import REPOSITORY, Hub, hub_server
from tests.models.pulling import (
    CHUNK,
    NAME,
    fetched,
    here,
    hub,
    plain_network,
    refused,
    what,
)

pytestmark = pytest.mark.slow

__all__ = ["hub", "plain_network", "what"]  # the fixtures


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
