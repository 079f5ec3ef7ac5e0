"""Small files that Amulet and other programs keep, which say something else than they did: each
counts as none, or is refused in a sentence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from amulet_local.errors import AmuletError
from amulet_local.evaluation.instructions import read_instructions
from amulet_local.evaluation.questions import read_questions
from amulet_local.evaluation.records import Folder
from amulet_local.presets import calibrated
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.loading import LoadOptions
from amulet_local.runtime.load_defaults import with_autotuned
from amulet_local.server.address import known_server
from amulet_local.settings import (
    autotune_file,
    data_folder,
    format_trial_file,
    models_folder,
    strengths_file,
)
from models import format_trial
from models.library import listing
from models.receipts import receipts
from tests.torture.part import Part
from tests.torture.texts_parts import check_sentence
from tui.session.better_model import last_model
from tui.themes import first_theme

_MODEL = "/m.gguf"


@dataclass(frozen=True)
class _File:
    """path: where it is. good: what it may say, in JSON or as it is. use: reads it, and does with
    it what is done."""

    path: Callable[[], Path]
    good: Any
    use: Callable[[], object]


def _at_home(*names: str) -> Callable[[], Path]:
    return lambda: Path.home().joinpath(*names)


_QUESTIONS, _INSTRUCTIONS = _at_home("questions.jsonl"), _at_home("instructions.jsonl")
_INSTRUCTION = {
    "question": "Why?",
    "question_with_instruction": "Why? Use no commas.",
    "instruction_id_list": ["length_constraints:number_words"],
    "kwargs": [{"num_words": 9, "relation": "at least"}],
}


def _strengths() -> None:
    for preset in (*load_presets().presets.values(), None):
        assert abs(calibrated.usual_strength(_MODEL, preset)) <= 1000
    calibrated.forget_strengths(_MODEL, [])


def _trials() -> None:
    if found := format_trial.kept(Path(_MODEL), LoadOptions()):
        assert found.copy is None or isinstance(found.copy, Path)


def _trial_file() -> Path:
    options = LoadOptions()
    loaded = f"{options.threads} {options.streams} {options.flash_attention} {options.kv_type}"
    return format_trial_file(_MODEL, loaded)


def _evaluated() -> None:
    folder = Folder(Path.home() / "eval")
    folder.setting()
    folder.replies()
    folder.judgements()


def _complete() -> None:
    for receipt in receipts():
        receipt.is_complete()


_STRENGTH = {"strength": 2.0, "preference": "x", "guard": 0.1, "placement": "system"}
_STRENGTH |= {"perplexity": 1.0, "distinct_3": 1.0, "on_question": 1.0}
_LAYER = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "0" * 64}
_TUNED = {"streams": "auto", "threads": 2, "flash_attention": "on", "batch": 512}
_TRIED = {"type": "Q4_0", "speed": 2.0, "perplexity": 1.0, "margin": 0.1}
_SETTING = {"model": "m", "system": "", "placement": "system", "sampling": {}, "seed": 0}
_REPLY = {"question": 0, "asked": "a", "preference": "p", "words": "w", "variant": "v"}
_REPLY |= {"method": "la", "strength": 1.0, "guard": 0.0, "text": "t", "token_ids": [1]}

_FILES = (
    _File(
        lambda: data_folder() / "server.json",
        {"url": "http://127.0.0.1:1", "model": "m", "process": f"{os.getpid()} 1.0"},
        known_server,
    ),
    _File(lambda: strengths_file(_MODEL), {"": _STRENGTH, "concise": _STRENGTH}, _strengths),
    _File(lambda: autotune_file(_MODEL), _TUNED, lambda: with_autotuned(LoadOptions(), _MODEL)),
    _File(
        _trial_file,
        {"type": "Q8_0", "source": "/dev/null", "twice": "", "tried": [_TRIED]},
        _trials,
    ),
    _File(
        lambda: models_folder() / ".receipts.json",
        [{"source": "a", "parts": [{"file": "m.gguf", "size": 1}]}],
        _complete,
    ),
    _File(
        _at_home(".ollama/models/manifests/host/library/m/latest"), {"layers": [_LAYER]}, listing
    ),
    _File(_at_home(".lmstudio/settings.json"), {"downloadsFolder": "/nowhere"}, listing),
    _File(_at_home(".lmstudio-home-pointer"), "/nowhere", listing),
    _File(_at_home(".config/Jan/settings.json"), {"data_folder": "/nowhere"}, listing),
    _File(_at_home(".config/nomic.ai/GPT4All.ini"), "[General]\nmodelPath=/nowhere\n", listing),
    _File(_at_home("eval/setting.json"), _SETTING | {"max_tokens": 8}, _evaluated),
    _File(_at_home("eval/replies.jsonl"), _REPLY, _evaluated),
    _File(_at_home("eval/judgements.jsonl"), {"type": "verdict"}, _evaluated),
    _File(_QUESTIONS, {"index": 1, "question": "Why?"}, lambda: read_questions(_QUESTIONS())),
    _File(_INSTRUCTIONS, _INSTRUCTION, lambda: read_instructions(_INSTRUCTIONS())),
    _File(lambda: data_folder() / "theme", "light", lambda: first_theme("")),
    _File(lambda: data_folder() / "model", "/dev/null", last_model),
)
_ODD: list[Any] = [None, True, 0, -1, 2**63, 2**64, 10**400, 1e308, 0.5, "", "x", "\0", "\ud800"]
_ODD += [[], {}, [[]], "\u202e", "~", "~nobody/x", "../x", "x" * 9_999, "/\udcff", "/dev/zero"]
_DEEP = "DEEP"  # stands for what is nested more deeply than anything reads


def _kept(random: Random, folder: Path) -> str:
    """It is used or counts as none, or what it belongs to is refused in a sentence."""
    os.environ["HOME"] = str(folder)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "OLLAMA_MODELS"):
        os.environ.pop(name, None)
    for file in random.sample(_FILES, 2):
        file.path().parent.mkdir(parents=True, exist_ok=True)
        file.path().write_bytes(_written(file.good, random))
    outcome = "used, or as none"
    for file in _FILES:
        if file.path().exists():
            try:
                file.use()
            except AmuletError as error:
                check_sentence(str(error).replace(str(folder), ""))
                outcome = "refused"
    return outcome


def _written(good: Any, random: Random) -> bytes:
    """What a file says, with a value or some bytes that are not what they were."""
    value = json.loads(json.dumps(good))
    if not isinstance(value, str):
        for _ in range(random.choice([0, 1, 1, 2])):
            value = _exchanged(value, random)
        value = json.dumps(value, ensure_ascii=random.random() < 0.5) + "\n"
        value = value.replace(f'"{_DEEP}"', "[" * 3_000 + "]" * random.choice([0, 3_000]))
    data = bytearray(value.encode("utf-8", "surrogatepass"))
    while data and random.random() < 0.5:
        at = random.randrange(len(data))
        data[at : at + random.choice([0, 1, 1, 99])] = random.choice(
            [b"\xff", b"\0", b"\n", b"{", b'"', b"\\", random.randbytes(1), b""]
        )
    return bytes(data)


def _exchanged(value: Any, random: Random) -> Any:
    """The same with something else in place of a value anywhere in it, or of a key."""
    if not value or not isinstance(value, dict | list) or random.random() < 0.1:
        return random.choice([*_ODD, _DEEP])
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [*value[:at], _exchanged(value[at], random), *value[at + 1 :]]
    key = random.choice(list(value))
    if random.random() < 0.2:
        return value | {random.choice(["x", "", "\0", "é"]): _exchanged([], random)}
    if random.random() < 0.2:
        return {name: each for name, each in value.items() if name != key}
    return value | {key: _exchanged(value[key], random)}


PARTS = [Part("kept", _kept, quick=40, full=5_000)]
