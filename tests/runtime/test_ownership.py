"""What llama.cpp allocated is freed, whatever fails, and nothing is used that was freed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from amulet_local.bench.report import run
from amulet_local.engine import engine
from amulet_local.engine.engine import Engine
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.evaluation.subject import Subject
from amulet_local.generation.sampling import Sampler
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load
from amulet_local.runtime.autotune import autotune
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.errors import DecodeError, NoDeviceMemoryError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.llama.sampler import SamplerChain
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.lockstep import Lockstep
from tests.asking import ask, collect
from tests.checks import some
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

_PAIRS = {
    "llama_model_load_from_file": "llama_model_free",
    "llama_init_from_model": "llama_free",
    "llama_sampler_chain_init": "llama_sampler_free",
}


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many of each kind are allocated, by the function that allocates; freed twice counts."""
    counted: Counter[str] = Counter()

    def count(name: str, made: str, by: int) -> None:
        usual = getattr(llama_cpp, name)

        def call(*arguments: Any) -> Any:
            result = usual(*arguments)
            counted[made] += by if by < 0 or result is not None else 0
            return result

        monkeypatch.setattr(llama_cpp, name, call)

    for make, free in _PAIRS.items():
        count(make, make, 1)
        count(free, make, -1)
    return counted


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    return str(path)


def at_call(number: int, error: Exception, usual: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises in place of its call of this number."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return usual(*arguments, **named)

    return call


LACK = NoDeviceMemoryError("out of memory")


def test_what_is_counted_is_there_while_it_is_used(path: str, alive: Counter[str]) -> None:
    loaded = Engine(Load(path, LoadOptions(context=256)), lambda _: True)
    assert alive == {"llama_model_load_from_file": 1, "llama_init_from_model": 1}
    loaded.close()
    assert not +alive
    assert not -alive


@pytest.mark.parametrize("streams", ["one-context", "two-contexts"])
@pytest.mark.parametrize("draft", ["", "no model", "not there", "another vocabulary"])
@pytest.mark.parametrize("decode", [1, 2, 3, 9])
def test_a_load_that_fails_anywhere_leaves_nothing(
    decode: int,
    draft: str,
    streams: Any,
    path: str,
    tmp_path: Path,
    alive: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first decode of the streams, of the draft model's, or one that measures its steps."""
    other = tmp_path / "draft.gguf"
    if draft == "no model":
        other.write_bytes(b"no model")
    elif draft == "another vocabulary":
        write_llama(other, seed=5)
        monkeypatch.setattr(Vocabulary, "equals", lambda *_: False)
    options = LoadOptions(
        context=256, streams=streams, draft=str(other) if draft else path, gpu_layers=0
    )
    monkeypatch.setattr(Context, "decode", at_call(decode, LACK, Context.decode))
    with pytest.raises((UsageError, NotUsableError, NoDeviceMemoryError)):
        Engine(Load(path, options), lambda _: True)
    assert alive["llama_init_from_model"] == alive["llama_model_load_from_file"] == 0


@pytest.mark.parametrize("name", ["Prompter", "Workspace", "PromptCache"])
def test_what_fails_behind_the_load_leaves_nothing(
    name: str, path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, name, at_call(1, OSError("gone"), getattr(engine, name)))
    with pytest.raises(OSError, match="gone"):
        Engine(Load(path, LoadOptions(context=256, draft=path)), lambda _: True)
    assert not +alive


def test_an_engine_whose_chat_cannot_be_kept_is_freed_all_the_same(
    path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Engine(Load(path, LoadOptions(context=256, draft=path)), lambda _: True)
    monkeypatch.setattr(
        loaded._prompt_cache, "keep", at_call(1, MemoryError(), loaded._prompt_cache.keep)
    )
    with pytest.raises(MemoryError):
        loaded.close()
    assert not +alive


@pytest.mark.parametrize("contexts", [1, 2])
def test_streams_of_which_a_context_cannot_be_made_leave_no_other(
    contexts: int, path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Model(path)) as model:
        monkeypatch.setattr(
            "amulet_local.runtime.streams.Context", at_call(contexts, LACK, Context)
        )
        with pytest.raises(NoDeviceMemoryError):
            Lockstep(model, LoadOptions(context=256, streams="two-contexts"))
        assert alive["llama_init_from_model"] == 0


@pytest.mark.parametrize("added", ["penalties", "dry", "top_k", "temperature", "draw"])
def test_a_sampler_that_cannot_be_made_leaves_no_chain(
    added: str, path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Sampling(repeat_penalty=1.1, dry_multiplier=0.8)
    usual = getattr(SamplerChain, added)
    monkeypatch.setattr(SamplerChain, added, at_call(1, DecodeError("no"), usual))
    with closing(Model(path)) as model, pytest.raises(DecodeError):
        Sampler(settings, 1, model.vocabulary)
    assert alive["llama_sampler_chain_init"] == 0


@pytest.mark.parametrize("act", ["reply", "compare", "examine"])
@pytest.mark.parametrize("decode", [1, 2, 3])
def test_a_request_that_fails_leaves_only_the_engine(
    act: str, decode: int, path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Engine(Load(path, LoadOptions(context=512)), lambda _: True)
    request = ask(
        max_tokens=8,
        sampling=Sampling(repeat_penalty=1.1),
        begun=Message("assistant", "Well then, and so it goes on, " * 2),
    )
    before = +alive
    monkeypatch.setattr(Context, "decode", at_call(decode, DecodeError("no"), Context.decode))
    with suppress(DecodeError):
        if act == "reply":
            collect(loaded, request)
        elif act == "compare":
            loaded.compare([request, request], lambda _: None)
        else:
            loaded.examine(request, (1.0,), lambda _: None)
    assert +alive == before
    loaded.close()
    assert not +alive


@pytest.mark.parametrize("decode", [1, 5, 40])
def test_what_measures_frees_what_it_took(
    decode: int, path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "decode", at_call(decode, DecodeError("no"), Context.decode))
    with pytest.raises(DecodeError):
        autotune(path, LoadOptions(threads=1), lambda _: None, repeat=2)
    assert not +alive
    monkeypatch.setattr(Context, "decode", at_call(decode, DecodeError("no"), Context.decode))
    with pytest.raises(DecodeError):
        run(
            path,
            LoadOptions(context=2560, threads=1),
            lambda _: None,
            draft=path,
            tokens=4,
            repeat=1,
        )
    assert not +alive


def test_a_subject_without_a_prompter_is_freed(
    path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "amulet_local.evaluation.subject.Prompter", at_call(1, NotUsableError("no"), Subject)
    )
    with pytest.raises(NotUsableError):
        Subject(path, LoadOptions())
    assert not +alive


# -- a context that grows -------------------------------------------------------------------------


@pytest.fixture
def context(path: str) -> Iterator[Context]:
    with closing(Model(path)) as model, closing(Context(model, length=256, sequences=2)) as made:
        yield made


def fill(context: Context) -> None:
    batch = Batch(8)
    for sequence in range(2):
        batch.add([1, 2, 3 + sequence], 0, sequence, outputs=0)
    context.decode(batch)


def after(context: Context) -> np.ndarray[Any, Any]:
    batch = Batch(8)
    for sequence in range(2):
        batch.add([9], 3, sequence, outputs=1)
    context.decode(batch)
    return np.array(context.logits(2))


@pytest.mark.parametrize("error", [LACK, UsageError("no context")])
def test_a_context_that_cannot_grow_is_as_it_was(
    error: Exception, context: Context, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(context)
    monkeypatch.setattr(context, "_make", at_call(1, error, context._make))
    with pytest.raises(UsageError):
        context.grow(1024)
    assert context.length == 256
    held = [context.state(sequence) for sequence in range(2)]
    assert all(held)
    assert after(context).shape[0] == 2
    assert alive["llama_init_from_model"] == 0  # one freed, one made


@pytest.mark.parametrize("error", [LACK, UsageError("no context")])
def test_a_context_that_is_lost_says_so_whatever_is_asked_of_it(
    error: Exception, context: Context, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(context)

    def refused(_length: int) -> None:
        raise error

    monkeypatch.setattr(context, "_make", refused)
    with pytest.raises(NoDeviceMemoryError):
        context.grow(1024)
    assert alive["llama_init_from_model"] == -1  # freed once
    asked: list[Callable[[], object]] = [
        lambda: context.length,
        lambda: context.rows,
        lambda: context.state(0),
        lambda: context.restore(0, b"x"),
        lambda: context.remove(0, 0),
        lambda: context.copy(0, 1, 1),
        lambda: context.first_position(0),
        lambda: context.logits(1),
        lambda: context.grow(512),
        lambda: fill(context),
    ]
    for question in some(asked):
        with pytest.raises(NoDeviceMemoryError):
            question()
    context.abort()
    context.resume()
    context.close()
    assert alive["llama_init_from_model"] == -1


def test_streams_whose_context_is_lost_tell_of_the_memory(
    path: str, alive: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Model(path)) as model:
        streams = Lockstep(model, LoadOptions(context=1024, streams="one-context"))

        def refused(_length: int) -> None:
            raise LACK

        (only,) = streams._contexts
        monkeypatch.setattr(only, "_make", refused)
        with pytest.raises(NoDeviceMemoryError):
            streams.prefill({0: list(range(800)), 1: list(range(100, 900))})
        streams.close()
    assert not +alive
    assert not -alive
