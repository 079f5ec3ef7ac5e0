"""Model files that something is wrong with: looked into, listed, and loaded where they pass."""

from __future__ import annotations

import queue
from functools import cache
from pathlib import Path
from random import Random

import msgspec
import psutil

from amulet_local.engine.client import EngineProcess
from amulet_local.errors import NotUsableError
from amulet_local.path_text import as_text
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Event, Failed, Finished, Load, Loaded, Reply
from models.cards import require_chat_model
from models.inspection import inspect
from models.library import listing
from models.memory import needs_of
from models.preview import preview
from tests.tiny_models import write_llama
from tests.torture.mutations import broken_bytes, contradiction, original
from tests.torture.part import Part

_LONGEST = 400  # characters of a sentence, beside the path
_OPTIONS = LoadOptions(context=256, gpu_layers=0, threads=1)
_PATIENCE_S = 60.0
_MOST_MEMORY = 1 << 30


def _look(random: Random, folder: Path) -> str:
    """A header is read, or refused in a sentence; what it says can be sent to the engine."""
    path = folder / "model.gguf"
    path.write_bytes(random.choice([broken_bytes, contradiction])(random))
    try:
        inspect(path, compare_tokens=False)
        card = inspect(path)
        require_chat_model(card)
    except NotUsableError as error:
        _check_sentence(str(error), path)
        return "refused"
    assert msgspec.msgpack.encode(card, enc_hook=as_text)
    assert msgspec.msgpack.encode(Load(str(path), _OPTIONS, needs_of(str(path), LoadOptions())))
    return "passed"


def _list(random: Random, folder: Path) -> str:
    """A good model is listed, whatever lies beside it, and prompts are shown of each that is."""
    good = folder / "good.gguf"
    good.write_bytes(original(write_llama))
    for number in range(8):
        data = random.choice([broken_bytes, contradiction])(random)
        (folder / f"{number}.gguf").write_bytes(data)
    found = listing([folder])
    assert good in [path for model in found.models for path in (model.path, *model.copies)]
    assert (
        len(found.models) + len(found.left_out) + sum(len(model.copies) for model in found.models)
        == 9
    )
    for model in found.models:
        try:
            preview(model.path, "a", "b")
        except NotUsableError as error:
            _check_sentence(str(error), model.path)
    return "listed"


def _check_sentence(sentence: str, path: Path) -> None:
    assert len(sentence) < _LONGEST + 2 * len(str(path)), sentence
    assert "\n" not in sentence, sentence


# -- loading --------------------------------------------------------------------------------------


@cache
def _engine() -> EngineProcess:
    return EngineProcess(needs_of)


def _load(random: Random, folder: Path) -> str:
    """A file that passes is loaded and asked for two tokens by an engine, which may refuse it, and
    may die over it, but tells so; it takes no memory without end."""
    path = folder / "model.gguf"
    path.write_bytes(contradiction(random))
    try:
        require_chat_model(inspect(path))
    except NotUsableError:
        return "refused"
    engine = _engine()
    engine.load(str(path), _OPTIONS)
    event = _wait(engine, Loaded, Failed)
    if isinstance(event, Loaded):
        request = Reply(
            id=1,
            messages=(Message("user", "Hi"),),
            seed=1,
            system="Be good.",
            alignment=Alignment(preference="Be brief."),
            max_tokens=2,
        )
        engine.reply(request)
        event = _wait(engine, Finished, Failed)
    if isinstance(event, Died):
        engine.close()
        _engine.cache_clear()
        return f"died: {event.text.replace(str(path), 'FILE')}"
    if isinstance(event, Failed):
        _check_sentence(event.text, path)
        return "refused by llama.cpp" if event.id is None else "failed while it wrote"
    return "wrote"


def _wait(engine: EngineProcess, *kinds: type[Event]) -> Event:
    assert engine.pid is not None
    process = psutil.Process(engine.pid)
    while True:
        try:
            event = engine.events.get(timeout=_PATIENCE_S)
        except queue.Empty:
            engine.kill()
            raise AssertionError("the engine hangs") from None
        if isinstance(event, Died):
            return event
        if isinstance(event, kinds):
            taken = process.memory_info().rss
            assert taken < _MOST_MEMORY, f"the engine takes {taken:,} bytes"
            return event


PARTS = [
    Part("headers", _look, quick=25, full=10_000),
    Part("lists", _list, quick=3, full=300),
    Part("loads", _load, quick=0, full=10_000, limit_s=120.0),
]
