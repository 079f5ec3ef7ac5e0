"""Choosing a model: from what is on the disk, by a path, and what is told before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.protocol import LoadOptions
from tests.fake_engine import HOLD, FakeEngine
from tests.tiny_models import write_llama
from tests.tui.running import LARGE, MODEL, SMALL, Running, chat
from tui.changes import ChosenModel, Steering
from tui.screens.model_picker import ModelPicker
from tui.shelf import Shelf, ShelfModel, list_models, show_prompts

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE])
MODELS = (
    ShelfModel(str(MODEL.path), "SmolLM2-135M-Instruct Q4_1", "Takes about 416 MB.", True),
    ShelfModel("/models/[b]big.gguf", "[b]Big-70B Q4_K_M", "Takes about 40 GB.", False),
)


def shelf() -> Shelf:
    def find(name: str) -> ChosenModel:
        if name == "gone":
            raise NotUsableError("no model is called gone.")
        return ChosenModel(Path(name), Path(name).stem, "Q4_K_M") if name else MODEL

    def models(options: LoadOptions) -> tuple[ShelfModel, ...]:
        return MODELS

    def prompts(path: str, steering: Steering) -> str:
        return f"<|system|>{steering.preference}"

    return Shelf(find, lambda: True, models=models, prompts=prompts)


def loaded(running: Running) -> str:
    model = running.session.model
    return str(model.path) if model else ""


@SIZES
async def test_it_lists_what_is_here_with_what_each_takes(size: tuple[int, int]) -> None:
    async with chat(FakeEngine(), size=size, shelf=shelf()) as running:
        await running.say("/model")
        await running.until("416 MB")
        assert "● SmolLM2-135M-Instruct Q4_1" in running.shown()
        assert "! [b]Big-70B Q4_K_M" in running.shown()


async def test_the_card_shows_what_the_model_sees() -> None:
    async with chat(FakeEngine(), shelf=shelf()) as running:
        await running.say("/model")
        await running.until("<|system|>Your answer should be concise")


@SIZES
async def test_typing_narrows_the_list_and_enter_loads(size: tuple[int, int]) -> None:
    engine = FakeEngine()
    async with chat(engine, size=size, shelf=shelf()) as running:
        await running.say("/model")
        await running.until("416 MB")
        await running.press(*"big", "enter")
        await running.until("[b]big")
        assert loaded(running) == "/models/[b]big.gguf"
        assert engine.loads[-1][0] == "/models/[b]big.gguf"


async def test_what_is_typed_may_be_a_path() -> None:
    async with chat(FakeEngine(), shelf=shelf()) as running:
        await running.say("/model")
        await running.until("416 MB")
        await running.press(*"/elsewhere", "enter")
        await running.until("elsewhere")
        assert loaded(running) == "/elsewhere"


async def test_a_name_behind_the_command_loads_at_once_and_a_wrong_one_is_told() -> None:
    async with chat(FakeEngine(), shelf=shelf()) as running:
        await running.say("/model /models/other.gguf")
        await running.until("other")
        assert loaded(running) == "/models/other.gguf"
        await running.say("/model gone")
        for _ in range(100):
            await running.settle()
            if running.notified:
                break
        assert running.notified[-1] == "no model is called gone."
        assert loaded(running) == "/models/other.gguf"


async def test_a_reply_under_way_is_not_cut_off() -> None:
    async with chat(FakeEngine(["One", HOLD]), shelf=shelf()) as running:
        await running.say("Hi")
        await running.say("/model /models/other.gguf")
        assert "stop it first" in running.notified[-1]
        assert loaded(running) == str(MODEL.path)


async def test_escape_leaves_it() -> None:
    async with chat(FakeEngine(), shelf=shelf()) as running:
        await running.say("/model")
        assert isinstance(running.app.screen, ModelPicker)
        await running.press("escape")
        assert loaded(running) == str(MODEL.path)


@pytest.mark.model
def test_the_default_model_has_a_card_and_prompts(
    default_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMULET_MODELS", str(default_model.parent))
    models = list_models(LoadOptions())
    mine = next(model for model in models if model.path == str(default_model))
    assert mine.fits
    assert "two streams" in mine.card
    shown = show_prompts(mine.path, Steering.to_words("Talk like a pirate."))
    base, preference = shown.split("With it:")
    assert "pirate" not in base
    assert "Talk like a pirate." in preference
    assert "<|im_start|>" in base


def test_prompts_that_cannot_be_shown_are_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF\x03\x00")
    assert "damaged.gguf" in show_prompts(str(damaged), Steering())


def test_a_quantisation_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMULET_MODELS", str(tmp_path))
    write_llama(tmp_path / "Tiny.F32.gguf")
    (model,) = (it for it in list_models(LoadOptions()) if str(tmp_path) in it.path)
    assert model.label == "Tiny F32"
