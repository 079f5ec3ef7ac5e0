"""Evaluated chats on disk: they go with their chats, and nothing half written stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amulet_local.chats import cleanup
from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.prompt_cache_files import kept_file, kept_folder
from amulet_local.files import RESERVE, clear_remnants, part_of
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.runtime import prompt_cache
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.prompt_cache import PromptCache
from amulet_local.runtime.stream_state import restore, save
from tests.cli.conftest import Amulet
from tests.cli.conftest import amulet as amulet  # the fixture
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

DEAD = "999999999 1.5"
LONG = list(range(1, 251)) + list(range(1, 51))


@pytest.fixture
def store() -> Iterator[History]:
    with History(history_file()) as opened:
        yield opened


def begin(store: History) -> str:
    """A chat with a message, of which something is kept."""
    chat = new_chat_id()
    store.add(chat, Node(new_id(), None, Message("user", "Where to?")))
    keep(chat)
    return chat


def keep(chat: str) -> None:
    kept_folder().mkdir(parents=True, exist_ok=True)
    kept_file(chat).write_bytes(b"every word of it")


def kept() -> list[str]:
    return sorted(file.name for file in kept_folder().glob("*"))


# -- with the chats -------------------------------------------------------------------------------


@pytest.mark.parametrize("remove", [History.remove, History.destroy])
def test_what_is_kept_of_a_chat_is_removed_with_it(
    remove: Callable[[History, str], None], store: History
) -> None:
    chat, other = begin(store), begin(store)
    (kept_folder() / f"{chat}.kv.{DEAD}.part").write_bytes(b"half of it")
    remove(store, chat)
    assert kept() == [f"{other}.kv"]


def test_what_is_kept_of_many_chats_is_removed_with_them(store: History) -> None:
    chats = [begin(store) for _ in range(12)]
    for chat in chats[1:]:
        store.destroy(chat)
    assert kept() == [f"{chats[0]}.kv"]


def test_the_command_that_removes_a_chat_removes_what_is_kept_of_it(
    store: History, amulet: Amulet
) -> None:
    chat, other = begin(store), begin(store)
    assert amulet("chats", "remove", chat, "--yes").code == 0
    assert kept() == [f"{other}.kv"]


def test_what_goes_after_a_month_takes_what_is_kept_along(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, cut, whole = begin(store), begin(store), begin(store)
    store.remove(gone)
    keep(gone)  # as another process might have since
    (first,) = store.load(cut).nodes
    answer = Node(new_id(), first.id, Message("assistant", "To Wales."))
    store.add(cut, answer)
    store.delete(answer.id)
    store.close()
    monkeypatch.setattr(cleanup, "KEPT_S", -1.0)
    with History(history_file()):
        assert kept() == [f"{whole}.kv"]


def test_remnants_go_when_the_chats_are_opened(store: History) -> None:
    chat = begin(store)
    keep("removed-long-ago")
    names = ("a.part", f"{chat}.{DEAD}.part", f"b.{os.getpid()} 1.0.part", "c.no process.part")
    for name in (*names, "readme.txt"):
        (kept_folder() / name).write_bytes(b"")
    part_of(kept_file(chat)).write_bytes(b"being written by a process that is there")
    with History(history_file()):
        assert kept() == sorted([f"{chat}.kv", part_of(kept_file(chat)).name, "readme.txt"])


def test_a_new_store_keeps_nothing_of_the_one_that_was_deleted(store: History) -> None:
    begin(store)
    store.close()
    for file in history_file().parent.glob("chats*"):
        file.unlink()
    with History(history_file()):
        assert kept() == []


def test_a_store_in_memory_or_elsewhere_touches_nothing(store: History, tmp_path: Path) -> None:
    chat = begin(store)
    with History(None) as other:
        other.destroy(chat)
    with History(tmp_path / "elsewhere" / "chats.sqlite") as other:
        other.destroy(chat)
    assert kept() == [f"{chat}.kv"]


def test_what_cannot_be_removed_now_keeps_nobody_from_removing_the_chat(store: History) -> None:
    chat = begin(store)
    kept_file(chat).unlink()
    kept_file(chat).mkdir()  # which no unlink removes, whoever runs this
    store.destroy(chat)
    assert store.count() == 0
    shutil.rmtree(kept_folder())
    clear_remnants(kept_folder().glob("*.part"))


# -- from the engine ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    return path


@pytest.fixture
def streams(path: Path) -> Iterator[Lockstep]:
    with (
        closing(Model(str(path))) as model,
        closing(Lockstep(model, LoadOptions(context=512))) as made,
    ):
        made.prefill({0: LONG, 1: [*LONG, 7]})
        yield made


def talk(chats: PromptCache, streams: Lockstep, chat: str) -> None:
    """Open a chat and read its messages."""
    chats.switch(chat)
    streams.prefill({0: LONG, 1: [*LONG, 7]})


def test_what_another_chat_left_is_not_kept_with_one_that_was_only_opened(
    path: Path, streams: Lockstep
) -> None:
    chats = PromptCache(streams, str(path), "f16")
    chats.switch("only opened")
    chats.keep()
    assert kept() == []


def test_the_engine_keeps_no_chat_that_was_removed(
    path: Path, streams: Lockstep, store: History
) -> None:
    removed, destroyed, there = begin(store), begin(store), begin(store)
    for chat in (removed, destroyed, there):
        kept_file(chat).unlink()
    chats = PromptCache(streams, str(path), "f16")
    talk(chats, streams, removed)
    store.remove(removed)
    talk(chats, streams, destroyed)
    store.destroy(destroyed)
    talk(chats, streams, "never-stored")
    talk(chats, streams, there)
    assert kept() == []
    talk(chats, streams, removed)
    assert kept() == [f"{there}.kv"]
    store.bring_back(removed)
    chats.keep()
    assert kept() == sorted([f"{there}.kv", f"{removed}.kv"])


def test_a_chat_that_is_removed_while_it_is_written_is_not_kept(
    path: Path, streams: Lockstep, store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = begin(store)

    def save_late(*arguments: Any) -> bool:
        store.destroy(chat)
        return save(*arguments)

    monkeypatch.setattr(prompt_cache, "save", save_late)
    chats = PromptCache(streams, str(path), "f16")
    talk(chats, streams, chat)
    chats.keep()
    assert kept() == []


def test_without_stored_chats_any_name_is_kept(path: Path, streams: Lockstep) -> None:
    chats = PromptCache(streams, str(path), "f16")
    talk(chats, streams, "mine")
    chats.keep()
    assert kept() == ["mine.kv"]


def test_an_engine_clears_away_what_a_dead_one_was_writing(path: Path, streams: Lockstep) -> None:
    keep("whole")
    (kept_folder() / f"half.{DEAD}.part").write_bytes(b"")
    PromptCache(streams, str(path), "f16")
    assert kept() == ["whole.kv"]


def test_a_save_that_is_stopped_anywhere_leaves_what_was_there(
    streams: Lockstep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amulet_local.runtime.stream_state._BLOCK", 1 << 12)
    file = tmp_path / "one.kv"
    file.write_bytes(b"before")
    written: list[bool] = []
    there: list[tuple[list[Path], bool]] = []
    while not written or not written[-1]:
        questions = iter([False] * len(written))
        written.append(save(streams, file, "key", lambda: next(questions, True)))  # noqa: B023
        there.append((list(tmp_path.glob("one.*")), file.read_bytes() == b"before"))
    assert len(written) > 6
    assert there == [([file], not whole) for whole in written]
    assert restore(streams, file, "key") == len(LONG) + 1


def test_what_is_kept_leaves_room_to_others(
    path: Path, streams: Lockstep, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = RESERVE + (1 << 30)

    def disk_usage(_: Path) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in kept_folder().glob("*.kv"))
        return SimpleNamespace(free=free - taken)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    chats = PromptCache(streams, str(path), "f16")
    for chat in ("oldest", "older", "newer"):
        talk(chats, streams, chat)
        chats.keep()
        os.utime(kept_file(chat), (len(kept()), len(kept())))
    assert len(kept()) == 3
    talk(chats, streams, "newest")
    size = kept_file("older").stat().st_size
    free = RESERVE + 2 * size + size // 2  # for two of them
    chats.keep()
    assert kept() == ["newer.kv", "newest.kv"]
    talk(chats, streams, "one more")
    free = RESERVE + size // 2
    chats.keep()
    assert kept() == []


def test_a_full_disk_leaves_no_half_file(
    path: Path, streams: Lockstep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    chats = PromptCache(streams, str(path), "f16")
    talk(chats, streams, "mine")
    monkeypatch.setattr(Path, "replace", full)
    chats.keep()
    assert kept() == []
