"""The bench measures what it says; calibration is kept, used, and goes stale with its model."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amulet_local.bench.report import Report, run
from amulet_local.bench.timing import TimeLeft
from amulet_local.cli import main
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.autotune import Tuning, autotune, keep_autotuned
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import Autotuned, with_autotuned
from amulet_local.settings import autotune_file
from tests.checks import some
from tests.tiny_models import write_llama, write_mamba

pytestmark = pytest.mark.model

OPTIONS = LoadOptions(context=2560)
FOUND = Autotuned(streams="two-contexts", threads=3, flash_attention="on", batch=64)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path, vocabulary=2048, context=4096)
    return path


def test_a_run_measures_every_way_to_decode(tiny: Path) -> None:
    said: list[str] = []
    report = run(str(tiny), OPTIONS, said.append, draft=str(tiny), tokens=8, repeat=1)
    names = [arm.name for arm in report.arms]
    assert names[0] == "plain"
    for name in (
        "high-level chat completion",
        "two contexts",
        "one context",
        "one context, 3 preferences",
    ):
        assert name in names
    assert {arm.task for arm in report.arms if "n-gram" in arm.name} == {"prose", "copy-edit"}
    for arm in some(report.arms):
        assert arm.tokens_per_s.low <= arm.tokens_per_s.median <= arm.tokens_per_s.high
        assert arm.layer >= 1
    by_name = {arm.name: arm for arm in report.arms}
    assert by_name["plain"].overhead == 1
    assert by_name["one context, draft model"].tokens_per_step >= 1
    rows = {turn.name: turn.rows for turn in report.turns}
    assert rows["next turn, plain"] < 150
    assert rows["next turn, lockstep, system placement"] == 2 * rows["next turn, plain"]
    changed = "other preference in a 2k-token chat, "
    assert rows[f"{changed}turn placement"] < rows[f"{changed}system placement"] / 5
    added = rows["one more preference at 2k tokens, turn placement"]
    assert added < rows[f"{changed}system placement"] / 5
    cells = {kv.name: kv.cells for kv in report.kv}
    assert cells["one context, turn placement, 3 preferences"] <= 1.3 * cells["plain"]
    assert cells["one context, turn placement"] <= 1.15 * cells["plain"]
    assert cells["two contexts"] == 2 * cells["plain"]
    assert set(report.outside_ms) >= {"realign", "guard", "sampler", "detokenise", "pipe"}
    assert said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--context", "1"), "--context is too small to measure in; give it 256 or more."),
        (("--context", "256"), "a context of 256 tokens has no room for what is measured; give a "),
        (("--context", "1024"), "a context of 1,024 tokens has no room for what is measured"),
        (("--tokens", "9999"), "a context of 3,072 tokens has no room for what is measured"),
    ],
)
def test_a_context_without_room_is_told(
    more: tuple[str, str], said: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "-m", str(tiny), "--tokens", "4", "--repeat", "1", *more]) == 2
    assert said in capsys.readouterr().err


def test_the_time_left_follows_from_how_fast_the_work_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("amulet_local.bench.timing.time.perf_counter", lambda: now[0])
    said: list[str] = []
    left = TimeLeft(said.append, total=100)
    left.next("plain", 10)
    now[0] += 30  # for a tenth of it
    left.next("one context", 80)
    now[0] += 240
    left.next("memory", 10)
    assert said == ["plain", "one context, about 4 min left", "memory, about 30 s left"]


def test_a_model_that_cannot_rewind_is_measured_without_drafts(tmp_path: Path) -> None:
    path = tmp_path / "mamba.gguf"
    write_mamba(path)
    report = run(str(path), OPTIONS, lambda _: None, tokens=4, repeat=1)
    assert not [arm for arm in report.arms if "drafts" in arm.name]


def test_calibration_fills_what_is_left_open_and_nothing_else(tiny: Path) -> None:
    assert with_autotuned(OPTIONS, str(tiny)) == OPTIONS
    found = autotune(str(tiny), OPTIONS, lambda _: None, repeat=1)
    settled = with_autotuned(OPTIONS, str(tiny))
    assert settled.streams == found.streams
    assert (settled.threads, settled.batch) == (found.threads, found.batch)
    assert settled.flash_attention == found.flash_attention != "auto"
    chosen = LoadOptions(streams="two-contexts", threads=7, flash_attention="on", batch=64)
    assert with_autotuned(chosen, str(tiny)) == chosen


def test_a_search_that_is_given_up_begins_the_choice_anew(tiny: Path) -> None:
    with closing(Model(str(tiny))) as model, closing(Tuning(model, OPTIONS, 1)) as tuning:
        tuning.go_on()
        tuning.abort()
        for _ in range(2):
            with pytest.raises(AbortedError):
                tuning.go_on()
        tuning.resume()
        settling = []
        while not tuning.over:
            settling.append(tuning.now)
            tuning.go_on()
    assert settling[:4] == ["flash attention"] * 4
    assert set(settling) == {"flash attention", "threads", "streams", "batch"}


def test_calibration_leaves_a_quantised_cache_its_flash_attention(tiny: Path) -> None:
    keep_autotuned(str(tiny), FOUND)
    quantised = msgspec.structs.replace(OPTIONS, kv_type="q8_0")
    assert with_autotuned(quantised, str(tiny)).flash_attention == "auto"


def test_a_model_file_that_changed_is_calibrated_anew(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "model.gguf"
    write_llama(path, vocabulary=2048)
    keep_autotuned(str(path), FOUND)
    assert with_autotuned(OPTIONS, str(path)) != OPTIONS
    os.utime(path, ns=(1, 1))
    assert with_autotuned(OPTIONS, str(path)) == OPTIONS


def test_a_damaged_calibration_is_as_none(tiny: Path, home: Path) -> None:
    keep_autotuned(str(tiny), FOUND)
    kept = Path(autotune_file(str(tiny)))
    assert kept.is_relative_to(home)
    kept.write_text("{")
    assert with_autotuned(OPTIONS, str(tiny)) == OPTIONS


def test_what_cannot_be_kept_is_told_and_shown_all_the_same(
    tiny: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("a file where the folder should be")
    assert main(["bench", "-m", str(tiny), "--calibrate"]) == 0
    shown = capsys.readouterr()
    assert "flash_attention" in shown.out
    assert "Kept" not in shown.out
    assert shown.err.startswith("amulet: the result could not be saved (")
    assert shown.err.endswith("Not a directory).\n")


def test_the_command(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured once is shown in both ways."""
    measured: list[Report] = []

    def once(*arguments: Any, **more: Any) -> Report:
        measured[:] = measured or [run(*arguments, **more)]
        return measured[0]

    monkeypatch.setattr("amulet_local.bench.report.run", once)
    short = ["bench", "-m", str(tiny), "--tokens", "4", "--repeat", "1", "--context", "2560"]
    assert main([*short, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arms"][0]["name"] == "plain"
    assert main(["bench", "-m", str(tiny), "--quick", "--json"]) == 0
    quick = json.loads(capsys.readouterr().out)
    ratio = quick["plain"]["median"] / quick["realigned"]["median"]
    assert quick["ratio"] == pytest.approx(ratio)
    assert quick["realigned_first_s"]["median"] > 0
    assert main([*short, "--markdown"]) == 0
    assert "| plain | prose |" in capsys.readouterr().out
    assert main(["bench", "-m", str(tiny), "--calibrate", "--json"]) == 0
    assert Autotuned(**json.loads(capsys.readouterr().out)).threads >= 1
    assert main(["bench", "-m", "nowhere.gguf"]) == 3
