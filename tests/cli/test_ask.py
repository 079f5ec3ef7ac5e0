"""`amulet ask` on a fake engine: what it asks of the engine, and what it shows of the answer."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amulet_local.cli import standard_input
from amulet_local.presets.calibrated import Calibrated, keep_strength
from amulet_local.presets.preset import (
    USUAL_GUARD,
    USUAL_SAMPLING,
    USUAL_STRENGTH,
    load_presets,
)
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Failed,
    Finished,
    Notice,
    Prefilling,
    Reply,
    Stats,
    Step,
)
from amulet_local.realignment import AMULET, Update
from amulet_local.settings import config_folder, presets_folder
from tests.asking import built_in_strength
from tests.cli.conftest import Amulet, Result, use
from tests.fake_engine import HOLD, FakeEngine, Item, Thinks

CONCISE = "Your answer should be concise as much as possible."
KEYS = ["text", "token_ids", "finish_reason", "method", "strength", "guard", "preset", "model"]
STATS = [
    "prompt_tokens",
    "cached_tokens",
    "tokens",
    "prefill_s",
    "first_token_s",
    "decode_s",
    "tokens_per_s",
    "streams",
]
MEASURES = ["token", "text", "shift", "flip", "flip_strength"]
MEASURES += ["logp_base", "logp_pref", "logp_realigned"]


def configure(text: str) -> None:
    config_folder().mkdir(parents=True, exist_ok=True)
    (config_folder() / "config.toml").write_text(text, "utf-8")


def make_preset(name: str, text: str) -> None:
    presets_folder().mkdir(parents=True, exist_ok=True)
    (presets_folder() / f"{name}.toml").write_text(text, "utf-8")


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


def test_an_engine_that_seems_stuck_is_told_of_once(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEngine(("one ", 1.5, "two"))
    fake.in_trouble = "The engine has not responded for 12 seconds and does no work."
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


# -- what is asked of the engine ------------------------------------------------------------------


def asked(amulet: Amulet, engine: FakeEngine, *options: str, piped: bytes | None = None) -> Reply:
    result = amulet("ask", "Where to?", *options, piped=piped)
    assert result.code == 0, result.err
    return engine.requests[-1]


def test_without_a_preference_it_is_plain_chat(amulet: Amulet, engine: FakeEngine) -> None:
    request = asked(amulet, engine)
    assert (request.alignment.method, request.alignment.strength, request.alignment.preference) == (
        "base",
        0.0,
        "",
    )
    assert request.system == DEFAULT_SYSTEM
    assert request.alignment.sampling == Sampling()
    assert [message.text for message in request.messages] == ["Where to?"]
    assert amulet("ask", "?", "--json").document["preset"] is None


def test_a_preset_brings_all_that_it_says(amulet: Amulet, engine: FakeEngine) -> None:
    make_preset(
        "mine",
        'preference = "Rhyme."\nstrength = 2\nguard = 0.3\nplacement = "turn"\n'
        'system = "A poet."\n[sampling]\ntemperature = 0.2\ntop_k = 7',
    )
    request = asked(amulet, engine, "-p", "mine")
    assert (request.alignment.preference, request.alignment.method, request.alignment.strength) == (
        "Rhyme.",
        "amulet",
        2.0,
    )
    assert (request.alignment.guard, request.alignment.placement, request.system) == (
        0.3,
        "turn",
        "A poet.",
    )
    assert request.alignment.sampling == Sampling(temperature=0.2, top_k=7)


def test_options_go_before_what_the_preset_says(amulet: Amulet, engine: FakeEngine) -> None:
    make_preset("mine", 'preference = "Rhyme."\nguard = 0.3\n[sampling]\ntop_k = 7')
    options = "--strength -1 --guard 0 --placement turn --temperature 0 --top-p 0.5 --min-p 0"
    request = asked(amulet, engine, "-p", "mine", "--system", "", *options.split())
    assert (request.alignment.strength, request.alignment.guard, request.alignment.placement) == (
        -1.0,
        0.0,
        "turn",
    )
    assert request.system == ""
    assert request.alignment.sampling == Sampling(temperature=0.0, top_k=7, top_p=0.5, min_p=0.0)


@pytest.mark.parametrize(
    ("options", "method", "strength"),
    [
        ("-p concise", "amulet", built_in_strength("concise")),
        ("-p thrifty", "amulet", built_in_strength("thrifty")),
        ("-p thrifty --strength 4.5", "amulet", 4.5),
        ("-p thrifty --method base", "base", 0.0),
        ("-p thrifty --method pref", "pref", 1.0),
        ("-p thrifty --method la", "la", 3.0),
        ("-p thrifty --method amulet", "amulet", built_in_strength("thrifty")),
        ("-p thrifty --iterations 60", "amulet", AMULET),
        ("-p concise --lambda 4 --eta 1", "amulet", Update(lambda_=4.0, eta=1.0).strength),
        ("--preference Rhyme.", "amulet", USUAL_STRENGTH),
        ("--preference Rhyme. --strength 0", "amulet", 0.0),
        ("--method base", "base", 0.0),
    ],
)
def test_the_strength_is_the_typed_one_or_the_presets_or_the_methods(
    amulet: Amulet, engine: FakeEngine, options: str, method: str, strength: float
) -> None:
    request = asked(amulet, engine, *options.split())
    assert (request.alignment.method, request.alignment.strength) == (method, strength)
    document = amulet("ask", "?", "--json", *options.split()).document
    assert (document["method"], document["strength"]) == (method, strength)


def test_the_papers_setting_is_one_option(amulet: Amulet, engine: FakeEngine) -> None:
    request = asked(amulet, engine, "-p", "thrifty", "--paper")
    assert (request.alignment.method, request.alignment.strength, request.alignment.guard) == (
        "amulet",
        AMULET,
        0.0,
    )
    assert request.alignment.sampling == Sampling(temperature=0.0)  # whatever the preset has
    assert (
        asked(amulet, engine, "--preference", "Rhyme.", "--paper").alignment.sampling
        == request.alignment.sampling
    )
    assert (request.max_tokens, request.alignment.placement) == (128, "system")


@pytest.mark.parametrize(
    "options", ["--strength 2", "--guard 0", "--alpha 1", "--max-tokens 9", "--method la"]
)
def test_the_papers_setting_leaves_nothing_to_say(
    amulet: Amulet, engine: FakeEngine, options: str
) -> None:
    result = amulet("ask", "?", "-p", "concise", "--paper", *options.split())
    assert result.code == 2
    assert f"--paper already sets {options.split()[0]};" in result.err


def test_a_calibrated_strength_is_used_and_said(amulet: Amulet, engine: FakeEngine) -> None:
    concise = load_presets().get("concise")
    found = Calibrated(3.5, concise.preference, concise.guard, "system", 1.2, 1.0, 1.0)
    keep_strength("default", concise, found)
    result = amulet("ask", "?", "-p", "concise", "--json")
    assert result.document["strength"] == 3.5
    assert "strength 3.5, calibrated for concise" in result.err
    assert amulet("ask", "?", "-p", "concise", "--strength", "2").err == ""
    other = amulet("ask", "?", "-p", "concise", "--guard", "0", "--json")
    assert other.document["strength"] == concise.usual_strength
    assert (
        asked(amulet, engine, "-p", "concise", "-m", "other").alignment.strength
        == concise.usual_strength
    )


def test_what_is_not_guarded_is_not_said_to_be(amulet: Amulet, engine: FakeEngine) -> None:
    for method, guard in (("base", 0.0), ("pref", 0.0), ("la", 0.1), ("amulet", 0.1)):
        result = amulet("ask", "?", "-p", "concise", "--method", method, "--json")
        assert result.document["guard"] == guard


def test_alpha_above_lambda_is_warned_of_once(amulet: Amulet, engine: FakeEngine) -> None:
    result = amulet("ask", "?", "-p", "concise", "--alpha", "3")
    assert result.code == 0
    assert result.err.count("alpha above lambda") == 1
    assert "24" in result.err
    assert amulet("ask", "?", "-p", "concise", "--alpha", "1").err == ""


def test_a_seed_is_kept_and_otherwise_new_each_time(amulet: Amulet, engine: FakeEngine) -> None:
    assert asked(amulet, engine, "--seed", "0").seed == 0
    assert asked(amulet, engine, "--seed", "4294967294").seed == 0xFFFFFFFE
    assert len({asked(amulet, engine).seed for _ in range(4)}) > 1


def test_how_to_load_comes_from_options_over_the_config(amulet: Amulet, engine: FakeEngine) -> None:
    configure('model = "usual"\n[engine]\nthreads = 3\ncontext = 512')
    options = "--context 1024 --gpu-layers 0 --kv-type q8_0 --flash-attention on"
    asked(amulet, engine, *options.split(), "--streams", "two-contexts")
    model, loading = engine.loads[-1]
    assert model == "usual"
    assert loading == LoadOptions(
        context=1024,
        threads=3,
        gpu_layers=0,
        kv_type="q8_0",
        flash_attention="on",
        streams="two-contexts",
    )
    asked(amulet, engine, "-m", "other")
    assert engine.loads[-1][0] == "other"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--gpu-layers auto", LoadOptions()),
        ("--gpu-layers all", LoadOptions(gpu_layers=-1)),
        ("--devices CUDA1,CUDA0", LoadOptions(devices=("CUDA1", "CUDA0"))),
        ("--tensor-split 3,1.5", LoadOptions(tensor_split=(3.0, 1.5))),
        ("--kv-on-host --insist", LoadOptions(kv_on_host=True, insist=True)),
        ("--rpc far:50052,near:1", LoadOptions(rpc=("far:50052", "near:1"))),
    ],
)
def test_where_a_model_goes_is_an_option(
    options: str, expected: LoadOptions, amulet: Amulet, engine: FakeEngine
) -> None:
    asked(amulet, engine, *options.split())
    assert engine.loads[-1][1] == expected


@pytest.mark.parametrize(
    "options", ["--gpu-layers many", "--tensor-split 1,x", "--devices ,", "--gpu-layers -2"]
)
def test_what_cannot_be_is_a_usage_error(options: str, amulet: Amulet, engine: FakeEngine) -> None:
    assert amulet("ask", "hi", *options.split()).code == 2


def test_thinking_is_asked_for(amulet: Amulet, engine: FakeEngine) -> None:
    assert asked(amulet, engine, "--thinking").thinking
    assert not asked(amulet, engine).thinking
    configure("thinking = true")
    assert asked(amulet, engine).thinking
    assert not asked(amulet, engine, "--no-thinking").thinking


def test_a_model_that_cannot_think_says_so_where_it_was_told_to(
    amulet: Amulet, engine: FakeEngine
) -> None:
    result = amulet("ask", "Where to?", "--thinking")
    assert "cannot think before it answers: its chat template does not allow it." in result.err
    configure("thinking = true")
    assert "cannot think" not in amulet("ask", "Where to?").err


def test_a_thought_is_not_printed_but_told_in_json(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (Thinks("or ride?"), Thinks(""), "Walk.")
    use(FakeEngine(script), monkeypatch)
    assert amulet("ask", "Where to?").out == "Walk.\n"
    use(FakeEngine(script), monkeypatch)
    document = json.loads(amulet("ask", "Where to?", "--json").out)
    assert (document["text"], document["thought"]) == ("Walk.", "or ride?")


def test_a_thought_that_took_all_tokens_is_told(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = Stats(1, 0, 1, 9, 0.1, 0.1, 0.1, 9.0, 10, 1, thought_tokens=9)
    use(FakeEngine((Thinks("On"), Finished(1, "", (), "length", stats, "On"))), monkeypatch)
    assert "thinking used up all the tokens" in amulet("ask", "Where to?").err


def test_the_config_speaks_where_nothing_else_does(amulet: Amulet, engine: FakeEngine) -> None:
    configure('preset = "thrifty"\nsystem = "Be brief."\nmax_tokens = 9')
    request = asked(amulet, engine)
    assert request.alignment.preference == load_presets().get("thrifty").preference
    assert (request.system, request.max_tokens) == ("Be brief.", 9)
    request = asked(amulet, engine, "--preference", "Rhyme.", "--max-tokens", "3")
    assert (request.alignment.preference, request.max_tokens) == ("Rhyme.", 3)


def test_stop_strings_add_up(amulet: Amulet, engine: FakeEngine) -> None:
    assert asked(amulet, engine, "--stop", "\n", "--stop", "END").stop == ("\n", "END")
    assert asked(amulet, engine).stop == ()


# -- wishes ---------------------------------------------------------------------------------------


def test_wishes_are_followed_at_the_usual_strength(amulet: Amulet, engine: FakeEngine) -> None:
    request = asked(amulet, engine, "--wish", "short", "--wish", "kind")
    assert request.messages == (Message("user", "Where to?", wish="short\nkind"),)
    alignment = request.alignment
    assert (alignment.preference, alignment.method) == ("", "amulet")
    assert (alignment.strength, alignment.guard) == (USUAL_STRENGTH, USUAL_GUARD)
    assert alignment.sampling == USUAL_SAMPLING


def test_a_wish_stands_beside_the_preset(amulet: Amulet, engine: FakeEngine) -> None:
    request = asked(amulet, engine, "--wish", "short", "-p", "concise", "--strength", "4")
    assert request.wish == "short"
    assert request.alignment.preference.startswith("Your answer should be concise")
    assert request.alignment.strength == 4


@pytest.mark.parametrize(
    ("typed", "options", "text", "wish"),
    [
        ("Where to? !! short", (), "Where to?", "short"),
        ("Where to? !! short", ("--wish", "kind"), "Where to?", "short\nkind"),
        ("Where to?\n!! short", (), "Where to?", "short"),
        (r"Where \!! to?", (), "Where !! to?", ""),
        ("wow!!", (), "wow!!", ""),
    ],
)
def test_a_wish_may_be_typed_with_the_question(
    amulet: Amulet,
    engine: FakeEngine,
    typed: str,
    options: tuple[str, ...],
    text: str,
    wish: str,
) -> None:
    assert amulet("ask", typed, *options).code == 0
    assert engine.requests[-1].messages == (Message("user", text, wish=wish),)


def test_what_is_piped_is_text(amulet: Amulet, engine: FakeEngine) -> None:
    amulet("ask", piped=b"a !! b")
    amulet("ask", "Sum up: !! short", "-", piped=b"!! a !! b")
    assert [request.messages for request in engine.requests] == [
        (Message("user", "a !! b"),),
        (Message("user", "Sum up:\n\n!! a !! b", wish="short"),),
    ]


def test_a_wish_alone_is_refused(amulet: Amulet, engine: FakeEngine) -> None:
    result = amulet("ask", "!! short")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("amulet: there is only a wish; ")
    assert not engine.loads


def test_the_wish_is_in_the_document(amulet: Amulet, engine: FakeEngine) -> None:
    document = amulet("ask", "Where to? !! short", "--json").document
    assert document["wish"] == "short"
    assert document["method"] == "amulet"


# -- the question ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "piped", "question"),
    [
        (["ask", "Sum up:", "-"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "-", "Sum up:"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "Sum up:", "-p", "concise", "-"], b"a text\n", "Sum up:\n\na text"),
        (["ask", "Sum up:", "-"], b"", "Sum up:"),
        (["ask", "Sum up:"], b"a text that is not for it", "Sum up:"),
        (["ask", "Sum up:"], b"", "Sum up:"),
        (["ask", "-"], b"a text", "a text"),
        (["ask"], b" a text \n", "a text"),
        ([], b"a text", "a text"),
        (["-p", "concise", "--temperature", "0"], b"a text", "a text"),
        (["ask", "-"], b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (["ask", "\udcff?"], b"", "\ufffd?"),
        (["ask"], "\ufeffWhere to?".encode(), "Where to?"),
        (["ask"], "Où ?".encode("utf-16"), "Où ?"),
        (["ask"], "\ufeffOù ?".encode("utf-16-be"), "Où ?"),
        (["ask"], b"one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_a_question_is_typed_or_piped_or_both(
    amulet: Amulet, engine: FakeEngine, arguments: list[str], piped: bytes, question: str
) -> None:
    assert amulet(*arguments, piped=piped).code == 0
    assert engine.requests[-1].messages[0].text == question


@pytest.mark.parametrize(
    ("piped", "place"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00", "line 1: it is binary, not text, byte 8 is zero"),
        (b"one\ntwo\0", "line 2: it is binary"),
        ("Where to?".encode("utf-16-le"), "line 1: it is binary"),  # without a mark
        (b"\xff\xfea\x00\x00\x00", "byte 5 is zero"),
    ],
)
def test_piped_bytes_that_are_no_text_are_refused(
    amulet: Amulet, engine: FakeEngine, piped: bytes, place: str
) -> None:
    for arguments in (["ask"], ["ask", "What is this?", "-"], []):
        result = amulet(*arguments, piped=piped)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("amulet: standard input is not text (line ")
        assert place in result.err
        assert result.err.count("\n") == 1
    assert not engine.loads


def test_what_cannot_be_decoded_is_told(amulet: Amulet, engine: FakeEngine) -> None:
    err = amulet("ask", piped=b"one\ncaf\xe9").err
    assert "(line 2: it is not text in UTF-8, byte 8, 0xE9, cannot be decoded)" in err


def test_nothing_below_a_question_is_told(amulet: Amulet, engine: FakeEngine) -> None:
    assert "standard input is empty" in amulet("ask", "Sum up:", "-", piped=b"").err


@pytest.fixture
def pipe(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, Callable[..., Result]]]:
    """A pipe that stays open: what writes to it, and a command that has it as standard input."""
    reading, writing = os.pipe()

    def run(*arguments: str) -> Result:
        with os.fdopen(os.dup(reading)) as source:
            return amulet(*arguments, stdin=source)

    yield writing, run
    os.close(reading)
    os.close(writing)


def test_with_a_question_an_open_pipe_is_not_waited_for(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine
) -> None:
    assert pipe[1]("ask", "Where to?") == (0, "Take the coast path.\n", "")


def test_what_is_piped_beside_a_question_stays_for_others_and_is_said_to_be_unread(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine
) -> None:
    os.write(pipe[0], b"the next line\n")
    result = pipe[1]("ask", "Where to?")
    assert (result.code, result.out) == (0, "Take the coast path.\n")
    told = "amulet: standard input was not read; to append it to the question, add: -\n"
    assert result.err == told


def test_a_loop_over_the_lines_of_a_file_has_each_answered(
    amulet: Amulet, engine: FakeEngine, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("one?\ntwo?\nthree?\n")
    with lines.open("rb", buffering=0) as file:  # as a shell reads: no further than it needs
        codes = []
        while line := file.readline().decode().strip():
            with os.fdopen(os.dup(file.fileno())) as source:
                codes.append(amulet("ask", line, stdin=source).code)
    assert codes == [0, 0, 0]
    assert [each.messages[0].text for each in engine.requests] == ["one?", "two?", "three?"]


def test_who_waits_for_standard_input_is_told_so(
    pipe: tuple[int, Callable[..., Result]], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard_input, "PATIENCE_S", 0.0)
    writer, run = pipe
    told = threading.Event()

    def say(text: str) -> None:
        """What is told ends the wait."""
        assert "reading from standard input" in text
        told.set()
        os.write(writer, b"Where to?")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)

    monkeypatch.setattr(standard_input, "say", say)
    assert run("ask").out == "Take the coast path.\n"
    assert told.is_set()
    assert engine.requests[-1].messages[0].text == "Where to?"


def test_too_much_piped_text_is_refused_before_anything_else(
    amulet: Amulet, engine: FakeEngine
) -> None:
    result = amulet("ask", piped=b"x" * (4 * 1024 * 1024 + 1))
    assert (result.code, result.out) == (2, "")
    assert "larger than 4,194,304 bytes" in result.err
    assert not engine.loads


# -- requests that cannot be served ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--strength nan -p concise", 2, "--strength: must be a number from -1000 to 1000"),
        ("--strength=-inf -p concise", 2, "--strength: must be a number"),
        ("--strength strong -p concise", 2, "not 'strong'"),
        ("--guard 1.5", 2, "--guard: must be a number from 0 to 1, not '1.5'"),
        ("--guard nan", 2, "--guard: must be a number from 0 to 1"),
        ("--max-tokens 0", 2, "--max-tokens: must be a whole number from 1 to"),
        ("--max-tokens 1.5", 2, "must be a whole number"),
        ("--max-tokens 99999999999", 2, "must be a whole number from 1 to 2,147,483,647"),
        ("--temperature -1", 2, "--temperature: must be a number from 0 to 100"),
        ("--top-k -1", 2, "--top-k: must be a whole number"),
        ("--top-p 2", 2, "--top-p: must be a number from 0 to 1"),
        ("--seed -1", 2, "--seed: must be a whole number from 0 to 4,294,967,294"),
        ("--seed 4294967295", 2, "--seed: must be a whole number"),
        ("--context -1", 2, "--context: must be a whole number from 0"),
        ("--gpu-layers -2", 2, "--gpu-layers: must be a number of layers, or all, or auto"),
        ("--kv-type q3", 2, "--kv-type: invalid choice"),
        ("--method beam", 2, "--method: invalid choice"),
        ("--streams three", 2, "--streams: invalid choice"),
        ("--temp 1", 2, "unrecognized arguments"),
        ("--preset", 2, "expected one argument; see: amulet ask --help"),
        ("-p nosuch", 3, "there is no preset called 'nosuch'"),
        ("-p consise", 3, "similar names: concise"),
        ("-p concise --preference x", 2, "cannot be combined"),
        ("--preference=", 2, "--preference is empty"),
        ("--wish=", 2, "--wish is empty"),
        ("--wish short --wish=", 2, "--wish is empty"),
        ("--strength 2", 2, "there is no preference to realign to"),
        ("--alpha 1", 2, "there is no preference to realign to"),
        ("--method pref", 2, "add -p PRESET, --preference TEXT or --wish TEXT"),
        ("-p concise --strength 2 --alpha 1", 2, "cannot be combined"),
        ("-p concise --strength 2 --method la", 2, "has a strength of its own, 3"),
        ("-p concise --eta 1 --method base", 2, "has a strength of its own, 0"),
        ("-p concise --alpha nan", 2, "must be finite numbers"),
        ("-p concise --eta 0", 2, "lambda and eta above 0"),
        ("-p concise --iterations 0", 2, "--iterations: must be a whole number from 1"),
        ("-p concise --iterations 2000000", 2, "iterations must be at most 100,000"),
        ("-p concise --alpha 30", 2, "lower alpha or raise lambda"),
        ("--trace", 2, "use it together with --json"),
    ],
)
def test_a_bad_request_is_one_sentence_and_nothing_is_loaded(
    amulet: Amulet, engine: FakeEngine, options: str, code: int, told: str
) -> None:
    result = amulet("ask", "?", *options.split())
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("amulet: ")
    assert result.err.count("\n") == 1
    assert told in result.err
    assert not engine.loads


@pytest.mark.parametrize("arguments", [["ask"], ["ask", "  "], ["ask", ""]])
def test_no_question_says_how_to_ask_one(
    amulet: Amulet, engine: FakeEngine, arguments: list[str]
) -> None:
    result = amulet(*arguments)
    assert result.code == 2
    assert 'type one like this: amulet ask "question"' in result.err


def test_a_broken_config_is_named(amulet: Amulet, engine: FakeEngine) -> None:
    configure("max_token = 9")
    result = amulet("ask", "?")
    assert result.code == 3
    assert "config.toml is not valid" in result.err


def test_a_broken_preset_is_named_with_its_line(amulet: Amulet, engine: FakeEngine) -> None:
    make_preset("mine", 'preference = "x"\nguard = 3')
    result = amulet("ask", "?", "-p", "mine")
    assert result.code == 3
    assert "line 2: guard" in result.err
    assert amulet("ask", "?", "-p", "concise").code == 0


# -- models that one cannot chat with -------------------------------------------------------------


def test_without_the_default_model_it_says_what_to_type(amulet: Amulet) -> None:
    result = amulet("ask", "?")
    assert result.code == 3
    assert result.err.rstrip().endswith("amulet models pull default")


@pytest.mark.parametrize(
    "content", [None, b"", b"Dear diary, this is no model.", b"GGUF", b"GGUF\x03\x00\x00\x00"]
)
def test_a_bad_model_file_is_one_sentence(
    amulet: Amulet, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    result = amulet("ask", "?", "-m", str(path))
    assert (result.code, result.out) == (3, "")
    assert result.err.count("\n") == 1
    assert str(path) in result.err
