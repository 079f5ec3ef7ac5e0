"""`amulet ask` on a fake engine: what it shows of the answer, and what can go wrong."""

from __future__ import annotations

import math
import os
import signal
import threading

import pytest

from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Finished, Notice, Prefilling, Stats, Step
from amulet_local.strengths import AMULET
from tests.asking import built_in_strength
from tests.cli.asking import KEYS, MEASURES, STATS
from tests.cli.conftest import Amulet, use
from tests.fake_engine import HOLD, FakeEngine, Item, Thinks


def interrupt(times: int = 1) -> None:
    """Ctrl+C, once the command waits; a second one a little after."""
    for number in range(1, times + 1):
        threading.Timer(0.1 * number, os.kill, (os.getpid(), signal.SIGINT)).start()


# -- what is shown --------------------------------------------------------------------------------


def test_the_reply_is_all_of_standard_output(amulet: Amulet, engine: FakeEngine) -> None:
    assert amulet("ask", "Where to?") == (0, "Take the coast path.\n", "")
    assert engine.closed


def test_text_held_back_to_the_end_is_shown(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = Stats(1, 0, 1, 2, 0.1, 0.1, 0.1, 20.0, 3, 1)
    use(FakeEngine(("Take ", "", Finished(1, "Take heart", (1, 2), "stop", stats))), monkeypatch)
    assert amulet("ask", "?").out == "Take heart\n"


def test_a_line_that_is_ended_is_not_ended_twice(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(("one\n",), ()), monkeypatch)
    assert amulet("ask", "?").out == "one\n"
    assert amulet("ask", "?").out == ""


def test_the_document_has_the_keys_of_the_contract(amulet: Amulet, engine: FakeEngine) -> None:
    result = amulet("ask", "Where to?", "-p", "concise", "--json", "--seed", "7")
    document = result.document
    assert list(document) == [*KEYS, "seed", "stats"]
    assert list(document["stats"]) == STATS
    assert document["text"] == "Take the coast path."
    assert document["token_ids"] == [100, 101, 102, 103]
    assert document["finish_reason"] == "stop"
    assert (document["method"], document["preset"]) == ("amulet", "concise")
    assert (document["strength"], document["guard"], document["seed"]) == (
        built_in_strength("concise"),
        0.1,
        7,
    )
    assert document["model"] == "SmolLM2-135M-Instruct.Q4_1"
    assert document["stats"]["streams"] == 2
    assert result.err == ""


def test_a_trace_adds_every_step_with_null_for_the_impossible(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine((Step(1, 7, "yes", AMULET, 0.5, True, 2.5, -math.inf, -1.0, -0.25),))
    use(fake, monkeypatch)
    (step,) = amulet("ask", "?", "-p", "concise", "--trace", "--json").document["steps"]
    assert list(step) == MEASURES
    assert list(step.values()) == [7, "yes", 0.5, True, 2.5, None, -1.0, -0.25]
    assert fake.requests[0].trace


def test_a_model_cannot_steer_the_terminal(amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeEngine(("a\x1b[2J\x9b31m\r\x07b\tc\n", "d é 語")), monkeypatch)
    assert amulet("ask", "?", terminal=True).out == "a[2J31mb\tc\nd é 語\n"


def test_text_that_goes_to_a_file_is_left_as_it_is(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(("a\x1b[1mb",)), monkeypatch)
    assert amulet("ask", "?").out == "a\x1b[1mb\n"


def test_progress_is_shown_until_the_text_begins(amulet: Amulet, engine: FakeEngine) -> None:
    err = amulet("ask", "?", terminal=True).err
    assert "Loading the model: 43%" in err
    assert "Reading the prompt: 100%" in err
    assert err.endswith("\r\x1b[K")


def test_progress_in_the_midst_of_a_reply_does_not_wipe_it(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine((Prefilling(1, 4), "one ", Prefilling(2, 4), "two")), monkeypatch)
    err = amulet("ask", "?", terminal=True).err
    assert "25%" in err
    assert "50%" not in err


def test_notices_go_to_standard_error_but_not_into_the_text(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine((Notice("Before."), "one ", Notice("Within."), "two")), monkeypatch)
    assert amulet("ask", "?") == (0, "one two\n", "amulet: Before.\namulet: Within.\n")


# -- what can go wrong ----------------------------------------------------------------------------


def test_a_failure_is_a_sentence_and_its_exit_code(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine((Failed("the prompt is too long.", 2, 1),))
    use(fake, monkeypatch)
    assert amulet("ask", "?") == (2, "", "amulet: the prompt is too long.\n")
    assert fake.closed


def test_when_the_engine_dies_what_was_written_stands(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(("one ", Died("The engine stopped."))), monkeypatch)
    assert amulet("ask", "?") == (4, "one \n", "amulet: The engine stopped.\n")


def test_where_the_next_engine_has_a_lighter_load_the_reply_goes_on(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", Died("The memory ran out.", lighter=True)), ("two",))
    use(fake, monkeypatch)
    result = amulet("ask", "?")
    assert result.code == 0
    assert "one two" in result.out
    assert result.err == "amulet: The memory ran out.\n"
    begun = fake.requests[1].begun
    assert begun
    assert begun.text == "one "


OUT_OF_MEMORY = Died("The memory ran out.", lighter=True)


@pytest.mark.parametrize(
    "parts",
    [
        (("one ", OUT_OF_MEMORY), ("two",)),
        (("one ", "two ", OUT_OF_MEMORY), ("three ", OUT_OF_MEMORY), ("four",)),
        (("one ", OUT_OF_MEMORY), (OUT_OF_MEMORY,), ("two",)),
        ((OUT_OF_MEMORY,), ("one",)),
        (
            ("", "one ", "", OUT_OF_MEMORY),
            (
                "",
                "two",
            ),
        ),
        (("one two three", OUT_OF_MEMORY), ()),
        ((Thinks("Hm."), Thinks(""), OUT_OF_MEMORY), (Thinks("Ah."), "one")),
    ],
)
def test_a_reply_of_several_engines_is_told_whole(
    parts: tuple[tuple[Item, ...], ...], amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(item for part in parts for item in part if isinstance(item, str))
    fake = FakeEngine(*parts)
    use(fake, monkeypatch)
    assert amulet("ask", "?").out == f"{text}\n"
    use(FakeEngine(*parts), monkeypatch)
    document = amulet("ask", "?", "--json", "--trace").document
    assert document["text"] == text
    assert "".join(step["text"] for step in document["steps"]) == text
    written = [step["token"] for step in document["steps"]]
    assert written[len(written) - len(document["token_ids"]) :] == document["token_ids"]
    assert document["stats"]["tokens"] == len(written)


def test_the_next_engine_is_given_the_tokens_and_what_is_left_of_them(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", "", OUT_OF_MEMORY), ("two ", OUT_OF_MEMORY), ("three",))
    use(fake, monkeypatch)
    amulet("ask", "?", "--max-tokens", "9")
    assert [(r.begun, r.max_tokens) for r in fake.requests] == [
        (None, 9),
        (Message("assistant", "one ", (100, 101)), 7),
        (Message("assistant", "one two ", (100, 101, 100)), 6),
    ]


def test_text_held_back_to_the_end_is_told_behind_what_another_engine_wrote(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = Stats(1, 0, 1, 2, 0.1, 0.1, 0.1, 20.0, 3, 1)
    end = Finished(1, "two three", (7, 8), "stop", stats)
    use(FakeEngine(("one ", OUT_OF_MEMORY), ("two ", "", end)), monkeypatch)
    assert amulet("ask", "?").out == "one two three\n"


def test_behind_a_thought_the_answer_goes_on_and_the_thought_stays_told(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine((Thinks("Ride?"), "Walk ", "", OUT_OF_MEMORY), ("on.",))
    use(fake, monkeypatch)
    document = amulet("ask", "?", "--json").document
    assert (document["text"], document["thought"]) == ("Walk on.", "Ride?")
    assert fake.requests[1].begun == Message("assistant", "Walk ")
    assert document["token_ids"] == [900, 100]  # as the text was read, and as it went on


def test_a_load_that_fails_ends_it(amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeEngine(loading=(Failed("that is no model.", 3),)), monkeypatch)
    assert amulet("ask", "?", "--json") == (3, "", "amulet: that is no model.\n")


def test_ctrl_c_stops_the_engine_and_keeps_what_there_is(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", HOLD, "two"))
    use(fake, monkeypatch)
    interrupt()
    assert amulet("ask", "?") == (130, "one \n", "")
    assert fake.stops == 1
    assert fake.closed


@pytest.mark.slow
def test_an_engine_that_seems_stuck_is_told_of_once(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", 1.5, "two"))
    fake.in_trouble = "The engine has not responded for 12 seconds and seems to be stuck."
    use(fake, monkeypatch)
    done = amulet("ask", "Where to?")
    assert (done.code, done.out) == (0, "one two\n")
    assert done.err == f"amulet: {fake.in_trouble} Press Ctrl+C twice to give up, or wait.\n"


def test_ctrl_c_with_json_gives_the_document(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(("one ", HOLD, "two")), monkeypatch)
    interrupt()
    result = amulet("ask", "?", "--json")
    assert result.code == 130
    assert result.document["finish_reason"] == "cancelled"
    assert result.document["text"] == "one "


def test_ctrl_c_while_loading_says_so(amulet: Amulet, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeEngine(loading=(HOLD,)), monkeypatch)
    interrupt()
    assert amulet("ask", "?") == (130, "", "amulet: loading was stopped.\n")


def test_a_second_ctrl_c_does_not_wait_for_the_engine(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", HOLD))
    monkeypatch.setattr(fake, "stop", lambda: None)
    use(fake, monkeypatch)
    interrupt(times=2)
    assert amulet("ask", "?") == (130, "one \n", "")
    assert fake.closed
