"""Several preferences on the command line: `-p NAME:S`, words, mixes in files, and what is said."""

from __future__ import annotations

import pytest

from amulet_local.presets.preset import load_presets
from amulet_local.protocol.alignment import Fader
from amulet_local.settings import mixes_folder
from tests.asking import built_in_strength
from tests.cli.asking import CONCISE, asked, make_preset
from tests.cli.conftest import Amulet
from tests.fake_engine import FakeEngine


def make_mix(name: str, text: str) -> None:
    mixes_folder().mkdir(parents=True, exist_ok=True)
    (mixes_folder() / f"{name}.toml").write_text(text, "utf-8")


def words(name: str) -> str:
    return load_presets().get(name).preference


def test_each_preference_has_its_strength_in_the_order_they_were_typed(
    amulet: Amulet, engine: FakeEngine
) -> None:
    options = ("-p", "concise:1.5", "--preference", "British spelling:0.5", "-p", "sycophantic:-1")
    request = asked(amulet, engine, *options)
    assert request.alignment.mix == (
        Fader(CONCISE, 1.5, "concise"),
        Fader("British spelling", 0.5),
        Fader(words("sycophantic"), -1.0, "sycophantic"),
    )
    assert request.alignment.preference == ""
    assert request.trace
    document = amulet("ask", "?", *options, "--json").document
    assert document["preset"] is None
    assert [fader["strength"] for fader in document["mix"]] == [1.5, 0.5, -1.0]
    assert document["strength"] == 2.0  # how far it leads along its way


def test_a_preference_without_a_strength_has_its_usual_one(
    amulet: Amulet, engine: FakeEngine
) -> None:
    concise, formal = asked(amulet, engine, "-p", "concise", "-p", "formal:gently").alignment.mix
    assert concise.strength == built_in_strength("concise")
    assert formal.strength == 1.5


def test_one_preference_with_a_strength_is_what_it_was(amulet: Amulet, engine: FakeEngine) -> None:
    one = asked(amulet, engine, "-p", "concise:2", "--seed", "1")
    assert one == asked(amulet, engine, "-p", "concise", "--strength", "2", "--seed", "1")
    in_words = asked(amulet, engine, "--preference", "Rhyme.:2").alignment
    assert (in_words.preference, in_words.strength) == ("Rhyme.", 2.0)


@pytest.mark.parametrize("text", ["Use the ratio 3:2", "Use this form: x", "At 10:30", "a:b:c"])
def test_a_colon_in_words_is_theirs(amulet: Amulet, engine: FakeEngine, text: str) -> None:
    assert asked(amulet, engine, "--preference", text).alignment.preference == text


def test_of_a_preset_given_twice_the_later_counts_and_that_is_said(
    amulet: Amulet, engine: FakeEngine
) -> None:
    result = amulet("ask", "?", "-p", "concise:1", "-p", "formal:1", "-p", "concise:-1")
    assert "Concise was given more than once; the last one counts." in result.err
    strengths = {fader.name: fader.strength for fader in engine.requests[-1].alignment.mix}
    assert strengths == {"concise": -1.0, "formal": 1.0}


def test_more_than_the_model_bears_is_said_and_a_strength_turns_all_together(
    amulet: Amulet, engine: FakeEngine
) -> None:
    options = ("-p", "concise:2.5", "-p", "formal:1.5", "-p", "sycophantic:-2")
    result = amulet("ask", "?", *options)
    assert result.err == (
        "amulet: the strengths add up to 6, but this model can take only about 3; to scale them "
        "together, add: --strength 3\n"
    )
    assert [f.strength for f in engine.requests[-1].alignment.mix] == [2.5, 1.5, -2.0]
    assert amulet("ask", "?", *options, "--strength", "3").err == ""
    assert [f.strength for f in engine.requests[-1].alignment.mix] == [1.25, 0.75, -1.0]
    assert amulet("ask", "?", "-p", "concise:1.5", "-p", "formal:1.5").err == ""


def test_presets_agree_on_guard_place_and_system_prompt(amulet: Amulet, engine: FakeEngine) -> None:
    make_preset("one", 'preference = "A."\nguard = 0.2\nsystem = "A poet."')
    make_preset("two", 'preference = "B."\nguard = 0.05\nplacement = "turn"\nsystem = "A cook."')
    request = asked(amulet, engine, "-p", "one:1", "-p", "two:1")
    assert (request.alignment.guard, request.alignment.placement) == (0.2, "turn")
    assert request.system == "A poet."
    assert asked(amulet, engine, "-p", "one:1", "-p", "two:1", "--guard", "0").alignment.guard == 0


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (" ".join(f"--preference No.{n}" for n in range(7)), 2, "at most 6 preferences"),
        ("-p concise:strong -p formal", 2, "the strength of -p concise must be a number"),
        ("-p concise:nan -p formal", 2, "must be a number from -1000 to 1000"),
        ("-p concise:1e9 -p formal", 2, "must be a number from -1000 to 1000"),
        ("-p concise: -p formal", 2, "must be a number"),
        (f"-p concise:{'9' * 999}", 2, f"to 1000, not '{'9' * 59}…'"),
        ("-p concise -p gone", 3, "there is no preset called 'gone'"),
        ("-p concise -p :2", 3, "the name of a preset is missing"),
        (f"-p {'x' * 99}", 3, f"there is no preset called '{'x' * 59}…'"),
        ("-p concise:2 --strength 2", 2, "the strength is given twice"),
        ("-p concise -p formal --alpha 1", 2, "the paper's parameters are for one preference"),
        ("-p concise -p formal --method la --strength 2", 2, "a strength of its own, 3"),
        ("-p work:2", 2, "work is a mix, whose faders have strengths of their own"),
        ("-p itself", 3, "it names itself"),
        ("-p nested", 3, "work is a mix as well"),
        ("-p vanished", 3, "there is no preset called 'gone' any more"),
        ("-p crowded", 3, "of length <= 6"),
        ("-p twice", 3, "Concise is in it twice"),
        ("-p bad", 3, "line 3: strength: "),
        ("-p empty", 3, "give every [[fader]] a preset, or a preference in words"),
    ],
)
def test_what_cannot_be_mixed_is_a_sentence_and_nothing_is_loaded(
    amulet: Amulet, engine: FakeEngine, options: str, code: int, told: str
) -> None:
    make_mix("work", '[[fader]]\npreset = "concise"')
    make_mix("itself", '[[fader]]\npreset = "itself"')
    make_mix("nested", '[[fader]]\npreset = "work"')
    make_mix("vanished", '[[fader]]\npreset = "gone"')
    make_mix("crowded", "".join(f'[[fader]]\npreference = "No. {n}"\n' for n in range(7)))
    make_mix("twice", '[[fader]]\npreset = "concise"\n[[fader]]\npreset = "concise"')
    make_mix("bad", '[[fader]]\npreset = "concise"\nstrength = "strong"')
    make_mix("empty", "[[fader]]\nstrength = 1")
    result = amulet("ask", "?", *options.split())
    assert (result.code, result.out) == (code, "")
    assert told in result.err
    assert result.err.count("\n") == 1
    assert engine.loads == []


# -- mixes in files -------------------------------------------------------------------------------


def test_a_mix_is_made_listed_shown_and_asked_for(amulet: Amulet, engine: FakeEngine) -> None:
    made = amulet("presets", "mix", "work", "-p", "concise:1.5", "--preference", "British:0.5")
    assert made.code == 0
    assert made.out.endswith('try it: amulet ask "question" -p work\n')
    listed = amulet("presets")
    assert "Your mixes" in listed.out
    assert "concise:1.5, British:0.5" in listed.out
    document = amulet("presets", "--json").document
    assert [mix["name"] for mix in document["mixes"]] == ["work"]
    shown = amulet("presets", "show", "work").out
    assert f"# +1.50  {CONCISE}\n# +0.50  British\n" in shown
    assert amulet("presets", "show", "work", "--json").document == document["mixes"][0]
    mix = asked(amulet, engine, "-p", "work").alignment.mix
    assert mix == (Fader(CONCISE, 1.5, "concise"), Fader("British", 0.5))
    more = asked(amulet, engine, "-p", "work", "-p", "formal:1").alignment.mix
    assert [fader.strength for fader in more] == [1.5, 0.5, 1.0]


def test_a_mix_says_what_its_presets_do_not(amulet: Amulet, engine: FakeEngine) -> None:
    make_mix(
        "work",
        'guard = 0.25\nplacement = "turn"\nsystem = "A clerk."\n[sampling]\ntemperature = 0.1\n'
        '[[fader]]\npreset = "concise"\nstrength = "gently"\n'
        '[[fader]]\npreset = "formal"\nmuted = true',
    )
    request = asked(amulet, engine, "-p", "work")
    alignment = request.alignment
    assert (alignment.guard, alignment.placement, request.system) == (0.25, "turn", "A clerk.")
    assert alignment.sampling.temperature == 0.1
    assert [(f.strength, f.muted) for f in alignment.mix] == [
        (1.5, False),
        (built_in_strength("formal"), True),
    ]


def test_a_broken_mix_is_told_of_below_the_list(amulet: Amulet) -> None:
    make_mix("itself", '[[fader]]\npreset = "itself"')
    result = amulet("presets")
    assert result.code == 0
    assert "itself.toml cannot be used (it names itself" in result.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("No Name", "cannot be called"),
        ("system", "a mix cannot be called system, which stands for a client's own system message"),
        ("m" * 5000, f"cannot be called '{'m' * 59}…'; use lower-case letters"),
        ("concise", "already a preset"),
        ("work", "already a mix"),
    ],
)
def test_a_mix_needs_a_name_of_its_own(amulet: Amulet, name: str, told: str) -> None:
    make_mix("work", '[[fader]]\npreset = "concise"')
    result = amulet("presets", "mix", name, "-p", "concise:1", "-p", "formal:1")
    assert result.code == 2
    assert told in result.err
    assert amulet("presets", "mix", "other").code == 2
