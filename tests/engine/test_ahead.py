"""What is typed is read before it is sent: the reply is the same, and has less to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from amulet_local.chats.prompt_cache_files import kept_file
from amulet_local.engine.engine import Engine
from amulet_local.engine.worker import Worker
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load, ReadAhead, Reply, Stop
from amulet_local.runtime.llama.errors import AbortedError
from tests.asking import CONCISE, ask, reply
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

TYPED = "What makes a good walking holiday in the hills when it"
WHOLE = Message("user", f"{TYPED} rains?")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Engine]:
    """One that has read nothing; float32 weights."""
    path = tmp_path / "llama.gguf"
    write_llama(path)
    options = LoadOptions(context=1024, flash_attention="off")
    with closing(Engine(Load(str(path), options), lambda _: True)) as engine:
        yield engine


def read(
    engine: Engine, request: Reply, typed: str = TYPED, wish: str = "", more: str = " x"
) -> None:
    """Read this much of the newest message."""
    before = request.messages[:-1]
    shown = structs.replace(request, messages=(*before, Message("user", typed, wish=wish)))
    then = Message("user", typed if wish else typed + more, wish=wish + more if wish else "")
    engine.read_ahead(ReadAhead(shown, then), lambda: True)


def held(engine: Engine) -> list[list[int]]:
    return [list(stream.tokens) for stream in engine._lockstep.all_streams]


@pytest.mark.parametrize("placement", ["system", "turn"])
def test_the_reply_is_the_same_and_has_only_the_rest_to_read(
    fresh: Engine, tiny_engine: Engine, placement: str
) -> None:
    request = ask(WHOLE, placement=placement, chat="other", max_tokens=24)
    plain = reply(tiny_engine, request)
    read(fresh, request)
    after = reply(fresh, request)
    assert after.token_ids == plain.token_ids
    tokens = after.stats.cached_tokens + after.stats.evaluated_tokens
    rest = structs.replace(request, messages=(Message("user", " rains?"),))
    behind = reply(tiny_engine, rest).stats.prompt_tokens  # more than the rest: a whole prompt
    assert after.stats.evaluated_tokens < min(2 * behind, tokens // 3)


def test_the_next_turn_is_read_while_it_is_typed(fresh: Engine) -> None:
    first = reply(fresh, ask(max_tokens=8))
    said = (ask().messages[0], Message("assistant", first.text, first.token_ids))
    request = ask(*said, WHOLE, max_tokens=8)
    for end in (10, 30, len(TYPED)):
        read(fresh, request, TYPED[:end].rpartition(" ")[0])
    after = reply(fresh, request)
    twice = reply(fresh, structs.replace(request, messages=(*said, Message("user", "x"))))
    assert after.stats.evaluated_tokens <= 2 * len(" it rains?<|im_end|>\n<|im_start|>assistant\n")
    assert twice.stats.cached_tokens > 0


def test_a_wish_is_read_by_the_preference_stream_alone(fresh: Engine) -> None:
    request = ask(WHOLE, preference="", method="base", max_tokens=4)
    steered = ask(WHOLE, preference="", max_tokens=4)
    read(fresh, request)
    before = held(fresh)[0]
    read(fresh, steered, wish="all in lower")
    base, wishing = held(fresh)
    assert base[: len(before)] == before
    wish = fresh._model.vocabulary.tokenize(" lower", parse_special=False)[-3:]
    joined = ",".join(map(str, wish))
    assert joined in ",".join(map(str, wishing))
    assert joined not in ",".join(map(str, base))


def test_nothing_is_kept_of_what_was_not_sent(fresh: Engine) -> None:
    long = Message("user", "Summarise this: " + "The ferry leaves at seven. " * 12)
    request = ask(long, chat="ferry", max_tokens=4)
    written = reply(fresh, request)
    sent = held(fresh)
    secret = Message("user", "x")
    turns = (*request.messages, Message("assistant", written.text, written.token_ids), secret)
    read(fresh, structs.replace(request, messages=turns), "a secret that was never sent")
    assert held(fresh) != sent
    reply(fresh, ask(chat="other", max_tokens=1))
    assert kept_file("ferry").exists()
    reply(fresh, request)  # which brings back what was kept
    now = held(fresh)
    assert now == [before[: len(tokens)] for tokens, before in zip(now, sent, strict=True)]


def test_what_a_temporary_chat_has_read_is_not_kept_with_another(fresh: Engine) -> None:
    long = Message("user", "This is a secret. " * 20)
    reply(fresh, ask(long, max_tokens=2))
    secret = held(fresh)[1]
    longer = ask(Message("user", "The ferry leaves. " * 20), method="base", chat="a", max_tokens=2)
    reply(fresh, longer)
    assert held(fresh)[1] == secret
    reply(fresh, ask(chat="b", max_tokens=1))
    fresh._prompt_cache.switch("a")
    assert held(fresh)[1] == []


def test_what_is_typed_on_ends_it_between_two_batches_and_loses_nothing(fresh: Engine) -> None:
    request = ask(Message("user", "The ferry leaves at seven. " * 20), max_tokens=4)
    free = iter([True, True, True, False])
    more = Message("user", request.messages[0].text + "x")
    with pytest.raises(AbortedError):
        fresh.read_ahead(ReadAhead(request, more), lambda: next(free))
    (some_of_it, *_) = held(fresh)
    assert 0 < len(some_of_it) < 100
    plain = reply(fresh, request)
    assert plain.stats.cached_tokens >= len(some_of_it)


def test_what_cannot_be_read_is_passed_over_without_a_word(
    fresh: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    read(fresh, ask(WHOLE), "far too long a text " * 900)
    read(fresh, ask(WHOLE, WHOLE))
    assert held(fresh) == [[], []]
    assert "far too long" not in caplog.text


def worker_on(engine: Engine, tmp_path: Path) -> Worker:
    nothing = tmp_path / "nothing"
    nothing.touch()
    worker = Worker(nothing.open("rb"), (tmp_path / "events").open("wb"))
    worker._engine = engine
    return worker


@pytest.mark.parametrize("asked", [ask(max_tokens=2), Stop()])
def test_any_command_ends_it_at_once(fresh: Engine, tmp_path: Path, asked: Reply | Stop) -> None:
    """Another text does not: it waits for a few rows."""
    worker = worker_on(fresh, tmp_path)
    aborted: list[bool] = []

    def reads(command: ReadAhead, is_free: Callable[[], bool]) -> None:
        worker._hear(ReadAhead(ask(WHOLE), WHOLE))
        aborted.append(fresh._lockstep._contexts[0].aborted)
        worker._hear(asked)
        aborted.append(fresh._lockstep._contexts[0].aborted)

    fresh.read_ahead = reads  # type: ignore[method-assign]
    worker._hear(ReadAhead(ask(WHOLE), WHOLE))
    worker._carry_out(worker._next_job())
    assert aborted == [False, True]
    assert not fresh._lockstep._contexts[0].aborted  # what comes next is carried out


def test_without_a_preference_one_stream_reads(fresh: Engine) -> None:
    read(fresh, ask(WHOLE, preference="", method="base"))
    assert list(fresh._lockstep.active) == [0]
    read(fresh, ask(WHOLE, preference=CONCISE))
    assert list(fresh._lockstep.active) == [0, 1]
