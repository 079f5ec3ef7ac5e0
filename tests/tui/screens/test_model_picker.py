"""Choosing a model: from what is on the disk, by a path, and what is told before it is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.server.address import Address, told
from amulet_local.system.process_ids import this_process
from models.fetch import FetchCancelledError, Progress
from models.pull import Pulled
from tests.fake_engine import HOLD, FakeEngine
from tests.tiny_models import write_llama
from tests.tui.running import MODEL, SMALL, Running, chat
from tui.screens.model_picker import ModelPicker
from tui.session.changes import ChosenModel
from tui.session.model_store import ModelStore, StoredModel, list_models, show_prompts
from tui.session.steering import SteeringChoice

MODELS = (
    StoredModel(
        str(MODEL.path), "SmolLM2-135M-Instruct Q4_1", "Needs about 416 MB.", True, faster="q4_0"
    ),
    StoredModel("/models/[b]big.gguf", "[b]Big-70B Q4_K_M", "Needs about 40 GB.", False),
    StoredModel("qwen3-4b", "qwen3-4b Q4_K_M", "Enter fetches it.", True, here=False),
    StoredModel("qwen3-14b", "qwen3-14b Q4_K_M", "It would not fit.", False, here=False),
)


class SlowPull:
    """A fetch that stands at half until it is let go, cancelled, or failed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.error = threading.Event(), error
        self.asked: list[str] = []

    def __call__(
        self, what: str, on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]
    ) -> Pulled:
        self.asked.append(what)
        on_progress(Progress("fetching", 1_000_000, 2_000_000))
        while not self.go.wait(0.005):
            if cancelled():
                raise FetchCancelledError(f"stopped; what was fetched of {what} is kept for later.")
        if self.error:
            raise self.error
        return Pulled(what, Path("/models/fetched.gguf"), 2_000_000, "", True)


def model_store(pull: SlowPull | None = None) -> ModelStore:
    def find(name: str) -> ChosenModel:
        if name == "gone":
            raise NotUsableError("there is no model called gone.")
        return ChosenModel(Path(name), Path(name).stem, "Q4_K_M") if name else MODEL

    def models(options: LoadOptions) -> tuple[StoredModel, ...]:
        return MODELS

    def prompts(path: str, steering: SteeringChoice) -> str:
        return f"<|system|>{steering.preference}"

    return ModelStore(find, lambda: True, models=models, prompts=prompts, pull=pull or SlowPull())


def loaded(running: Running) -> str:
    model = running.session.model
    return str(model.path) if model else ""


async def test_it_lists_what_is_here_with_what_each_takes() -> None:
    async with chat(FakeEngine(), size=SMALL, model_store=model_store()) as running:
        await running.say("/model")
        await running.until("416 MB")
        assert "● SmolLM2-135M-Instruct Q4_1" in running.shown()
        assert "! [b]Big-70B Q4_K_M" in running.shown()


async def test_it_tells_which_model_is_served_to_other_programs() -> None:
    with told(Address("http://127.0.0.1:8017", "tiny", this_process())):
        async with chat(FakeEngine(), model_store=model_store()) as running:
            await running.say("/model")
            await running.until("Models · tiny is served at http://127.0.0.1:8017")


async def test_the_card_shows_what_the_model_sees() -> None:
    async with chat(FakeEngine(), model_store=model_store()) as running:
        await running.say("/model")
        await running.until("<|system|>Your answer should be concise")


async def test_typing_narrows_the_list_and_enter_loads() -> None:
    engine = FakeEngine()
    async with chat(engine, size=SMALL, model_store=model_store()) as running:
        await running.say("/model")
        await running.until("416 MB")
        await running.press(*"big", "enter")
        await running.until("[b]big")
        assert loaded(running) == "/models/[b]big.gguf"
        assert engine.loads[-1][0] == "/models/[b]big.gguf"


async def test_what_is_typed_may_be_a_path() -> None:
    async with chat(FakeEngine(), model_store=model_store()) as running:
        await running.say("/model")
        await running.until("416 MB")
        await running.press(*"/elsewhere", "enter")
        await running.until("elsewhere")
        assert loaded(running) == "/elsewhere"


async def test_a_name_behind_the_command_loads_at_once_and_a_wrong_one_is_told() -> None:
    async with chat(FakeEngine(), model_store=model_store()) as running:
        await running.say("/model /models/other.gguf")
        await running.until("other")
        assert loaded(running) == "/models/other.gguf"
        await running.say("/model gone")
        await running.until("no model called gone")
        assert running.notified[-1] == "there is no model called gone."
        assert loaded(running) == "/models/other.gguf"


async def test_a_reply_under_way_is_not_cut_off() -> None:
    async with chat(FakeEngine(["One", HOLD]), model_store=model_store()) as running:
        await running.say("Hi")
        await running.say("/model /models/other.gguf")
        assert "stop it first" in running.notified[-1]
        assert loaded(running) == str(MODEL.path)


async def test_escape_leaves_it() -> None:
    async with chat(FakeEngine(), model_store=model_store()) as running:
        await running.say("/model")
        assert isinstance(running.app.screen, ModelPicker)
        await running.press("escape")
        assert loaded(running) == str(MODEL.path)


# -- what is not here ---------------------------------------------------------------------------


async def test_what_can_be_fetched_stands_below_what_is_here() -> None:
    async with chat(FakeEngine(), size=SMALL, model_store=model_store()) as running:
        await running.say("/model")
        await running.until("416 MB")
        shown = running.shown()
        here, heading = shown.index("[b]Big-70B"), shown.index("Not here yet; Enter fetches")
        assert here < heading < shown.index("↓ qwen3-4b") < shown.index("! qwen3-14b")
        await running.press("down", "down")
        assert "Enter fetches it." in running.shown()


async def test_enter_fetches_it_while_the_chat_goes_on() -> None:
    pull, engine = SlowPull(), FakeEngine(["Hello."])
    async with chat(engine, size=SMALL, model_store=model_store(pull)) as running:
        await running.say("/model")
        await running.until("416 MB")
        await running.press(*"qwen3-4b", "enter")
        await running.until("↓ qwen3-4b: 1.0 MB of 2.0 MB")
        await running.say("Hi")
        await running.until("Hello.")
        pull.go.set()
        await running.until("Ready: qwen3-4b. ^d moves this chat to it.")
        assert pull.asked == ["qwen3-4b"]
        assert "↓ qwen3-4b" not in running.shown()
        assert loaded(running) == str(MODEL.path)


async def test_a_fetch_is_stopped_and_begun_again_by_command() -> None:
    pull = SlowPull()
    async with chat(FakeEngine(), model_store=model_store(pull)) as running:
        await running.say("/pull hf:org/[b]tiny:Q8_0")
        await running.until("↓ hf:org/[b]tiny:Q8_0: 1.0 MB of 2.0 MB")
        await running.say("/pull other")
        assert "still under way; /pull stop cancels it" in running.notified[-1]
        await running.say("/pull stop")
        await running.until("Stopped; what was fetched of hf:org/[b]tiny:Q8_0 is kept")
        assert running.notified[-1].endswith("tiny:Q8_0 is kept for later.")
        running.app.clear_notifications()  # which hide what comes now
        pull.go.set()
        await running.say("/pull hf:org/[b]tiny:Q8_0")
        await running.until("Ready: hf:org/[b]tiny:Q8_0.")
        assert pull.asked == ["hf:org/[b]tiny:Q8_0"] * 2


async def test_a_fetch_that_fails_is_one_sentence() -> None:
    pull = SlowPull(NotUsableError("qwen3-4b cannot be fetched; check the network."))
    pull.go.set()
    async with chat(FakeEngine(), model_store=model_store(pull)) as running:
        await running.say("/pull qwen3-4b")
        await running.until("Qwen3-4b cannot be fetched; check the network.")


async def test_what_was_fetched_is_loaded_where_no_model_is() -> None:
    pull, engine = SlowPull(), FakeEngine()
    pull.go.set()
    async with chat(engine, model_store=model_store(pull), model="gone") as running:
        await running.say("/pull qwen3-4b")
        await running.until("● ready")
        assert engine.loads[-1][0] == "/models/fetched.gguf"


async def test_one_key_writes_a_model_in_the_type_that_is_faster_here() -> None:
    written: list[tuple[str, str]] = []

    def write(
        path: str,
        type_: str,
        on_progress: Callable[[Progress], object],
        cancelled: Callable[[], bool],
    ) -> Pulled:
        written.append((path, type_))
        on_progress(Progress("writing", 3, 272))
        while not cancelled():
            time.sleep(0.005)
        raise FetchCancelledError("stopped; nothing was written.")

    async with chat(FakeEngine(), model_store=replace(model_store(), write=write)) as running:
        await running.say("/model")
        await running.until("Press ^t to write the Q4_0 copy.")
        await running.press("ctrl+t")
        await running.until(f"↓ {MODEL.path.name} in Q4_0: 3 of 272 tensors")
        assert written == [(str(MODEL.path), "q4_0")]
        await running.say("/model")
        await running.until("416 MB")
        await running.press("down", "ctrl+t")  # nothing is known to be faster for this one
        assert isinstance(running.app.screen, ModelPicker)
        await running.press("escape")
        await running.say("/pull stop")
        await running.until("Stopped; nothing was written.")


async def test_without_a_name_the_command_shows_what_there_is() -> None:
    async with chat(FakeEngine(), model_store=model_store()) as running:
        await running.say("/pull")
        assert isinstance(running.app.screen, ModelPicker)


def test_the_catalogue_is_offered_with_what_each_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.library.free_memory", lambda: 4_000_000_000)
    offered = {model.path: model for model in list_models(LoadOptions()) if not model.here}
    small, large = offered["granite-4.0-350m"], offered["ministral-3-14b"]
    assert small.label == "granite-4.0-350m Q8_0 · 350M · Apache-2.0"
    assert (small.fits, large.fits) == (True, False)
    assert "Enter fetches it (about 380.0 MB, from ibm-granite/granite-4.0-350m" in small.card
    assert "so it would not fit" in large.card
    default = offered["smollm2-135m-instruct"]
    assert "Q4_1" in default.label
    assert "Enter fetches it (92.9 MB)." in default.card


@pytest.mark.model
def test_the_default_model_has_a_card_and_prompts(
    default_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMULET_MODELS", str(default_model.parent))
    models = list_models(LoadOptions())
    mine = next(model for model in models if model.path == str(default_model))
    assert mine.fits
    assert "two streams" in mine.card
    shown = show_prompts(mine.path, SteeringChoice.to_words("Talk like a pirate."))
    base, preference = shown.split("With the preference:")
    assert "pirate" not in base
    assert "Talk like a pirate." in preference
    assert "<|im_start|>" in base


def test_prompts_that_cannot_be_shown_are_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF\x03\x00")
    assert "damaged.gguf" in show_prompts(str(damaged), SteeringChoice())


def test_a_quantisation_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMULET_MODELS", str(tmp_path))
    write_llama(tmp_path / "Tiny.F32.gguf")
    (model,) = (it for it in list_models(LoadOptions()) if str(tmp_path) in it.path)
    assert model.label == "Tiny F32"
