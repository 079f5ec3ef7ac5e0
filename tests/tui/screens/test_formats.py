"""Another format of a model: measured by a key in the list, told with both numbers, and written by
a key where it is worth it, while the chat goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from models import format_trial
from models.fetch import FetchCancelledError, Progress
from models.format_trial import Trial, Tried
from models.inspection import inspect
from models.pull import Pulled
from models.quantisation import quantise
from tests.fake_engine import FakeEngine
from tests.tiny_models import write_llama
from tests.tui.running import MODEL, SMALL, chat
from tests.tui.screens.test_model_picker import loaded, model_store
from tui.screens.model_picker import ModelPicker
from tui.session.model_store import (
    ModelStore,
    StoredModel,
    list_models,
    news_of_formats,
    try_formats,
    write_model,
)

SOURCE = "/models/small.F16.gguf"
OPTIONS = LoadOptions()
WORTH_IT = Trial("Q4_1", SOURCE, "", (Tried("q4_0", 1.34, 1.004, 0.003),))
TOO_DEAR = Trial("Q4_1", SOURCE, "", (Tried("q4_0", 1.07, 1.129, 0.069),))
OFFERED = (
    "Measured here, a Q4_0 copy is 1.34 times as fast as Q4_1 at 0.4% (± 0.3) more perplexity, "
    "made from small.F16.gguf. ^d writes it."
)
Watch = Callable[[Progress], object]


class SlowTrial:
    """A trial that stands at half until it is let go or cancelled."""

    def __init__(self, trial: Trial, error: Exception | None = None) -> None:
        self.go, self.trial, self.error = threading.Event(), trial, error
        self.asked: list[str] = []

    def __call__(
        self, path: str, options: LoadOptions, on_progress: Watch, cancelled: Callable[[], bool]
    ) -> Trial:
        self.asked.append(path)
        on_progress(Progress("measuring", 17, 34, "q4_0"))
        while not self.go.wait(0.005):
            if cancelled():
                raise FetchCancelledError("stopped; no other format of small.gguf was measured.")
        if self.error:
            raise self.error
        return self.trial


def store(trial: SlowTrial | None = None, news: Trial | None = None) -> ModelStore:
    """One model, of which another format may be faster; what is written; what was measured."""

    def write(path: str, type_: str, watch: Watch, cancelled: Callable[[], bool]) -> Pulled:
        return Pulled(f"{path} in {type_}", Path("/models/small.Q4_0.gguf"), 9, "", fetched=False)

    told = "A copy in Q4_0 may be faster than Q4_1."
    models = (
        StoredModel(str(MODEL.path), "small Q4_1", "", True, formats=told, unmeasured=True),
        StoredModel("/models/other.gguf", "other Q4_K_M", "Nothing to gain.", True),
    )
    return replace(
        model_store(),
        models=lambda _: models,
        write=write,
        try_formats=trial or SlowTrial(WORTH_IT),
        news_of_formats=lambda *_: news,
    )


async def test_a_key_in_the_list_measures_while_the_chat_goes_on() -> None:
    trial = SlowTrial(WORTH_IT)
    engine = FakeEngine(["Hello."])
    async with chat(engine, size=SMALL, model_store=store(trial)) as running:
        await running.say("/model")
        await running.until("Press ^t")
        await running.press("ctrl+t")
        await running.until("↓ other formats: Q4_0 measured 50% · /pull stop cancels")
        await running.say("Hi")
        await running.until("Hello.")
        trial.go.set()
        await running.until(OFFERED)
        assert trial.asked == [str(MODEL.path)]
        assert "^d Model" in running.shown()
        await running.press("ctrl+d")
        await running.until(f"Ready: {SOURCE} in q4_0. ^d moves this chat to it.")
        await running.press("ctrl+d")
        await running.until("small.Q4_0")
        assert loaded(running) == "/models/small.Q4_0.gguf"


async def test_what_is_not_worth_it_is_told_without_a_key() -> None:
    trial = SlowTrial(TOO_DEAR)
    trial.go.set()
    async with chat(FakeEngine(), model_store=store(trial)) as running:
        await running.say("/model")
        await running.until("Press ^t")
        await running.press("ctrl+t")
        await running.until("1.07 times as fast at 12.9% (± 6.9) more perplexity: not worth it.")
        assert "^d" not in running.words().split("not worth it.")[1]


async def test_nothing_is_measured_where_nothing_is_to_gain() -> None:
    trial = SlowTrial(WORTH_IT)
    async with chat(FakeEngine(), model_store=store(trial)) as running:
        await running.say("/model")
        await running.until("may be faster than Q4_1")
        await running.press("down", "ctrl+t")
        assert isinstance(running.app.screen, ModelPicker)
        assert "Press" not in running.shown()
        assert trial.asked == []


async def test_a_trial_is_cancelled_by_command() -> None:
    async with chat(FakeEngine(), model_store=store()) as running:
        await running.say("/model")
        await running.until("Press ^t")
        await running.press("ctrl+t")
        await running.until("Q4_0 measured 50%")
        await running.say("/pull stop")
        await running.until("Stopped; no other format of small.gguf was measured.")
        assert "measured 50%" not in running.shown()


async def test_a_trial_that_fails_is_one_sentence() -> None:
    trial = SlowTrial(WORTH_IT, NotUsableError("there is no memory for it; close programs."))
    trial.go.set()
    async with chat(FakeEngine(), model_store=store(trial)) as running:
        await running.say("/model")
        await running.until("Press ^t")
        await running.press("ctrl+t")
        await running.until("There is no memory for it; close programs.")


async def test_what_was_measured_elsewhere_is_offered_when_the_model_is_loaded() -> None:
    async with chat(FakeEngine(), size=SMALL, model_store=store(news=WORTH_IT)) as running:
        await running.until(OFFERED)
        assert "^d Model" in running.shown()
        await running.press("ctrl+d")
        await running.until(f"Ready: {SOURCE} in q4_0.")


# -- the store itself -----------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMULET_MODELS", str(tmp_path))
    path = tmp_path / "Tiny.F32.gguf"
    write_llama(path)
    return path


def kept(path: Path, speed: float) -> Trial:
    trial = Trial("F32", str(path), "", (Tried("q8_0", speed, 1.0, 0.0),))
    format_trial.keep(path, OPTIONS, trial)
    return trial


def listed(path: Path) -> StoredModel:
    return next(it for it in list_models(OPTIONS) if it.path == str(path))


def test_the_list_tells_the_rule_of_thumb_then_what_was_measured(tiny: Path) -> None:
    assert "may be faster than F32." in listed(tiny).formats
    assert (listed(tiny).unmeasured, listed(tiny).faster) == (True, "")
    trial = kept(tiny, 1.5)
    assert trial.sentence in listed(tiny).formats
    assert (listed(tiny).unmeasured, listed(tiny).faster) == (False, "q8_0")
    quantise(tiny, "q8_0", lambda *_: None)
    assert listed(tiny).faster == ""
    dear = kept(tiny, 1.1)
    assert dear.sentence in listed(tiny).formats
    assert (listed(tiny).unmeasured, listed(tiny).faster) == (False, "")


def test_news_are_told_once_and_only_of_what_is_worth_it_and_not_here(tiny: Path) -> None:
    assert news_of_formats(str(tiny), OPTIONS) is None
    kept(tiny, 1.1)
    assert news_of_formats(str(tiny), OPTIONS) is None
    trial = kept(tiny, 1.5)
    assert news_of_formats(str(tiny), OPTIONS) == trial
    assert news_of_formats(str(tiny), OPTIONS) is None
    kept(tiny, 1.5)
    quantise(tiny, "q8_0", lambda *_: None)
    assert news_of_formats(str(tiny), OPTIONS) is None


@pytest.mark.slow
@pytest.mark.model
def test_a_copy_is_written_from_the_most_precise_file_or_found(tiny: Path) -> None:
    rounded = quantise(tiny, "q4_1", lambda *_: None)
    seen: list[Progress] = []
    copy = write_model(str(rounded), "q8_0", seen.append, lambda: False)
    assert (copy.name, inspect(copy.path).quantisation) == ("Tiny.Q8_0", "Q8_0")
    assert seen[-1].stage == "writing"
    before = copy.path.stat().st_mtime_ns
    assert write_model(str(rounded), "q8_0", seen.append, lambda: False) == copy
    assert copy.path.stat().st_mtime_ns == before
    from_f32 = copy.path.read_bytes()
    copy.path.unlink()
    quantise(tiny, "q8_0", lambda *_: None)
    assert copy.path.read_bytes() == from_f32


def test_a_model_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match=r"gone\.gguf"):
        try_formats(str(tmp_path / "gone.gguf"), OPTIONS, lambda _: None, lambda: False)
