"""A first run: the starter answers, the better model is named and fetched meanwhile, and one key
moves the chat to it; whatever is in the way is a sentence, and the starter goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Failed
from models import catalogue
from models.fetch import Progress
from models.pull import Pulled
from models.suggestion import Suggestion
from tests.fake_engine import HOLD, LOADING, FakeEngine
from tests.tui.running import BETTER, SMALL, Running, chat, store_with
from tests.tui.screens.test_model_picker import SlowPull, loaded
from tui.session.better_model import last_model, remember
from tui.session.changes import ChosenModel
from tui.session.model_store import ModelStore, StoredModel
from tui.widgets.fetching import Progressed

STARTER = ChosenModel(Path("/models") / catalogue.default().file, "SmolLM2-135M-Instruct", "Q4_1")
REPLY = ["Well, "] * 12
FETCHED = "/models/fetched.gguf"


def first_run(
    pull: SlowPull | None = None,
    suggestion: Suggestion = Suggestion(BETTER, 7.6),  # noqa: B008 - frozen
    others: tuple[StoredModel, ...] = (),
) -> tuple[ModelStore, list[float]]:
    """A machine with the starter alone, and the speeds that a better model was asked for with."""
    speeds: list[float] = []

    def find(name: str) -> ChosenModel:
        return ChosenModel(Path(name), "Better-3B", "Q4_K_M") if name else STARTER

    def suggest(options: LoadOptions, steps_per_s: float) -> Suggestion:
        speeds.append(steps_per_s)
        return suggestion

    starter = StoredModel(str(STARTER.path), "SmolLM2-135M-Instruct Q4_1", "", True)
    return (
        replace(
            store_with(STARTER, others=(starter, *others)),
            find=find,
            suggest=suggest,
            pull=pull or SlowPull(),
        ),
        speeds,
    )


async def to_the_offer(running: Running) -> None:
    await running.say("Hi")
    await running.until("fetches it while")


async def test_from_the_offer_to_a_chat_with_the_better_model() -> None:
    pull, engine = SlowPull(), FakeEngine(REPLY, ["Still me."], ["Hello from 3B."])
    store, speeds = first_run(pull)
    async with chat(engine, size=SMALL, model_store=store) as running:
        assert "^d" not in running.shown()
        await to_the_offer(running)
        assert speeds == [25.0]
        assert (
            "A better model for this machine: ministral-3-3b (2.1 GB, about 8 tokens a second). "
            "^d fetches it while you chat."
        ) in running.words()
        assert "^d Model" in running.shown()
        await running.press("ctrl+d")
        await running.until("↓ ministral-3-3b: 1.0 MB of 2.0 MB")
        assert "^d Model" not in running.shown()
        await running.say("And now?")
        await running.until("Still me.")
        assert loaded(running) == str(STARTER.path)
        pull.go.set()
        await running.until("^d moves this chat to it.")
        assert loaded(running) == str(STARTER.path)  # never by itself
        await running.press("ctrl+d")
        await running.until("This chat now uses Better-3B; so will new ones.")
        assert loaded(running) == FETCHED
        assert "^d measures how firmly Better-3B can be led" in running.words()
        await running.say("Who are you?")
        await running.until("Hello from 3B.")
        assert len(running.said) == 6
        assert pull.asked == ["ministral-3-3b"]


async def test_it_is_named_once_and_not_before_the_starter_has_answered() -> None:
    engine = FakeEngine(["Short."], REPLY, REPLY)
    store, speeds = first_run()
    async with chat(engine, model_store=store) as running:
        await running.say("Hi")  # a reply too short to tell a speed by
        await running.workers_done()
        assert not speeds
        await to_the_offer(running)
        await running.say("Again")
        await running.workers_done()
        assert len(speeds) == 1


@pytest.mark.parametrize(
    ("model", "others"),
    [
        ("default", ()),  # the user's own choice
        ("", (StoredModel("/models/own.gguf", "Own Q8_0", "", True),)),
    ],
)
async def test_who_has_chosen_or_has_other_models_is_not_asked(
    model: str, others: tuple[StoredModel, ...]
) -> None:
    store, speeds = first_run(others=others)
    store = replace(store, find=lambda name: STARTER)
    async with chat(FakeEngine(REPLY), model_store=store, model=model) as running:
        await running.say("Hi")
        await running.workers_done()
        await running.settle()
        assert not speeds
        assert "^d" not in running.shown()


async def test_a_model_that_is_not_offered_is_not_asked_about_either() -> None:
    store, speeds = first_run()
    async with chat(FakeEngine(REPLY), model_store=replace(store, find=store_with().find)) as run:
        await run.say("Hi")
        await run.workers_done()
        assert not speeds


@pytest.mark.parametrize(
    "error",
    [
        NotUsableError("ministral-3-3b cannot be fetched (no route); check the network."),
        UsageError("fetching ministral-3-3b needs 2,147 MB in /m, but only 40 MB are free there."),
    ],
)
async def test_a_fetch_that_fails_says_why_and_the_key_goes_on_with_it(error: Exception) -> None:
    pull, engine = SlowPull(error), FakeEngine(REPLY)
    store, _ = first_run(pull)
    pull.go.set()
    async with chat(engine, size=SMALL, model_store=store) as running:
        await to_the_offer(running)
        await running.press("ctrl+d")
        await running.until("^d tries again.")
        assert str(error)[1:40] in running.words()
        assert running.session.status.activity.value == "ready"
        pull.error = None
        await running.press("ctrl+d")
        await running.until("moves this chat")
        assert pull.asked == ["ministral-3-3b"] * 2


async def test_a_stopped_fetch_is_offered_again() -> None:
    pull = SlowPull()
    store, _ = first_run(pull)
    async with chat(FakeEngine(REPLY), model_store=store) as running:
        await to_the_offer(running)
        await running.press("ctrl+d")
        await running.until("1.0 MB")
        await running.say("/pull stop")
        await running.until("is kept for later. ^d tries again.")
        await running.press("ctrl+d")
        await running.until("1.0 MB")


async def test_a_fetch_that_is_being_stopped_says_so_whatever_still_comes() -> None:
    pulled = Pulled("large", Path(FETCHED), 2_000_000, "", fetched=True)
    half = Progressed(Progress("fetching", 1_000_000, 2_000_000))
    async with chat(FakeEngine()) as running:
        line = running.screen.fetching
        with patch.object(line, "_work"):  # it does not hear of its end
            line.begin("large", lambda on_progress, cancelled: pulled)
        line.post_message(half)
        await running.settle()
        assert "large: 1.0 MB of 2.0 MB · /pull stop cancels" in running.shown()
        await running.say("/pull stop")
        line.post_message(half)
        await running.settle()
        assert "large: stopping" in running.shown()
        assert "/pull stop cancels" not in running.shown()


async def test_where_nothing_better_fits_it_says_so_and_the_starter_goes_on() -> None:
    obstacle = "No larger model fits: the smallest needs 800.0 MB of memory."
    store, _ = first_run(suggestion=Suggestion(None, obstacle=obstacle))
    async with chat(FakeEngine(REPLY, REPLY), model_store=store) as running:
        await running.say("Hi")
        await running.until(obstacle)
        assert "^d" not in running.shown()
    async with chat(FakeEngine(REPLY), model_store=store) as running:  # by now that is no news
        await running.say("Hi")
        await running.workers_done()
        await running.settle()
        assert obstacle not in running.shown()


async def typed_before_the_key(running: Running) -> None:
    await running.say("More")
    await running.press("ctrl+d")


async def overtakes_the_key(running: Running) -> None:
    running.screen.action_fetch()  # the model is looked for on a thread
    running.session.ask("More")


@pytest.mark.parametrize("asked", [typed_before_the_key, overtakes_the_key])
async def test_the_key_waits_for_the_end_of_a_reply(
    asked: Callable[[Running], Awaitable[None]],
) -> None:
    pull, engine = SlowPull(), FakeEngine(REPLY, ["More ", HOLD])
    store, _ = first_run(pull)
    async with chat(engine, model_store=store) as running:
        await to_the_offer(running)
        pull.go.set()
        await running.press("ctrl+d")
        await running.until("moves this chat")
        await asked(running)
        await running.until("A reply is being written; stop it first.")
        assert loaded(running) == str(STARTER.path)
        await running.press("escape")
        await running.until("stopped")
        assert "This chat now uses" not in running.shown()
        await running.press("ctrl+d")
        await running.until("This chat now uses Better-3B")


async def test_within_a_line_the_key_deletes_as_ever() -> None:
    pull = SlowPull()
    store, _ = first_run(pull)
    async with chat(FakeEngine(REPLY), model_store=store) as running:
        await to_the_offer(running)
        running.prompt.insert("abc")
        running.prompt.move_cursor((0, 0))
        await running.press("ctrl+d")
        assert running.prompt.text == "bc"
        assert not pull.asked
        await running.press("end", "ctrl+d")
        await running.until("1.0 MB")
        assert running.prompt.text == "bc"


async def test_a_model_that_cannot_be_loaded_leads_back_to_the_starter() -> None:
    pull, engine = SlowPull(), FakeEngine(REPLY)
    store, _ = first_run(pull)
    store = replace(store, has_default=lambda: True, fetch=lambda *_: STARTER.path)
    async with chat(engine, model_store=store) as running:
        await to_the_offer(running)
        pull.go.set()
        await running.press("ctrl+d")
        await running.until("moves this chat")
        engine.loading = (Failed("the model needs more memory than there is.", 3),)
        await running.press("ctrl+d")
        await running.until("The model needs more memory than there is.")
        assert "^d  load the default model" in running.shown()
        engine.loading = LOADING
        await running.press("ctrl+d")
        await running.until("● ready")
        assert loaded(running) == str(STARTER.path)
        assert last_model() == ""


async def test_a_model_fetched_by_hand_is_a_key_away_as_well() -> None:
    pull = SlowPull()
    pull.go.set()
    store, _ = first_run(pull)
    async with chat(FakeEngine(), model_store=store) as running:
        await running.say("/pull hf:org/other")
        await running.until("Ready: hf:org/other. ^d moves this chat to it.")
        await running.press("ctrl+d")
        await running.until("This chat now uses Better-3B")


async def test_the_app_begins_with_what_was_chosen_last(tmp_path: Path) -> None:
    path = tmp_path / "chosen.gguf"
    path.touch()
    store, _ = first_run()
    async with chat(FakeEngine(), model_store=store) as running:
        assert last_model() == ""  # the default one was nobody's choice
        await running.say(f"/model {path}")
        while last_model() == "":  # until it is loaded
            await running.settle()
        assert last_model() == str(path)
    path.unlink()
    assert last_model() == ""
    remember("not\0a path")
    assert last_model() == ""
