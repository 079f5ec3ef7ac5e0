"""A model comes from the hub or a URL whole and verified, or not at all; a cut fetch goes on.

The hub is a server on this machine; huggingface_hub is the real one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.files import RESERVE
from amulet_local.settings import models_folder
from models import catalogue
from models.catalogue import Hosted
from models.fetch import FetchCancelledError, Progress
from models.inspection import inspect
from models.library import listing
from models.lookup import remove, resolve
from models.pull import Pulled, pull
from tests.checks import some
from tests.models.hub_server import COMMIT, REPOSITORY, Hub
from tests.models.pulling import CHUNK, here, hub, model, refused
from tests.models.test_inspection import write_part

__all__ = ["hub"]  # the fixture

ENTRY = Hosted(
    name="tiny",
    description="A model for tests.",
    licence="MIT",
    parameters="1K",
    memory=0,
    repository=REPOSITORY,
    quantisation="Q8_0",
    download=0,
)


# -- the hub --------------------------------------------------------------------------------------


def test_a_model_of_the_hub_is_fetched_and_known_by_its_name(hub: Hub) -> None:
    pulled = pull(f"hf:{REPOSITORY}")
    path = models_folder() / REPOSITORY / "Tiny.Q8_0.gguf"
    data = hub.files["Tiny.Q8_0.gguf"]
    digest = hashlib.sha256(data).hexdigest()
    assert pulled == Pulled(f"hf:{REPOSITORY}", path, len(data), digest, True)
    assert path.read_bytes() == data
    assert here() == {"Tiny.Q8_0.gguf"}
    assert resolve("tiny.q8_0") == resolve("tiny/Tiny.Q8_0") == path
    assert [each.name for each in listing().models] == ["Tiny.Q8_0"]


def test_what_is_here_is_not_fetched_again(hub: Hub) -> None:
    pull(f"hf:{REPOSITORY}")
    before = len(hub.asked)
    assert not pull(f"hf:{REPOSITORY}").fetched
    assert len(hub.asked) == before


def test_a_name_of_the_catalogue_leads_to_a_repository(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "entries", lambda: (ENTRY, *_entries))
    pulled = pull("TINY")
    assert pulled.name == "tiny"
    assert resolve("tiny") == pulled.path
    assert [each.name for each in listing().models] == ["tiny"]
    assert remove("tiny") == [pulled.path]
    with pytest.raises(NotUsableError, match="fetch it with: amulet models pull tiny"):
        resolve("tiny")


_entries = catalogue.entries()


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry", [entry for entry in _entries if isinstance(entry, Hosted)], ids=lambda e: e.name
)
@pytest.mark.parametrize("as_is", [str.lower, str.upper])
def test_every_hosted_entry_is_found_by_its_type_alone(
    entry: Hosted, as_is: Callable[[str], str], hub: Hub
) -> None:
    """Whatever a publisher calls files, and whichever other types are beside it."""
    stem = entry.repository.split("/")[1].removesuffix("-GGUF").removesuffix("-gguf")
    hub.repository = entry.repository
    types = {"Q2_K", "Q4_0", "Q4_K_S", "UD-Q4_K_M", "Q5_K_M", "Q8_0", "fp16", entry.quantisation}
    hub.files = {f"{stem}-{as_is(kind)}.gguf": b"" for kind in types}
    wanted = f"{stem}-{as_is(entry.quantisation)}.gguf"
    hub.files[wanted] = data = model()
    pulled = pull(entry.name)
    assert pulled.path == models_folder() / entry.repository / wanted
    assert pulled.sha256 == hashlib.sha256(data).hexdigest()
    assert (pulled.name, resolve(entry.name)) == (entry.name, pulled.path)


def test_a_type_may_stand_within_a_name(hub: Hub) -> None:
    """As Google's files have it."""
    data = hub.files.pop("Tiny.Q8_0.gguf")
    hub.files |= {"tiny-E2B_q8_0-it.gguf": data, "tiny-E2B-it-mmproj.gguf": b"GGUF"}
    assert pull(f"hf:{REPOSITORY}:Q8_0").path.name == "tiny-E2B_q8_0-it.gguf"
    assert "has no Q8;" in refused(f"hf:{REPOSITORY}:Q8")


def test_a_model_that_has_left_the_catalogue_keeps_its_name_here(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "entries", lambda: (ENTRY, *_entries))
    path = pull("tiny").path
    monkeypatch.setattr(catalogue, "entries", lambda: _entries)
    assert [each.name for each in listing().models] == ["tiny"]
    assert resolve("Tiny") == path
    assert remove("tiny") == [path]


def test_a_quantisation_is_chosen(hub: Hub) -> None:
    hub.files["Tiny.Q4_K_M.gguf"] = model(100)
    hub.files["mmproj-Tiny.F16.gguf"] = b"GGUF"
    assert pull(f"hf:{REPOSITORY}").path.name == "Tiny.Q4_K_M.gguf"
    assert pull(f"hf:{REPOSITORY}:q8_0").path.name == "Tiny.Q8_0.gguf"
    assert pull(f"hf:{REPOSITORY}:Tiny.Q8_0.gguf").path.name == "Tiny.Q8_0.gguf"
    assert "has no Q5_0; it has Q4_K_M, Q8_0" in refused(f"hf:{REPOSITORY}:Q5_0")


def test_several_models_in_a_repository_are_listed(hub: Hub) -> None:
    hub.files = dict.fromkeys(("A.Q8_0.gguf", "B.Q8_0.gguf"), b"")
    assert "several models: A.Q8_0, B.Q8_0; add one after a colon" in refused(
        f"hf:{REPOSITORY}", UsageError
    )


def test_a_repository_without_gguf_is_told(hub: Hub) -> None:
    hub.files = {"model.safetensors": b"", "mmproj.gguf": b""}
    assert "org/tiny has no GGUF file" in refused(f"hf:{REPOSITORY}")


def test_a_split_model_comes_as_a_whole(hub: Hub, tmp_path: Path) -> None:
    parts = {
        f"q/{path.name}": path.read_bytes()
        for path in (write_part(tmp_path, 1), write_part(tmp_path, 2))
    }
    hub.files = parts
    seen: list[Progress] = []
    pulled = pull(f"hf:{REPOSITORY}", seen.append)
    assert pulled.path.name == "m-00001-of-00002.gguf"
    assert inspect(pulled.path).size == pulled.size == sum(map(len, parts.values()))
    assert seen[-1] == Progress("verifying", pulled.size, pulled.size)


@pytest.mark.parametrize("number", [1, 2])
def test_a_split_model_comes_as_a_whole_by_the_address_of_any_part(
    number: int, hub: Hub, tmp_path: Path
) -> None:
    for part in (1, 2):
        path = write_part(tmp_path, part)
        hub.files[path.name] = path.read_bytes()
    name = f"m-0000{number}-of-00002.gguf"
    for address in (f"{hub.url}/{name}?a=/b", f"{hub.url}/{REPOSITORY}/resolve/main/{name}"):
        pulled = pull(address)
        assert pulled.path.name == "m-00001-of-00002.gguf"
        assert inspect(pulled.path).size == pulled.size


def test_a_split_model_without_all_its_parts_is_told_before(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"q/m-00001-of-00002.gguf": write_part(tmp_path, 1).read_bytes()}
    file = "q/m-00001-of-00002.gguf"
    for what in (f"hf:{REPOSITORY}", f"{hub.url}/{REPOSITORY}/resolve/main/{file}"):
        assert "org/tiny lacks a part of that model, q/m-00002-of-00002.gguf" in refused(what)
    assert "m-00002-of-00002.gguf cannot be fetched" in refused(f"{hub.url}/{file}")
    assert here() == set()


@pytest.mark.parametrize(
    "told",
    [
        {"size": "12"},
        {"size": [12]},
        {"size": -5},
        {"size": 1e30},
        {"size": 2**63},
        {"lfs": {"sha256": 5, "size": 1, "pointerSize": 1}},
        {"lfs": {"sha256": "abc", "size": 1, "pointerSize": 1}},
        {"lfs": {"sha256": "a" * 64 + "\n", "size": 1, "pointerSize": 1}},
    ],
)
def test_a_hub_that_tells_what_cannot_be_makes_no_sense(
    told: dict[str, object], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling = {"rfilename": "Tiny.Q8_0.gguf", **told}
    monkeypatch.setattr(hub, "tree", lambda: {"id": REPOSITORY, "siblings": [sibling]})
    assert "answer about org/tiny makes no sense" in refused(f"hf:{REPOSITORY}")
    assert here() == set()


def test_a_checksum_may_have_capital_letters(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = hub.tree()
    digest = hashlib.sha256(hub.files["Tiny.Q8_0.gguf"]).hexdigest()
    capital = json.loads(json.dumps(tree).replace(digest, digest.upper()))
    monkeypatch.setattr(hub, "tree", lambda: capital)
    assert pull(f"hf:{REPOSITORY}").sha256 == digest


def test_the_token_is_used(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "secret"
    assert "does not exist or is private" in refused(f"hf:{REPOSITORY}")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert pull(f"hf:{REPOSITORY}").fetched


def test_terms_that_want_accepting_are_told(hub: Hub) -> None:
    hub.gated = True
    assert "requires accepting its terms" in refused(f"hf:{REPOSITORY}")


def test_a_repository_that_is_not_there_is_told(hub: Hub) -> None:
    assert "does not exist or is private" in refused("hf:org/none")


@pytest.mark.parametrize("name", ["hf:", "hf:tiny", "hf:a/b/c", "hf:a/b:", "hf:../b"])
def test_a_name_that_is_none_is_told(hub: Hub, name: str) -> None:
    assert "hf:owner/repository" in refused(name, UsageError)


def test_a_word_that_means_nothing_leads_to_the_catalogue() -> None:
    assert "smollm2-135m-instruct" in refused("gpt")


# -- other fetchers' cache, and no network --------------------------------------------------------


def put_in_cache(hub: Hub, tmp_path: Path) -> Path:
    folder = tmp_path / "cache/models--org--tiny"
    path = folder / "snapshots" / COMMIT / "Tiny.Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(hub.files["Tiny.Q8_0.gguf"])
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    return path


def test_what_the_hubs_cache_has_stays_there(hub: Hub, tmp_path: Path) -> None:
    path = put_in_cache(hub, tmp_path)
    pulled = pull(f"hf:{REPOSITORY}")
    assert (pulled.path, pulled.fetched) == (path, False)
    assert not any("resolve" in each for each in some(hub.asked))


def test_offline_the_cache_is_all_there_is(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set, and org/tiny is not in" in refused(f"hf:{REPOSITORY}")
    path = put_in_cache(hub, tmp_path)
    assert pull(f"hf:{REPOSITORY}").path == path
    assert hub.asked == []


def test_a_hub_that_cannot_be_reached_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "check the network, then try again" in refused(f"hf:{REPOSITORY}")


# -- what goes wrong on the way --------------------------------------------------------------------


def test_a_connection_that_is_cut_is_taken_up_again(hub: Hub) -> None:
    hub.cuts, hub.cut_after = 3, 3 * CHUNK
    seen: list[Progress] = []
    pulled = pull(f"hf:{REPOSITORY}", seen.append)
    assert pulled.path.read_bytes() == hub.files["Tiny.Q8_0.gguf"]
    ranges = [each.split()[-1] for each in hub.asked if "bytes=" in each]
    assert ranges == [f"bytes={k * 3 * CHUNK}-" for k in (1, 2, 3)]
    done = [each.done for each in seen if each.stage == "fetching"]
    assert done == sorted(done)


def test_a_fetch_that_was_stopped_goes_on_where_it_was(hub: Hub) -> None:
    hub.cuts, hub.cut_after = 100, 3 * CHUNK
    stop = iter([False] * 3 + [True] * 100)
    with pytest.raises(FetchCancelledError, match="is kept for later"):
        pull(f"hf:{REPOSITORY}", cancelled=lambda: next(stop))
    (part,) = here()
    assert part.startswith(".part-")
    size = (models_folder() / part).stat().st_size
    assert size > 0
    assert listing().models == ()
    hub.cuts = 0
    hub.asked.clear()
    pulled = pull(f"hf:{REPOSITORY}")
    assert hub.asked[-1].endswith(f"bytes={size}-")
    assert pulled.path.read_bytes() == hub.files["Tiny.Q8_0.gguf"]


def test_a_server_that_knows_no_ranges_begins_anew(hub: Hub) -> None:
    hub.ranges, hub.cuts, hub.cut_after = False, 1, 3 * CHUNK
    assert pull(f"hf:{REPOSITORY}").path.read_bytes() == hub.files["Tiny.Q8_0.gguf"]


def test_a_wrong_checksum_leaves_nothing(hub: Hub) -> None:
    hub.wrong_checksums = True
    assert "is not that file (its sha256 is" in refused(f"hf:{REPOSITORY}")
    assert here() == set()


def test_what_is_not_gguf_leaves_nothing(hub: Hub) -> None:
    hub.files["Tiny.Q8_0.gguf"] = b"<html>" * 1000
    assert "the fetched file cannot be used: Tiny.Q8_0.gguf is not a GGUF file" in refused(
        f"hf:{REPOSITORY}"
    )
    assert here() == set()


def test_too_little_space_is_told_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    assert "0 MB are free there; make room" in refused(f"hf:{REPOSITORY}", UsageError)
    assert not any("resolve" in each for each in some(hub.asked))


def test_a_server_that_tells_no_size_does_not_fill_the_disk(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.length, hub.files["Tiny.Q8_0.gguf"] = None, model(1 << 22)
    usage = namedtuple("usage", "free")
    left = iter([1 << 40, RESERVE, RESERVE, RESERVE - 1])
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage(next(left)))
        told = refused(f"{hub.url}/Tiny.Q8_0.gguf", UsageError)
    assert re.search("server does not say how large .*, and only 537 MB are free", told)
    (part,) = here()
    assert 0 < (models_folder() / part).stat().st_size < 1 << 22


@pytest.mark.parametrize(
    ("code", "says"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "fix that")]
)
def test_a_folder_that_cannot_be_written_is_told(
    code: int, says: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("models.staging.transfer", refuse)
    text = refused(f"hf:{REPOSITORY}", UsageError)
    assert os.strerror(code) in text
    assert says in text
