"""What `amulet ask` asks of the engine, by presets and options."""

from __future__ import annotations

import json

import pytest

from amulet_local.presets.calibrated import Calibrated, keep_strength
from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH, load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import USUAL_GUARD, Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Stats
from amulet_local.strengths import AMULET, Update
from tests.asking import built_in_strength
from tests.cli.asking import asked, configure, make_preset
from tests.cli.conftest import Amulet, use
from tests.fake_engine import FakeEngine, Thinks

# -- what is asked of the engine ------------------------------------------------------------------


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


def test_guesses_learn_but_where_a_reply_is_to_come_out_the_same(
    amulet: Amulet, engine: FakeEngine
) -> None:
    assert asked(amulet, engine).learns
    for options in (("--seed", "3"), ("--temperature", "0"), ("--preference", "Rhyme.", "--paper")):
        assert not asked(amulet, engine, *options).learns


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
    assert result.err.startswith("amulet: this is only a wish; ")
    assert not engine.loads


def test_the_wish_is_in_the_document(amulet: Amulet, engine: FakeEngine) -> None:
    document = amulet("ask", "Where to? !! short", "--json").document
    assert document["wish"] == "short"
    assert document["method"] == "amulet"
