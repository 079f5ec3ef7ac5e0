"""Which format is the right one here: measured, told with its numbers, kept, and offered only where
it is a fifth faster at no more than one percent of perplexity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from amulet_local.bench import formats
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.offload import Offload
from amulet_local.settings import models_folder
from models import apart, format_trial
from models.fetch import FetchCancelledError, Progress
from models.format_trial import Outlook, Trial, Tried, outlook, run, try_types
from models.inspection import inspect
from models.quantisation import quantise
from tests.tiny_models import write_llama

OPTIONS = LoadOptions()
SHORT = LoadOptions(context=512)
HERE = Offload(0, 3, (), 0, True)
WORTH_IT = Tried("q4_0", 1.34, 1.004, 0.003)
TOO_DEAR = Tried("q4_0", 1.51, 1.052, 0.006)
TOO_SLOW = Tried("q8_0", 1.05, 0.998, 0.002)


@pytest.fixture(autouse=True)
def _a_usual_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.quantisation.repacks", lambda: True)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.F32.gguf"
    write_llama(path)
    return path


def promised(path: Path, *types: str) -> Outlook:
    card = inspect(path)
    return Outlook(card, types, card, None)


def trial_of(path: Path, *tried: Tried) -> Trial:
    return Trial("F32", str(path), "", tried)


def left_in_the_folder() -> list[Path]:
    return list(models_folder().glob("*"))


# -- what is worth it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "perplexity", "worth_it"),
    [
        (1.2, 1.01, True),
        (1.19, 1.0, False),
        (2.0, 1.011, False),
        (1.5, 0.99, True),
    ],
)
def test_a_format_is_worth_it_where_it_is_fast_and_good(
    speed: float, perplexity: float, worth_it: bool
) -> None:
    assert Tried("q4_0", speed, perplexity, 0.01).is_worth_it is worth_it


@pytest.mark.parametrize(
    ("speed", "perplexity", "margin", "settled"),
    [
        (1.1, 1.01, 0.05, True),  # too slow, whatever it costs
        (1.5, 1.10, 0.02, True),
        (1.5, 1.02, 0.02, False),
        (1.5, 1.00, 0.002, True),
    ],
)
def test_more_text_is_read_for_as_long_as_it_may_change_that(
    speed: float, perplexity: float, margin: float, settled: bool
) -> None:
    assert Tried("q4_0", speed, perplexity, margin).is_settled is settled


def test_both_numbers_are_told_where_a_copy_is_worth_it() -> None:
    trial = trial_of(Path("/models/Tiny.F16.gguf"), TOO_SLOW, WORTH_IT)
    assert trial.best is WORTH_IT
    assert trial.copy == models_folder() / "Tiny.Q4_0.gguf"
    assert trial.sentence == (
        "Measured here, a Q4_0 copy is 1.34 times as fast as F32 at 0.4% (± 0.3) more perplexity, "
        "made from Tiny.F16.gguf."
    )


def test_both_numbers_are_told_where_none_is() -> None:
    trial = trial_of(Path("/models/Tiny.Q8_0.gguf"), TOO_DEAR, TOO_SLOW)
    assert (trial.best, trial.copy) == (None, None)
    assert trial.sentence == (
        "Measured here beside F32, Q4_0 would be 1.51 times as fast at 5.2% (± 0.6) more "
        "perplexity and Q8_0 would be 1.05 times as fast at 0.2% (± 0.2) less perplexity: not "
        "worth it."
    )


def test_weights_that_are_rounded_twice_are_told_with_the_numbers() -> None:
    trial = structs.replace(trial_of(Path("a.gguf"), TOO_DEAR), twice="its weights were rounded")
    assert trial.sentence.endswith("not worth it; its weights were rounded.")


# -- what is kept ---------------------------------------------------------------------------------


def test_what_was_found_is_kept_until_the_file_or_its_source_changes(
    tiny: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.gguf"
    source.touch()
    trial = trial_of(source, WORTH_IT)
    assert format_trial.kept(tiny, OPTIONS) is None
    format_trial.keep(tiny, OPTIONS, trial)
    assert format_trial.kept(tiny, OPTIONS) == trial
    assert format_trial.kept(tiny, LoadOptions(threads=7)) is None
    source.unlink()
    assert format_trial.kept(tiny, OPTIONS) is None
    source.touch()
    tiny.write_bytes(tiny.read_bytes() + b"\x00")
    assert format_trial.kept(tiny, OPTIONS) is None


def test_what_is_kept_and_damaged_counts_as_nothing(tiny: Path) -> None:
    format_trial.keep(tiny, OPTIONS, trial_of(tiny, WORTH_IT))
    kept = format_trial._file(tiny, OPTIONS)
    kept.write_bytes(kept.read_bytes().replace(b"1.34", b"-1.0"))
    assert format_trial.kept(tiny, OPTIONS) is None


def test_a_full_disk_keeps_nothing_and_fails_nothing(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "data").touch()
    format_trial.keep(tiny, OPTIONS, trial_of(tiny, WORTH_IT))
    assert format_trial.kept(tiny, OPTIONS) is None


def test_before_it_is_measured_it_is_a_rule_of_thumb(tiny: Path) -> None:
    card = inspect(tiny)
    found = outlook(card, HERE, [card], OPTIONS)
    assert found
    assert found.types[-1] == "q8_0"
    assert found.sentence.startswith(
        "On this processor a copy in Q4_0 or Q8_0 may be faster than F32"
    )


def test_what_was_measured_takes_its_place_unless_there_is_a_better_source_now(
    tiny: Path,
) -> None:
    card = replace(inspect(quantise(tiny, "q8_0", lambda *_: None)), quantisation="Q4_1")
    trial = trial_of(card.path, TOO_DEAR)
    format_trial.keep(card.path, OPTIONS, trial)
    alone = outlook(card, HERE, [card], OPTIONS)
    assert alone
    assert (alone.trial, alone.sentence) == (trial, trial.sentence)
    with_source = outlook(card, HERE, [card, inspect(tiny)], OPTIONS)
    assert with_source
    assert (with_source.trial, with_source.source.path) == (None, tiny)


def test_nothing_is_promised_where_no_type_is_worth_trying(tiny: Path) -> None:
    card = replace(inspect(tiny), quantisation="IQ2_XS")
    assert outlook(card, HERE, [card], OPTIONS) is None


def test_four_bits_from_four_bits_promise_little(tiny: Path) -> None:
    card = inspect(tiny)
    few = replace(card, quantisation="Q4_1")
    assert Outlook(few, ("q4_0",), card, None).is_promising
    assert not Outlook(few, ("q4_0",), few, None).is_promising
    assert Outlook(few, ("q4_0", "q8_0"), few, None).is_promising


# -- a trial --------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.slow
def test_a_trial_measures_in_a_process_of_its_own_and_leaves_no_copy(tiny: Path) -> None:
    seen: list[Progress] = []
    trial = run(promised(tiny, "q8_0"), OPTIONS, seen.append)
    (tried,) = trial.tried
    assert (tried.type, trial.type, trial.source) == ("q8_0", "F32", str(tiny))
    assert tried.speed > 0
    assert tried.perplexity == pytest.approx(1.0, abs=0.05)
    assert {it.stage for it in seen} == {"writing", "measuring"}
    assert {it.type for it in seen} == {"q8_0"}
    assert left_in_the_folder() == []
    assert format_trial.kept(tiny, OPTIONS) == trial


@pytest.mark.model
def test_the_first_type_that_is_worth_it_ends_the_trial(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(format_trial, "LEAST_SPEED", 0.0)
    tried = try_types(tiny, tiny, ["f32", "q8_0"], SHORT, lambda _: None)
    assert [each.type for each in tried] == ["f32"]


@pytest.mark.model
def test_a_copy_that_is_here_is_measured_and_stays(tiny: Path) -> None:
    copy = quantise(tiny, "q8_0", lambda *_: None)
    seen: list[Progress] = []
    try_types(tiny, tiny, ["q8_0"], SHORT, seen.append)
    assert {it.stage for it in seen} == {"measuring"}
    assert left_in_the_folder() == [copy]


@pytest.mark.slow
def test_a_trial_that_is_given_up_leaves_nothing(tiny: Path) -> None:
    with pytest.raises(FetchCancelledError, match=r"no other format of Tiny.F32.gguf"):
        run(promised(tiny, "q8_0"), OPTIONS, lambda _: None, lambda: True)
    assert left_in_the_folder() == []
    assert format_trial.kept(tiny, OPTIONS) is None


@pytest.mark.slow
def test_an_interrupt_ends_the_process_and_leaves_nothing(tiny: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(promised(tiny, "q8_0"), OPTIONS, interrupt)
    assert left_in_the_folder() == []


@pytest.mark.model
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(UsageError, match=r"writing Tiny.Q8_0.gguf needs .* make room"):
        try_types(tiny, tiny, ["q8_0"], SHORT, lambda _: None)
    assert left_in_the_folder() == []


@pytest.mark.model
def test_measuring_that_fails_leaves_nothing(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise NotUsableError("no.")

    monkeypatch.setattr(formats.Formats, "compare", fails)
    with pytest.raises(NotUsableError, match="no"):
        try_types(tiny, tiny, ["q8_0"], SHORT, lambda _: None)
    assert left_in_the_folder() == []


@pytest.mark.slow
def test_a_damaged_model_is_one_sentence(tiny: Path) -> None:
    found = promised(tiny, "q8_0")
    tiny.write_bytes(tiny.read_bytes()[:5000])
    with pytest.raises(NotUsableError, match="could not be loaded"):
        run(found, OPTIONS, lambda _: None)
    assert left_in_the_folder() == []


def test_a_lack_of_memory_is_told_before_anything_is_written(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(format_trial, "free_memory", lambda: 1_000_000)
    with pytest.raises(NotUsableError, match=r"only 0\.0 GB are free; close other programs"):
        run(promised(tiny, "q8_0"), OPTIONS, lambda _: None)


def test_a_process_that_crashes_is_one_sentence_and_what_it_wrote_goes() -> None:
    models_folder().mkdir(parents=True)
    remnant = models_folder() / "Tiny.Q8_0.gguf.999999999 1.0.part"
    remnant.touch()
    with pytest.raises(NotUsableError, match="it crashed"):
        apart.run_apart(
            "models.nowhere",
            [],
            lambda _: None,
            lambda: False,
            stopped="no.",
            crashed="it crashed.",
        )
    assert left_in_the_folder() == []
