"""Several replies at once: the same ones as alone, whenever they come and go; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from amulet_local.engine.engine import Engine
from amulet_local.errors import AmuletError, UsageError
from amulet_local.protocol.alignment import Fader, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Finished, Load, Prefilling, Reply, Step
from tests.asking import ask
from tests.checks import some
from tests.tiny_models import write_hybrid, write_llama, write_mamba, write_sliding_window

pytestmark = pytest.mark.model

LONG = "The ferry leaves at seven and comes back at nine. " * 4
OPTIONS = LoadOptions(context=512, flash_attention="off")


class Client:
    """A request that comes once `after` steps of all replies were told."""

    def __init__(self, request: Reply, after: int = 0) -> None:
        self.request, self.after = request, after
        self.stopped = False
        self.errors: list[AmuletError | None] = []

    def is_stopped(self) -> bool:
        return self.stopped

    def ended(self, error: AmuletError | None) -> None:
        self.errors.append(error)


def serve(
    engine: Engine, clients: list[Client], heard: Callable[[Event], None] = lambda _: None
) -> dict[int, Finished]:
    """What became of each; every client heard that once."""
    waiting, told = list(clients), 0
    finished: dict[int, Finished] = {}

    def emit(event: Event) -> None:
        nonlocal told
        told += isinstance(event, Step)
        if isinstance(event, Finished):
            finished[event.id] = event
        heard(event)

    def coming() -> Client | None:
        return waiting.pop(0) if waiting and waiting[0].after <= told else None

    engine.reply_together(coming, emit)
    while waiting:  # whom nobody was left to tell of
        waiting[0].after = 0
        engine.reply_together(coming, emit)
    assert [len(client.errors) for client in clients] == [1] * len(clients)
    return finished


def requests(count: int, **changes: object) -> list[Reply]:
    questions = ["Why?", LONG, "What makes a good holiday?", "Say hello.", "Count to ten."]
    return [
        ask(Message("user", questions[k % 5] + "!" * (k // 5)), id=k, max_tokens=12 + k, **changes)
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """With so few cells that all streams share them."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    loaded = Engine(Load(str(path), OPTIONS, parallel=4), lambda _: True)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """With 256 cells for each stream, which LONG outgrows."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    options = structs.replace(OPTIONS, context=1536)
    loaded = Engine(Load(str(path), options, parallel=4), lambda _: True)
    yield loaded
    loaded.close()


def alone(engine: Engine, request: Reply) -> Finished:
    return serve(engine, [Client(request)])[request.id]


def test_while_a_long_prompt_is_read_it_is_told_how_far(tmp_path: Path) -> None:
    """Or an engine that reads for minutes would be taken for one that is stuck."""
    write_llama(tmp_path / "llama.gguf")
    options = structs.replace(OPTIONS, batch=32)
    with closing(
        Engine(Load(str(tmp_path / "llama.gguf"), options, parallel=2), lambda _: True)
    ) as engine:
        heard: list[Event] = []
        serve(engine, [Client(ask(Message("user", LONG), id=1, max_tokens=2))], heard.append)
    told = [event for event in heard if isinstance(event, Prefilling)]
    assert heard[: len(told)] == told
    done = [event.done for event in some(told)]
    assert done == sorted(set(done))


@pytest.mark.parametrize("cells", ["engine", "roomy"])
def test_a_reply_is_the_same_alone_and_among_others(
    request: pytest.FixtureRequest, cells: str, tiny_engine: Engine
) -> None:
    engine: Engine = request.getfixturevalue(cells)
    every = requests(11)
    plain = structs.replace(every[4].alignment, preference="")
    every[4] = structs.replace(every[4], alignment=plain)
    mix = (Fader("Be brief.", 2.0), Fader("Be rude.", -1.5), Fader("Be kind.", 1.0))
    mixed = structs.replace(every[6].alignment, preference="", mix=mix)
    every[6] = structs.replace(every[6], alignment=mixed)
    together = serve(engine, [Client(each, after=7 * k) for k, each in enumerate(every)])
    assert [together[k].token_ids for k in range(11)] == [
        alone(engine, each).token_ids for each in every
    ]
    events: list[Event] = []  # and as an engine for one reply at a time writes it
    tiny_engine.reply(every[1], events.append)
    assert together[1].token_ids in [e.token_ids for e in events if isinstance(e, Finished)]


def test_short_ones_among_one_that_outgrows_its_cells(roomy: Engine) -> None:
    """As it comes with a long question, and as it is written."""
    short = requests(6, system="Be kind.")
    every = [each for each in short if each.messages[0].text[:4] != LONG[:4]]
    grows = structs.replace(short[0], id=9, max_tokens=400)
    assert alone(roomy, grows).stats.context_tokens > 256
    together = serve(roomy, [Client(each, after=9 * k) for k, each in enumerate([grows, *every])])
    for each in (grows, *every):
        assert together[each.id].token_ids == alone(roomy, each).token_ids


def test_a_draw_with_a_seed_is_the_same_among_others(engine: Engine) -> None:
    warm = requests(6, sampling=Sampling(temperature=1.2))
    together = serve(engine, [Client(request, after=3 * k) for k, request in enumerate(warm)])
    assert [together[k].token_ids for k in range(6)] == [
        alone(engine, request).token_ids for request in warm
    ]


@pytest.mark.parametrize("write", [write_mamba, write_hybrid, write_sliding_window])
def test_memory_that_cannot_be_cut_or_forgets_serves_several_too(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "tiny.gguf")
    engine = Engine(Load(str(tmp_path / "tiny.gguf"), OPTIONS, parallel=3), lambda _: True)
    every = requests(7)
    together = serve(engine, [Client(request, after=5 * k) for k, request in enumerate(every)])
    assert [together[k].token_ids for k in range(7)] == [
        alone(engine, request).token_ids for request in every
    ]
    engine.close()


def test_who_shares_a_beginning_reads_it_once(engine: Engine) -> None:
    system = "You know the harbour by heart. " * 8
    same = [
        ask(Message("user", f"{letter}?"), id=k, system=system, max_tokens=4)
        for k, letter in enumerate("abcd")
    ]
    together = serve(engine, [Client(request) for request in same])
    evaluated = [together[k].stats.evaluated_tokens for k in range(4)]
    assert evaluated[0] > len(system)  # bytes are tokens here
    assert max(evaluated[1:]) < 100
    later = alone(engine, structs.replace(same[0], messages=(Message("user", "e?"),)))
    assert later.stats.evaluated_tokens < 100


def test_the_next_turn_goes_on_in_the_stream_that_has_the_chat(engine: Engine) -> None:
    first = ask(Message("user", LONG), id=1, max_tokens=8)
    reply = alone(engine, first)
    said = Message("assistant", reply.text, reply.token_ids)
    second = structs.replace(first, messages=(*first.messages, said, Message("user", "And?")))
    assert alone(engine, second).stats.evaluated_tokens < 80


def test_who_goes_away_is_out_before_the_next_step(engine: Engine) -> None:
    gone, stays = Client(ask(id=1, max_tokens=300)), Client(ask(id=2, max_tokens=30))
    told: list[int] = []

    def heard(event: Event) -> None:
        if isinstance(event, Step):
            told.append(event.id)
            gone.stopped = gone.stopped or told.count(1) == 5

    finished = serve(engine, [gone, stays], heard)
    assert told.count(1) == 5
    assert (finished[1].reason, finished[2].reason) == ("cancelled", "length")
    assert told.count(2) == 30


def test_one_that_cannot_be_written_holds_up_nobody(engine: Engine) -> None:
    long, wrong = ask(Message("user", LONG * 9), id=1), ask(Message("assistant", "No."), id=2)
    clients = [Client(each) for each in (ask(id=0, max_tokens=9), long, wrong)]
    finished = serve(engine, clients)
    assert list(finished) == [0]
    assert [isinstance(client.errors[0], UsageError) for client in clients] == [False, True, True]


def test_more_than_the_cache_holds_is_written_one_after_the_other(tmp_path: Path) -> None:
    write_llama(tmp_path / "tiny.gguf")
    load = Load(str(tmp_path / "tiny.gguf"), OPTIONS, parallel=4)
    engine = Engine(load, lambda _: True)
    long = [
        ask(Message("user", f"{k} " + LONG), id=k, max_tokens=230, system=f"{k} is your number.")
        for k in range(4)
    ]
    together = serve(engine, [Client(request) for request in long])
    assert [together[k].token_ids for k in range(4)] == [
        alone(engine, request).token_ids for request in long
    ]
    assert [together[k].stats.tokens for k in range(4)] == [230] * 4
    engine.close()


def test_a_full_context_ends_a_reply(engine: Engine) -> None:
    finished = alone(engine, ask(Message("user", LONG), id=1, max_tokens=2000))
    assert finished.reason == "length"
    assert finished.stats.context_tokens == 512


def test_a_stop_ends_all_and_the_next_are_written(engine: Engine) -> None:
    def heard(event: Event) -> None:
        if isinstance(event, Step):
            engine.stop()

    clients = [Client(ask(id=k, max_tokens=300)) for k in range(3)]
    finished = serve(engine, clients, heard)
    engine.resume()
    assert [finished[k].reason for k in range(3)] == ["cancelled"] * 3
    assert alone(engine, ask(id=9, max_tokens=5)).reason == "length"
