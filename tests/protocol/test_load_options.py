"""What config.toml says of the engine is taken, or refused in a sentence that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from amulet_local.engine.engine import Engine
from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load
from amulet_local.settings import config_folder, load_settings
from tests.asking import ask, reply
from tests.checks import some
from tests.tiny_models import write_llama

HUGE = "9" * 40


def configure(line: str) -> None:
    config_folder().mkdir(parents=True, exist_ok=True)
    (config_folder() / "config.toml").write_text(f"[engine]\n{line}\n", "utf-8")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("context", ["-1", "1.5", "2147483648", "16777217", HUGE, "nan", "true", '"4096"']),
        ("threads", ["-1", "513", "2147483648", HUGE, "inf"]),
        ("gpu_layers", ["-2", "2147483648", HUGE, "-9" + HUGE, '"some"']),
        ("batch", ["-1", "65537", HUGE, "nan", "0.5"]),
        ("step_cost", ["-0.1", "1e9", HUGE, "nan", "inf", "-inf"]),
        ("tensor_split", ["[-1]", "[nan]", "[inf]", "[1e30]", f"[{HUGE}]", "1", str([1] * 17)]),
        ("rpc", [str(["host:1"] * 17)]),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_its_key(key: str, values: list[str]) -> None:
    for value in some(values):
        configure(f"{key} = {value}")
        with pytest.raises(
            NotUsableError, match=rf"config\.toml is not valid \(.*\b{key}\b"
        ) as met:
            load_settings()
        assert "\n" not in str(met.value)


@pytest.mark.parametrize(
    "line",
    [
        *("context = 0", "context = 1", "context = 16777216", "threads = 512", "batch = 65536"),
        *("gpu_layers = 2147483647", "gpu_layers = -1", "step_cost = 0", "step_cost = 1000.0"),
        *("tensor_split = [24e9, 0, 0.0]", "tensor_split = []", "batch = 1"),
    ],
)
def test_the_bounds_themselves_are_taken(line: str) -> None:
    configure(line)
    assert load_settings().engine is not None


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(batch=1),
        LoadOptions(batch=3, streams="two-contexts"),
        LoadOptions(batch=65536),
        LoadOptions(context=300, batch=5000, draft="ngram"),
        LoadOptions(gpu_layers=2147483647, step_cost=1000.0),
        LoadOptions(tensor_split=(0.0, 0.0), gpu_layers=1),
        LoadOptions(tensor_split=(1e18,) * 16),
    ],
)
def test_an_engine_with_odd_numbers_writes_what_any_other_does(
    options: LoadOptions, tmp_path: Path, tiny_engine: Engine
) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    options = replace(options, flash_attention="off", context=options.context or 512)
    engine = Engine(Load(str(path), options), lambda _: True)
    request = ask(Message("user", "ab ab ab ab"), max_tokens=40)
    written = reply(engine, request)
    assert written.token_ids == reply(tiny_engine, request).token_ids
    assert len(written.token_ids) > 20
    engine.close()
