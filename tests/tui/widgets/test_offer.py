"""No model: why, what one key does about it, and how far that is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.protocol.messages import Failed
from models.fetch import FetchCancelledError, Progress
from tests.fake_engine import LOADING, FakeEngine
from tests.tui.running import MODEL, SMALL, Running, chat, store_with
from tui.session.model_store import ModelStore, StoredModel, find_model, has_default


class SlowFetch:
    """A fetch that stands at half until it is let go, cancelled, or failed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.error = error
        self.started = threading.Event()
        self.cancelled = threading.Event()

    def __call__(
        self, on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]
    ) -> Path:
        on_progress(Progress("fetching", 50, 100))
        self.started.set()
        while not self.go.wait(0.005):
            if cancelled():
                self.cancelled.set()
                raise FetchCancelledError("stopped; no part of it was kept.")
        if self.error:
            raise self.error
        return MODEL.path


async def begin_fetch(running: Running, fetch: SlowFetch) -> None:
    await running.press("ctrl+d")
    fetch.started.wait(5)
    await running.settle()


async def test_without_a_model_the_default_is_offered_for_one_key() -> None:
    async with chat(FakeEngine(), size=SMALL, model_store=store_with(None)) as running:
        shown = running.shown()
        assert "The model small is not here yet; fetch it." in shown
        assert "^d  fetch the default model (92.9 MB, Apache-2.0)" in shown
        assert "^d Model" in shown
        assert "○ no model" in shown
        assert "^q Quit" in shown
        assert running.prompt.has_focus


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([], "any GGUF file by its path; no models were found here"),
        (["Tiny Q8_0"], "the one model found here (Tiny Q8_0), or any GGUF file by its path"),
        (
            ["A", "B", "C", "D"],
            "from 4 models found here (A, B, C, …), or any GGUF file by its path",
        ),
    ],
)
async def test_models_found_on_this_disk_are_named(labels: list[str], told: str) -> None:
    others = [StoredModel(f"/models/{label}.gguf", label, "", True) for label in labels]
    others += [StoredModel("fetchable", "fetchable", "", True, here=False)] * 14
    async with chat(
        FakeEngine(), size=SMALL, model_store=store_with(None, others=others)
    ) as running:
        await running.settle()
        words = " ".join(running.shown().replace("▌", "").split())
        assert f"/model choose {told}" in words


async def test_the_key_fetches_it_with_progress_loads_it_and_sends_what_waits() -> None:
    fetch, engine = SlowFetch(), FakeEngine(["Hello."])
    async with chat(engine, size=SMALL, model_store=store_with(None, fetch)) as running:
        await running.say("Hi")
        await begin_fetch(running, fetch)
        assert "50%" in running.shown()
        assert "esc Stop" in running.shown()
        fetch.go.set()
        await running.until("Hello.")
        assert "^d" not in running.shown()
        assert "esc Stop" not in running.shown()
        assert engine.loads[0][0] == str(MODEL.path)
        assert running.prompt.has_focus


async def test_a_fetch_can_be_stopped_and_begun_again() -> None:
    fetch = SlowFetch()
    async with chat(FakeEngine(), model_store=store_with(None, fetch)) as running:
        await begin_fetch(running, fetch)
        await running.press("escape")
        await running.until("Stopped; no part of it was kept.")
        assert fetch.cancelled.is_set()
        assert "^d  fetch the default model" in running.shown()
        assert "^d Model" in running.shown()
        fetch.go.set()
        await begin_fetch(running, fetch)
        await running.until("● ready")


async def test_a_fetch_that_fails_says_why_and_offers_again() -> None:
    fetch = SlowFetch(NotUsableError("the package index cannot be reached; check the network."))
    fetch.go.set()
    async with chat(FakeEngine(), model_store=store_with(None, fetch)) as running:
        await running.press("ctrl+d")
        await running.until("The package index cannot be reached; check the network.")
        assert "^d  fetch" in running.shown()


async def test_quitting_stops_a_fetch() -> None:
    fetch = SlowFetch()
    async with chat(FakeEngine(), model_store=store_with(None, fetch)) as running:
        await begin_fetch(running, fetch)
        running.app.exit()
    assert fetch.cancelled.wait(5)


async def test_a_bad_path_is_one_sentence_and_the_default_is_a_key_away(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("not a model")
    engine = FakeEngine()
    model_store = ModelStore(find_model, lambda: True, SlowFetch())
    async with chat(engine, size=SMALL, model_store=model_store, model=str(path)) as running:
        shown = "".join(running.shown().replace("▌", "").split())
        assert "".join(str(path).split()) in shown
        assert "^d  load the default model, smollm2-135m-instruct" in running.shown()
        assert not engine.loads
        await running.press("h", "i")
        assert running.prompt.text == "hi"


async def test_a_model_that_cannot_be_loaded_is_told_of_in_the_same_place() -> None:
    engine = FakeEngine(loading=(Failed("the model needs more memory than there is.", 3),))
    async with chat(engine) as running:
        assert "The model needs more memory than there is." in running.shown()
        assert "^d Model" in running.shown()


async def test_a_model_that_could_not_be_loaded_is_loaded_by_the_next_message() -> None:
    engine = FakeEngine(["Hello."], loading=(Failed("the engine has too little memory.", 4),))
    async with chat(engine) as running:
        assert f"Your next message will try {MODEL.name} again." in running.words()
        engine.loading = LOADING
        await running.say("Hi")
        await running.until("Hello.")
        assert "^d" not in running.shown()
        assert "too little memory" not in running.shown()


async def test_what_fails_while_the_default_is_fetched_leaves_that_on_the_screen() -> None:
    fetch = SlowFetch()
    engine = FakeEngine(["Hello."], loading=(Failed("the engine has too little memory.", 4),))
    async with chat(engine, model_store=store_with(MODEL, fetch)) as running:
        await begin_fetch(running, fetch)
        await running.say("Hi")
        await running.until("Your next message will try")
        assert "50%" in running.shown()
        engine.loading = LOADING
        fetch.go.set()
        await running.until("Hello.")


async def test_ctrl_d_does_nothing_while_nothing_is_offered() -> None:
    async with chat(FakeEngine()) as running:
        running.prompt.insert("abc")
        running.prompt.move_cursor((0, 0))
        await running.press("ctrl+d")
        assert running.prompt.text == "bc"  # as everywhere in a line that is being edited


@pytest.mark.model
def test_a_model_is_shown_without_its_quantisation_in_the_name(default_model: Path) -> None:
    found = find_model(str(default_model))
    assert (found.name, found.quantisation) == ("SmolLM2-135M-Instruct", "Q4_1")
    assert not has_default()  # in the home of this test


def test_a_first_run_is_told_in_the_words_of_the_app() -> None:
    with pytest.raises(NotUsableError, match=r"^no model has been chosen yet\.$"):
        find_model("")
    with pytest.raises(NotUsableError, match="amulet models pull"):
        find_model("qwen3.5-4b")
