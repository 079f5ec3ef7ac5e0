"""What stands for the wishes of our own presets is more where more of it is there."""

from __future__ import annotations

import pytest

from amulet_local.presets.preset import load_presets
from benchmarks.wished import WISHED

MORE_AND_LESS = {
    "around-the-world": ("In Japan and in India the customs differ.", "It is usual to knock."),
    "british-english": ("Organise the colours of the centre.", "Organize the colors, honor them."),
    "bullet-points": ("- wood\n- nails\n2. glue", "Take wood.\nThen nails."),
    "careful-about-uncertainty": ("It may rain; I'm not sure.", "It will rain."),
    "explain-like-im-ten": ("Considerable precipitation necessitates umbrellas.", "It rains."),
    "gentle-with-beginners": ("Don't worry, take one step.", "Compile the kernel."),
    "metric-and-local": ("It is 20 cm by 3 metres.", "It is 8 inches by 10 feet."),
    "no-flattery": ("What a great and lovely question!", "The plan is bad."),
    "no-internet": ("Read it offline, without internet.", "Read it in the shade."),
    "plain-english": ("Considerable precipitation necessitates umbrellas.", "It rains."),
    "privacy-first": ("Keep your data private, on the device.", "Tell all of them."),
    "short-of-time": ("One two three four.", "One."),
    "small-screen": ("One two three four.", "One two.\n\nThree four."),
    "thrifty": ("It is free, or costs $2.", "Buy the large one."),
    "today-is": ("As of 2023 this may be outdated.", "This is so."),
    "weighs-the-environment": ("Repair and reuse it, waste less.", "Buy it new."),
}


@pytest.mark.parametrize("name", WISHED)
def test_more_counts_as_more(name: str) -> None:
    _, count = WISHED[name]
    more, less = map(count, MORE_AND_LESS[name])
    assert more > less


def test_every_preset_of_our_own_is_counted() -> None:
    ours = {preset.name for preset in load_presets().presets.values() if preset.group != "paper"}
    assert ours == set(WISHED)
