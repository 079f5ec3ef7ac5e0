"""Leaving the app by key and by signal, help, how it looks without colour, the real engine."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from msgspec import structs
from textual.events import AppBlur, Key, MouseDown, MouseUp, Paste
from textual.widgets import Static

from amulet_local.chats.history import History, history_file
from amulet_local.engine.client import EngineProcess
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings
from amulet_local.strengths import BASE
from tests.checks import comes, some
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import LARGE, SMALL, chat, store_with, strips
from tui.actions import APP, CHAT, CHATS, DIAL, HELP, LINE, MESSAGES, PICKER, PLACES, PROMPT
from tui.app import AmuletApp
from tui.markdown.drawing import Stack
from tui.screens.chat import ChatScreen
from tui.screens.chats import ChatsScreen
from tui.screens.help import HelpScreen
from tui.screens.line_form import LineForm
from tui.screens.preset_picker import PresetPicker
from tui.session.model_store import find_model
from tui.session.session import Session
from tui.session.steering import SteeringChoice
from tui.widgets.chat_list import ChatList
from tui.widgets.dial import Dial
from tui.widgets.keys import KeyLine
from tui.widgets.page import Page
from tui.widgets.prompt import Prompt
from tui.widgets.transcript import Transcript

# -- keys -----------------------------------------------------------------------------------------


async def test_ctrl_q_quits_from_everywhere() -> None:
    for keys in [(), ("ctrl+p",), ("ctrl+g",)]:
        async with chat(FakeEngine()) as running:
            await running.press(*keys, "ctrl+q")
            assert running.app.return_code == 0


async def test_the_key_to_quit_counts_as_heard_only_once_the_app_has_come_to_it() -> None:
    async with chat(FakeEngine()) as running:
        heard: list[Event] = []
        running.app.on_quit_key = heard.append
        at_work = asyncio.Event()
        running.app.call_later(at_work.wait)
        await asyncio.to_thread(running.app.typed, "ctrl+q")
        await running.rest()
        meanwhile = [each.is_set() for each in heard]
        at_work.set()
        await running.settle()
        assert (meanwhile, [each.is_set() for each in heard]) == ([False], [True])


async def test_ctrl_c_stops_a_reply() -> None:
    engine = FakeEngine(["By ", HOLD])
    async with chat(engine) as running:
        await running.say("Hi")
        await running.press("ctrl+c")
        assert engine.stops == 1
        assert running.app.is_running
        assert "■ stopped" in running.shown()


async def test_ctrl_c_asks_once_and_quits_the_second_time() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+c")
        assert "Press Ctrl+C again to quit." in running.shown()
        assert running.app.return_code is None
        await running.press("ctrl+c")
        assert running.app.return_code == 0


async def test_ctrl_c_a_while_later_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tui.app.monotonic", lambda: now[0])
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+c")
        now[0] += 2.5
        await running.press("ctrl+c")
        assert running.app.return_code is None


async def test_ctrl_c_copies_what_is_selected_even_while_a_reply_streams() -> None:
    engine = FakeEngine(["One two\n\n- three\n\n", HOLD])
    async with chat(engine) as running:
        await running.say("Hi")
        running.screen.query(Page).last().text_select_all()
        await running.press("ctrl+c")
        assert running.app.clipboard == "One two\n\n• three"
        assert engine.stops == 0
        running.prompt.insert("draft")
        running.prompt.select_all()
        await running.press("ctrl+c")
        assert running.app.clipboard == "draft"


async def test_what_the_mouse_drags_over_is_what_is_copied() -> None:
    async with chat(FakeEngine(["One two three\n\n1. four five\n2. six\n"])) as running:
        await running.say("Hi")
        page, pilot = running.screen.query(Page).last().content_region, running.pilot
        await pilot.mouse_down(offset=(page.x + 4, page.y))
        await pilot.hover(offset=(page.x + 4, page.y + 1))
        await pilot.hover(offset=(page.x + 7, page.y + 2))
        await pilot.mouse_up(offset=(page.x + 7, page.y + 2))
        await running.press("ctrl+c")
        assert running.app.clipboard == "two three\n\n 1. four"
        assert running.prompt.has_focus


async def test_q_is_a_letter_in_the_message_and_closes_the_help() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("q")
        assert running.prompt.text == "q"
        await running.press("ctrl+g")
        assert isinstance(running.app.screen, HelpScreen)
        await running.press("q")
        assert isinstance(running.app.screen, ChatScreen)
        assert running.prompt.text == "q"


async def test_help_tells_every_action_and_its_keys() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("f1")
        assert "Help" in running.shown()
        await running.press("escape", "ctrl+g")
        assert "Help" in running.shown()
        visuals = [static.visual for static in running.app.screen.query(Static)]
        shown = "".join(it.text(99) if isinstance(it, Stack) else str(it) for it in visuals)
        for actions in some(PLACES.values()):
            for action in some(actions):
                assert action.help in shown
        for text in ("^q", "^j", "pgup", "5.65 (Amulet)"):
            assert text in shown


async def test_help_names_a_key_once_that_does_another_thing_in_another_case() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+g")
        lines = [
            line
            for place in running.app.screen.query(Static)
            if isinstance(place.visual, Stack)
            for line in place.visual.text(200).split("\n")
        ]
        first = next(n for n, line in enumerate(lines) if "(stop)" in line)
        assert lines[first].startswith("esc ")
        assert lines[first + 1].startswith("  ")
        assert "(settle)" in lines[first + 1]


async def test_a_click_on_a_key_of_the_bottom_line_presses_it() -> None:
    async with chat(FakeEngine()) as running:
        await running.pilot.click(
            KeyLine, offset=(running.shown().split("\n")[-1].index("Help"), 0)
        )
        await running.settle()
        assert isinstance(running.app.screen, HelpScreen)


async def test_help_scrolls_where_it_does_not_fit() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+g")
        assert "Cancel" not in running.shown()
        await running.press("end")
        await running.until("Cancel")


def test_every_action_has_its_method_and_no_key_is_promised_twice_in_a_place() -> None:
    places = [
        (APP, AmuletApp),
        (CHAT, ChatScreen),
        (PROMPT, Prompt),
        (DIAL, Dial),
        (MESSAGES, Transcript),
        (PICKER, PresetPicker),
        (PICKER, ChatsScreen),
        (CHATS, ChatList),
        (LINE, LineForm),
        (HELP, HelpScreen),
    ]
    for actions, place in some(places):
        keys = [key for action in actions for key in action.keys.split(",") if key]
        twice = {key for key in keys if keys.count(key) > 1}
        assert twice <= {
            "escape",
            "ctrl+r",
        }  # stops, or else settles; restarts, or else regenerates
        for action in some(actions):
            screen = ChatsScreen if place is ChatList else ChatScreen
            on = screen if action.name.startswith("screen.") else place
            assert hasattr(on, f"action_{action.name.removeprefix('screen.').split('(')[0]}")


def test_no_action_is_on_keys_that_terminals_keep_or_cannot_tell_apart() -> None:
    for action in some((*APP, *CHAT, *PROMPT, *DIAL, *PICKER, *CHATS, *LINE, *HELP)):
        keys = set(action.keys.split(","))
        assert not keys & {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+s"}
        assert "ctrl+z" not in keys or action.name == "suspend"
        assert not all(re.fullmatch(r"f\d+", key) for key in some(keys))


# -- the rest -------------------------------------------------------------------------------------


async def test_without_colour_everything_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with chat(FakeEngine(["a", HOLD])) as running:
        assert running.app.no_color
        await running.say("Hi")
        await running.press("ctrl+t", "l")
        shown = running.shown()
        for sign in ("▌ Hi", "▸ writing", "◆", "━", "3.00 LA"):
            assert sign in shown


async def test_a_reply_that_comes_before_its_place_is_drawn_all_the_same() -> None:
    engine = FakeEngine(["Fast."])
    async with chat(engine) as running:
        running.screen.show(running.session.ask("Hi"))
        running.screen.poll()
        await running.settle()
        assert "Fast." in running.shown()


async def test_idle_the_screen_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chat(FakeEngine(["Yes."])) as running:
        await running.say("Hi")
        running.prompt.cursor_blink = False
        await running.settle()
        drawn: list[object] = []
        monkeypatch.setattr(running.app, "_display", lambda *what: drawn.append(what))
        for _ in range(20):
            running.screen.poll()
        await asyncio.sleep(0.3)
        assert drawn == []


# -- in a terminal --------------------------------------------------------------------------------

RUN = (
    "import sys; from amulet_local.protocol.messages import LoadOptions; "
    "from amulet_local.presets.mixing import Together; "
    "from tui.app import run_chat; "
    "sys.exit(run_chat('', (), Together(), None, LoadOptions(context=512)))"
)


class Terminal:
    """The app in a terminal of its own."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        termios.tcsetwinsize(slave, (24, 80))
        self.slave = slave
        self.output = b""
        self.app = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm-256color"},
            start_new_session=True,
        )

    def read_until(self, text: str) -> None:
        """Wait for a text to be drawn."""
        os.set_blocking(self.master, False)

        def is_drawn() -> bool:
            with suppress(OSError):
                self.output += os.read(self.master, 1 << 16)
            return text.encode() in self.output

        assert comes(is_drawn)

    def end(self) -> int:
        """The exit code; asserts that the terminal is as it was."""
        self.read_until("\x1b[?1049l")  # read while it ends: a full terminal would hold it up
        self.read_until("\x1b[?25h")
        code = self.app.wait(10)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return code


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_terminal_whole(number: int, code: int) -> None:
    terminal = Terminal()
    terminal.read_until("no model")
    terminal.app.send_signal(number)
    assert terminal.end() == code


@pytest.mark.slow
def test_a_key_leaves_the_terminal_whole() -> None:
    terminal = Terminal()
    terminal.read_until("no model")
    os.write(terminal.master, b"\x11")
    assert terminal.end() == 0


@pytest.mark.slow
def test_where_nothing_can_be_kept_the_chat_opens_and_says_so(home: Path) -> None:
    home.write_text("a file where the folder should be")
    terminal = Terminal()
    terminal.read_until("Chats cannot be saved in")
    os.write(terminal.master, b"\x11")
    assert terminal.end() == 0


@pytest.mark.slow
def test_the_chat_opens_without_native_code_and_without_what_it_may_not_need() -> None:
    script = (
        "import sys, amulet_local.cli.loading, amulet_local.cli.preferences, tui.app; "
        "print(*{'llama_cpp', 'gguf', 'numpy', 'pygments.lexers', 'tomlkit'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.model
async def test_a_chat_with_the_real_engine(default_model: Path) -> None:
    engine = EngineProcess()
    # Greedy, verbose and of a hundred chapters: the second reply is under way when it is stopped.
    verbose = structs.replace(load_presets().get("verbose"), sampling=Sampling(temperature=0.0))
    history = History(history_file())
    steering = SteeringChoice.to_preset(verbose, BASE)
    session = Session(engine, history, Settings(), LoadOptions(context=1024), steering)
    app = AmuletApp(session, engine, store_with(find_model(str(default_model))))
    try:
        async with app.run_test(size=LARGE) as pilot:
            screen, prompt = app.screen, app.screen.query_one(Prompt)

            async def until(words: str) -> str:
                for _ in range(600):
                    await pilot.pause(0.05)
                    shown = "\n".join(row.text for row in strips(screen))
                    if words in shown:
                        return shown
                raise AssertionError(f"{words!r} is not shown")

            prompt.insert("Say hello.")
            await pilot.press("enter")
            await until("tokens, ")
            first = session.path[1].message
            assert first.text
            assert first.token_ids
            prompt.insert("Write a story of a lighthouse with one hundred chapters.")
            await pilot.press("enter")
            await until("▸ writing")
            await pilot.press("escape")
            await until("■ stopped ·")
            assert len(session.path) == 4
            await pilot.press("ctrl+q")
    finally:
        engine.close()
        history.close()
    assert engine.pid is None


async def test_what_is_typed_while_another_window_is_in_front_is_not_lost() -> None:
    """As programs that dictate do, or whoever types through tmux."""
    async with chat(FakeEngine(["One."])) as running:
        for typed in (Key("a", "a"), Paste("b")):
            running.app.post_message(AppBlur())
            await running.settle()
            running.app.post_message(typed)
            await running.settle()
        assert running.prompt.text == "ab"


async def test_a_click_outside_of_the_screen_takes_no_words_away() -> None:
    """As comes while the terminal grows, before the app has heard of that."""
    async with chat(FakeEngine(["One."]), size=SMALL) as running:
        for kind in (MouseDown, MouseUp):
            at = (*SMALL, 0, 0, 1, False, False, False)
            running.app.post_message(kind(None, *at, screen_x=SMALL[0], screen_y=SMALL[1]))
        await running.settle()
        await running.press("a")
        assert running.prompt.text == "a"
