"""Guesses learned from earlier replies: they change no token, are kept, and go when chats go."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from amulet_local.chats.history import History, history_file
from amulet_local.engine.engine import Engine
from amulet_local.engine.guessing import for_streams
from amulet_local.engine.habits import Habits
from amulet_local.generation.continuations import Continuations
from amulet_local.protocol.alignment import Fader, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Load, Reply
from amulet_local.settings import habits_file, habits_folder
from tests.asking import ask, reply
from tests.checks import some
from tests.tiny_models import write_llama

VOCABULARY = 100


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "tiny.gguf"
    write_llama(file)
    return str(file)


def engine(path: str, draft: str = "ngram") -> Engine:
    """Without flash attention, larger batches round almost exactly as single rows do."""
    options = LoadOptions(
        context=512, flash_attention="off", draft=draft, step_cost=0.05, threads=1
    )
    return Engine(Load(path, options), lambda _: True)


def requests(*, learns: bool) -> list[Reply]:
    faders = [Fader(f"Be {word}.", 2.0) for word in ("brief", "formal", "kind")]
    return [
        ask(
            preference="" if mix else "Be brief.",
            mix=mix,
            strength=3.0,
            guard=guard,
            seed=seed,
            sampling=Sampling(temperature=temperature),
            max_tokens=30,
            learns=learns,
        )
        for seed, (mix, temperature, guard) in enumerate(
            itertools.product(((), tuple(faders)), (0.0, 0.8), (0.0, 0.1))
        )
    ]


@pytest.mark.model
def test_guesses_change_no_token(path: str) -> None:
    """Of one preference and of three, greedy and drawn, with a guard and without."""
    with closing(engine(path, "off")) as loaded:
        plain = [reply(loaded, request) for request in requests(learns=False)]
    assert all(each.stats.blocks == 29 for each in some(plain))
    with closing(engine(path)) as loaded:
        twice = [[reply(loaded, each) for _ in range(2)] for each in requests(learns=True)]
    unknown, known = zip(*twice, strict=True)  # nothing of the reply was known, or all
    said = [each.token_ids for each in plain]
    assert [each.token_ids for each in unknown] == said
    assert [each.token_ids for each in known] == said
    assert sum(each.stats.blocks for each in known) < sum(each.stats.blocks for each in plain) / 2


@pytest.mark.model
def test_a_temporary_chat_neither_reads_nor_writes_habits(path: str) -> None:
    (request, *_), (learning, *_) = requests(learns=False), requests(learns=True)
    with closing(engine(path)) as loaded:
        first = reply(loaded, request)
        assert not habits_folder().exists()
        reply(loaded, learning)
        again = reply(loaded, request)
    assert again.stats.blocks == first.stats.blocks
    with closing(engine(path)) as loaded:  # which finds what the other has learned
        assert reply(loaded, learning).stats.blocks < first.stats.blocks


def teach(habits: Habits) -> Continuations:
    table = habits.table()
    table.learn([1, 2, 3, 4], 5)
    habits.keep(now=True)
    return table


def knows(habits: Habits) -> bool:
    return habits.table().predict([1, 2, 3, 4]) is not None


def test_what_was_learned_is_there_for_the_next_process() -> None:
    teach(Habits("m.gguf", VOCABULARY))
    assert knows(Habits("m.gguf", VOCABULARY))
    assert not knows(Habits("other.gguf", VOCABULARY))
    assert not knows(Habits("m.gguf", 3))  # it would name tokens that there are not


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:-1],
        lambda body: body[:100] + bytes([body[100] ^ 1]) + body[101:],
        lambda body: b"",
    ],
)
def test_a_damaged_file_counts_as_none(damage: Callable[[bytes], bytes]) -> None:
    teach(Habits("m.gguf", VOCABULARY))
    file = habits_file("m.gguf")
    file.write_bytes(damage(file.read_bytes()))
    habits = Habits("m.gguf", VOCABULARY)
    assert not knows(habits)
    teach(habits)
    assert knows(Habits("m.gguf", VOCABULARY))


def test_a_table_under_another_models_name_counts_as_none() -> None:
    teach(Habits("m.gguf", VOCABULARY))
    habits_file("m.gguf").rename(habits_file("other.gguf"))
    assert not knows(Habits("other.gguf", VOCABULARY))


def test_wiping_the_chats_forgets_also_what_a_running_engine_knows() -> None:
    running = Habits("m.gguf", VOCABULARY)
    table = teach(running)
    with History(history_file()) as history:
        history.wipe()
    assert not any(habits_folder().iterdir())
    table.learn([1, 2, 3, 4], 5)  # a reply that was being written meanwhile
    running.keep(now=True)
    assert not any(habits_folder().iterdir())
    assert not knows(running)
    teach(running)
    assert knows(Habits("m.gguf", VOCABULARY))


def test_where_nothing_can_be_written_it_learns_all_the_same(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "data").write_text("no folder")
    habits = Habits("m.gguf", VOCABULARY)
    teach(habits)
    assert knows(habits)


def test_habits_of_the_latest_models_are_kept() -> None:
    for number in range(6):
        teach(Habits(f"{number}.gguf", VOCABULARY))
    assert len(list(habits_folder().glob("*.table"))) == 4


def test_blocks_of_more_streams_cost_what_as_many_rows_do() -> None:
    table = [1, 1.1, 1.9, 2.0, 2.8, 3.0, 3.9, 4.0]

    def cost(block: int) -> float:
        return table[block - 1]

    assert [for_streams(cost, 2)(block) for block in (1, 2, 4)] == [1, 1.1, 2.0]
    assert [for_streams(cost, 4)(block) for block in (1, 2, 4)] == [1, 2.0 / 1.1, 4.0 / 1.1]
    assert for_streams(cost, 3)(1) == 1
