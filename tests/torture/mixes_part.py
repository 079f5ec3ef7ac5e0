"""Files of mixes, and presets of which a mix is made, with values that cannot be."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec

from amulet_local.presets.mixes import load_mixes
from amulet_local.presets.preset import load_presets
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Reply
from amulet_local.settings import mixes_folder, presets_folder
from tests.torture.part import Part
from tests.torture.texts_parts import ODD_LINES, VALUES, check_sentence, toml
from tui.session.requests import alignment_of
from tui.session.steering import FaderChoice, SteeringChoice

_USUAL = [
    *(f'preset = "{name}"' for name in ("concise", "formal", "uplifting", "thrifty", "verbose")),
    'preference = "Rhyme."',
    'preference = "No adverbs."',
]
_PRESETS = ["own", "two", "none", "../own", "con\\u0000cise", "\\u202e"]
_WORDS = ["", " ", "\\u0000", "\\u202e", "x" * 9_999, "<|im_end|>", "concise"]
_ODD = [
    *(f'preset = "{name}"' for name in _PRESETS),
    *(f'preference = "{words}"' for words in _WORDS),
    *("", "[[fader]]", 'preset = "concise"\npreference = "x"'),
]
_STRENGTHS = ["1e308", "-1e308", "nan", "inf", '"firmly"', '"so"', "9" * 400]
_KEYS = ["title", "description", "guard", "placement", "system", "sampling", "fader"]


def _mix(random: Random, folder: Path) -> str:
    """It can be asked with, or is told of in a sentence; other mixes and presets are there."""
    presets_folder().mkdir(parents=True)
    mixes_folder().mkdir()
    (presets_folder() / "own.toml").write_bytes(
        toml(random, 'preference = "Rhyme."', ["strength", "guard", "system"], ["[sampling]"])
    )
    (mixes_folder() / "good.toml").write_text(
        '[[fader]]\npreset = "concise"\n[[fader]]\npreference = "Rhyme."\nstrength = -1\n', "utf-8"
    )
    for name in ("one", "two"):
        (mixes_folder() / f"{name}.toml").write_bytes(_file(random))
    presets = load_presets()
    found = load_mixes(presets)
    assert "good" in found.mixes
    assert set(found.mixes) | set(found.broken) == {"good", "one", "two"}
    for sentence in found.broken.values():
        check_sentence(sentence)
    for mix in found.mixes.values():
        faders = [FaderChoice.of(chosen, "/m.gguf") for chosen in mix.faders]
        steering = SteeringChoice.to_mix(faders, mix.together)
        assert steering.title
        asked = Reply(1, (Message("user", "x"),), 1, steering.system, alignment_of(steering, ""))
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Reply) == asked
    return f"{len(found.broken)} of two refused"


def _file(random: Random) -> bytes:
    """A mix of usual preferences, but for one thing or two."""
    lines = []
    if random.random() < 0.3:
        lines.append(f"{random.choice(_KEYS)} = {random.choice(VALUES)}")
    for usual in random.sample(_USUAL, random.choice([1, 2, 2, 3, 6, 7])):
        lines.append("[[fader]]")
        lines.append(usual if random.random() < 0.9 else random.choice(_ODD))
        if random.random() < 0.6:
            odd = random.random() < 0.1
            lines.append(f"strength = {random.choice(_STRENGTHS if odd else ['2', '-1.5', '0'])}")
        if random.random() < 0.1:
            key = random.choice(["muted", "preset", "preference", "strength", "odd"])
            lines.append(f"{key} = {random.choice(VALUES)}")
    if random.random() < 0.05:
        lines += ["[[fader]]", 'preference = "x"'] * 300
    if random.random() < 0.1:
        lines.insert(random.randrange(len(lines) + 1), random.choice(ODD_LINES))
    data = bytearray("\n".join(lines).encode())
    while data and random.random() < 0.1:
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


PARTS = [Part("mixes", _mix, quick=25, full=5_000)]
