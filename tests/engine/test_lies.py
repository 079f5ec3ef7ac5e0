"""Requests that cannot be, as an imported chat or a front end of another kind may make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from amulet_local.engine.client import EngineProcess
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Loaded
from tests.engine.process import OPTIONS, ask, process_of, until
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


def test_what_cannot_be_asked_is_refused_and_ends_nothing(
    engine: EngineProcess, tmp_path: Path
) -> None:
    write_llama(tmp_path / "tiny.gguf")
    engine.load(str(tmp_path / "tiny.gguf"), OPTIONS)
    until(engine, Loaded)
    pid = engine.pid
    for value, request in enumerate((ask(guard=1e308), ask(seed=2**40), ask(max_tokens=0)), 7):
        impossible = replace(request, id=value)
        for act in (
            engine.reply,
            lambda each: engine.compare((each, ask())),
            lambda each: engine.examine(each, (1.0,)),
        ):
            act(impossible)
            failed = until(engine, Failed, Finished, Died)[-1]
            assert isinstance(failed, Failed)
            assert failed.id == value
            assert "the engine cannot do this (Expected `" in failed.text
    engine.reply(ask(max_tokens=2))
    assert isinstance(until(engine, Finished, Died)[-1], Finished)
    assert engine.pid == pid


MOST = 2**31 - 1


def lying(*tokens: int) -> dict[str, Any]:
    return {
        "begun": Message("assistant", "the an", tokens),
        "messages": (
            Message("user", "a"),
            Message("assistant", "er", tokens),
            Message("user", "b"),
        ),
    }


@pytest.mark.parametrize("lie", [lying(MOST, 5), lying(-1), {"thought": (MOST,), "thinking": True}])
def test_tokens_that_the_model_does_not_have_are_read_from_their_text(
    lie: dict[str, Any], engine: EngineProcess, tmp_path: Path
) -> None:
    """An imported chat may name any; llama.cpp ends the process over them."""
    write_llama(tmp_path / "tiny.gguf")
    engine.load(str(tmp_path / "tiny.gguf"), OPTIONS)
    until(engine, Loaded)
    replies = []
    for request in (
        ask(max_tokens=3, **lie),
        ask(max_tokens=3, **(lying() if "begun" in lie else {"thinking": True})),
    ):
        engine.reply(request)
        finished = until(engine, Finished, Failed, Died)[-1]
        assert isinstance(finished, Finished)
        replies.append(finished.token_ids)
    assert replies[0] == replies[1]


def test_looking_back_without_end_takes_no_memory_without_end(
    engine: EngineProcess, tmp_path: Path
) -> None:
    write_llama(tmp_path / "tiny.gguf")
    engine.load(str(tmp_path / "tiny.gguf"), OPTIONS)
    until(engine, Loaded)
    far = Sampling(dry_multiplier=0.8, repeat_penalty=1.1, penalty_last_n=MOST)
    engine.reply(ask(max_tokens=3, sampling=far))
    until(engine, Finished)
    assert psutil.Process(process_of(engine)).memory_info().rss < 1 << 30
