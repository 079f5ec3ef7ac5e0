"""Lockstep from a request to its tokens on a tiny model of every architecture.

Whether the memory can be cut back or not, a second turn and a reply written anew are those of an
engine that has seen nothing before, in both arrangements.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.engine.engine import Engine
from amulet_local.protocol.alignment import Alignment, Sampling
from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Load, Reply
from models.cards import require_chat_model
from models.inspection import inspect
from models.memory import needs_of
from tests import tiny_models
from tests.asking import collect, end
from tests.checks import some

pytestmark = pytest.mark.model

WRITERS: dict[str, Callable[[Path], None]] = {
    "llama": tiny_models.write_llama,
    "llama 2": tiny_models.write_sentencepiece_llama,
    "qwen2": tiny_models.write_qwen2,
    "qwen3": tiny_models.write_qwen3,
    "phi3": tiny_models.write_phi3,
    "gemma3": tiny_models.write_sliding_window,
    "gpt-oss": tiny_models.write_gpt_oss,
    "mamba": tiny_models.write_mamba,
    "lfm2": tiny_models.write_hybrid,
}
FIRST = (Message("user", "What makes a good walking holiday, and where?"),)


def ask(messages: tuple[Message, ...]) -> Reply:
    return Reply(
        id=1,
        messages=messages,
        seed=1,
        system="You help.",
        alignment=Alignment(
            preference="Be brief.", strength=2.0, sampling=Sampling(temperature=0.0)
        ),
        max_tokens=12,
    )


def reply(engine: Engine, messages: tuple[Message, ...]) -> Finished:
    return end(collect(engine, ask(messages)))


def opened(path: Path, streams: Arrangement) -> Engine:
    options = LoadOptions(context=512, streams=streams, flash_attention="off")
    return Engine(Load(str(path), options, needs_of(str(path), options)), lambda _: True)


@pytest.mark.parametrize("name", WRITERS)
def test_lockstep_runs_end_to_end(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    WRITERS[name](path)
    require_chat_model(inspect(path))
    arrangements: tuple[Arrangement, ...] = ("one-context", "two-contexts")
    replies = []
    for streams in some(arrangements):
        engine = opened(path, streams)
        first = reply(engine, FIRST)
        again = reply(engine, FIRST)
        assert again.token_ids == first.token_ids
        second = (*FIRST, Message("assistant", first.text, first.token_ids), Message("user", "Go"))
        after = reply(engine, second)
        engine.close()
        fresh = opened(path, streams)
        assert reply(fresh, second).token_ids == after.token_ids
        fresh.close()
        replies.append((first.token_ids, after.token_ids))
    assert len(replies[0][0]) == 12
    assert replies[0] == replies[1]
