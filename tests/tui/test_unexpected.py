"""Whatever fails, and whatever comes from outside, the app stays and says a sentence."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.widgets import OptionList

from amulet_local.chats.history import History, history_file
from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.safe_text import clean
from amulet_local.settings import Settings, app_log, log_folder
from amulet_local.unexpected import told
from tests.checks import some
from tests.fake_engine import FakeEngine
from tests.tui.running import Running, chat, store_with
from tui.app import AmuletApp
from tui.screens import writing
from tui.screens.chat import ChatScreen
from tui.screens.model_picker import ModelPicker
from tui.session.session import Session
from tui.session.steering import SteeringChoice
from tui.unexpected import as_sentences

SENTENCE = "Something went wrong in Amulet; details are in "
# What no file can be called, or nobody can look at.
STRANGE = (
    "~nosuchuser",
    "~nosuchuser/file.txt",
    "~",
    "x" * 300,
    "y/" * 3000,
    "a\0b",
    "/proc/1/root/nothing",
    "/dev/null/below",
    "loop/file",
    "/dev/stdin",
)


def fail(*_: object) -> None:
    raise ZeroDivisionError


# -- what fails -----------------------------------------------------------------------------------


async def by_a_handler(running: Running) -> None:
    running.prompt.post_message(events.Paste("x"))


async def by_an_action(running: Running) -> None:
    await running.press("ctrl+l")


async def by_a_timer(running: Running) -> None:
    running.screen.set_timer(0.001, fail)


async def by_a_thread(running: Running) -> None:
    running.screen.run_worker(lambda: fail(), thread=True)


async def by_a_callback(running: Running) -> None:
    running.screen.call_later(fail)


async def told_of(running: Running) -> str:
    """What the user is told once something has failed; the test does not fail by that."""
    for _ in range(500):
        if running.notified:
            break
        await running.pilot.pause(0.01)
    error = running.app._exception
    assert isinstance(getattr(error, "error", error), ZeroDivisionError)  # of a worker, or ours
    running.app._exception = None
    return running.notified[-1]


HOW = (by_a_handler, by_an_action, by_a_timer, by_a_thread, by_a_callback)


@pytest.mark.parametrize("raised", HOW)
async def test_an_error_that_nobody_foresaw_is_a_sentence_and_the_app_goes_on(
    raised: Callable[[Running], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tui.widgets.prompt.Prompt._on_paste", fail)
    monkeypatch.setattr(ChatScreen, "action_chats", fail)
    log = app_log()
    async with chat(FakeEngine(["Here I am."])) as running:
        await raised(running)
        assert await told_of(running) == f"{SENTENCE}{log}."
        await running.say("Are you there?")
        assert running.said == ["Are you there?", "Here I am."]
    assert "ZeroDivisionError" in log.read_text("utf-8")
    assert capsys.readouterr() == ("", "")


async def test_an_error_before_the_chat_is_there_ends_the_app_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "recall", fail)
    with History(history_file()) as history:
        engine = FakeEngine()
        session = Session(engine, history, Settings(), LoadOptions(), SteeringChoice())
        app = AmuletApp(session, engine, store_with())
        with pytest.raises(ZeroDivisionError):
            async with app.run_test():
                pass
    assert app.failure.startswith(SENTENCE)
    assert app.return_code == 1


async def test_a_timer_that_fails_again_and_again_is_told_of_once() -> None:
    failed: list[None] = []

    def fail_again() -> None:
        failed.append(None)
        fail()

    async with chat(FakeEngine()) as running:
        timer = running.screen.set_interval(0.001, fail_again)
        while len(failed) < 5:
            await running.pilot.pause(0.01)
        timer.stop()
        await told_of(running)
        assert len(running.notified) == 1


def test_without_a_home_it_is_told_that_details_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMULET_HOME", "~nosuchuser/x")
    sentence = told(ZeroDivisionError())
    assert sentence.startswith("Something went wrong in Amulet; its details cannot be kept: ")


def test_an_error_for_the_user_is_told_as_it_is() -> None:
    assert told(UsageError("name another file.")) == "name another file."
    assert not log_folder().exists()


def test_what_the_system_refuses_is_told_by_its_reason() -> None:
    assert told(OSError(28, "No space left on device")).startswith(
        "the operating system reported an error ([Errno 28]"
    )


def test_work_on_a_thread_tells_of_any_error_as_a_sentence() -> None:
    with pytest.raises(Exception, match=SENTENCE) as raised, as_sentences():
        fail()
    assert type(raised.value).__mro__[1].__name__ == "AmuletError"
    with pytest.raises(KeyError), as_sentences(KeyError):
        raise KeyError


async def test_a_model_that_cannot_even_be_looked_for_is_offered_anew() -> None:
    model_store = replace(store_with(), find=fail)  # type: ignore[arg-type]
    async with chat(FakeEngine(), model_store=model_store) as running:
        await running.until("Something went wrong in Amulet")
        assert "^d" in running.shown()


async def test_a_list_of_models_that_fails_says_why() -> None:
    model_store = replace(store_with(), models=fail)  # type: ignore[arg-type]
    async with chat(FakeEngine(), model_store=model_store) as running:
        await running.say("/model")
        await running.until("Something went wrong in Amulet")
        assert isinstance(running.app.screen, ModelPicker)


async def test_a_fetch_that_fails_in_an_unknown_way_can_be_begun_anew() -> None:
    model_store = replace(store_with(), pull=fail)  # type: ignore[arg-type]
    async with chat(FakeEngine(), model_store=model_store) as running:
        for _ in range(2):
            await running.say("/pull hf:some/model")
            await running.workers_done()
            await running.settle()
            assert running.notified[-1].startswith(SENTENCE)


# -- names of files -------------------------------------------------------------------------------


async def test_a_strange_name_behind_an_at_is_a_word_like_any_other(here: Path) -> None:
    engine = FakeEngine(*[["Yes."]] * len(STRANGE))
    async with chat(engine) as running:
        for name in some(STRANGE):
            requests, notices = len(engine.requests), len(running.notified)
            running.prompt.insert(f"@{name}")
            await running.settle()
            running.prompt.write(f"@{name} hi")
            await running.press("enter")
            asked = [request.messages[-1].text for request in engine.requests[requests:]]
            refused = " ".join(running.notified[notices:])
            assert (
                asked == [f"@{clean(name)} hi"]
                or "folder" in refused
                or "cannot be stored" in refused
            ), name
            running.prompt.clear()


async def test_a_draft_with_a_strange_name_is_there_at_the_next_start(here: Path) -> None:
    async with chat(FakeEngine()) as running:
        running.prompt.insert("@~nosuchuser hi")
        await running.settle()
        writing.save_draft(running.screen)
    engine = FakeEngine(["Yes."])
    async with chat(engine) as running:
        assert running.prompt.text == "@~nosuchuser hi"
        await running.press("enter")
        assert engine.requests[0].messages[-1].text == "@~nosuchuser hi"


async def test_a_link_to_itself_hides_no_other_file(here: Path) -> None:
    (here / "last.txt").touch()
    async with chat(FakeEngine()) as running:
        running.prompt.insert("@l")
        await running.settle()
        assert "last.txt" in running.shown()


async def test_a_file_whose_name_is_no_text_is_not_proposed(here: Path) -> None:
    Path(os.fsdecode(b"n\xff.txt")).touch()
    (here / "notes.txt").touch()
    async with chat(FakeEngine()) as running:
        running.prompt.insert("@n")
        await running.settle()
        completions = running.screen.query_one("Completions", OptionList)
        assert completions.option_count == 1


async def test_a_strange_path_is_refused_in_the_form(here: Path) -> None:
    os.mkfifo(here / "pipe")
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Hi")
        for command in ("/export", "/import"):
            for name in ("~nosuchuser/x.json", "z" * 300, "pipe", "/dev/null/x.json"):
                await running.say(f"{command} {name}")
                await running.workers_done()
                await running.settle()
                said = " ".join(running.shown().replace("│", " ").split())
                whys = ("home folder", "cannot be", "device or a pipe")
                assert any(why in said for why in whys), (command, name)
                await running.press("escape")
                assert running.app.screen is running.screen


async def test_the_app_goes_on_in_a_folder_that_was_removed(here: Path) -> None:
    engine = FakeEngine(["Yes."])
    async with chat(engine) as running:
        (here / "loop").unlink()
        here.rmdir()
        running.prompt.insert("@a")
        await running.settle()
        running.prompt.clear()
        await running.say("Hi @notes.md")
        assert running.said == ["Hi @notes.md", "Yes."]
        await running.say("/import x.json")
        await running.workers_done()
        await running.settle()
        assert "cannot be read" in running.shown()
