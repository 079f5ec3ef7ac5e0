"""What tests of `amulet ask` set up, and the keys of its document."""

from __future__ import annotations

from amulet_local.protocol.messages import Reply
from amulet_local.settings import config_folder, presets_folder
from tests.cli.conftest import Amulet
from tests.fake_engine import FakeEngine

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


def asked(amulet: Amulet, engine: FakeEngine, *options: str, piped: bytes | None = None) -> Reply:
    result = amulet("ask", "Where to?", *options, piped=piped)
    assert result.code == 0, result.err
    return engine.requests[-1]
