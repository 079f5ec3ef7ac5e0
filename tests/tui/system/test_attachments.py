"""What is named with @: a text file below the message, or a word of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.errors import UsageError
from tui.system.attachments import attach


def test_a_file_is_put_below_the_message_once(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("said\n")
    attached = attach("See @a\\ b.txt, and @a\\ b.txt.", tmp_path, 0)
    assert attached.text == "See @a\\ b.txt, and @a\\ b.txt.\n\na b.txt:\n```txt\nsaid\n```"
    assert attached.told == "a b.txt (5 bytes)"


@pytest.mark.parametrize("word", ["@.", "@...", "@!", "@:", "@nothing", "@\0", "@~nosuchuser", "@"])
def test_a_name_of_no_file_is_a_word(word: str, tmp_path: Path) -> None:
    text = f"I say {word} here"
    assert attach(text, tmp_path, 0).text == text


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    with pytest.raises(UsageError, match="the folder papers cannot be attached"):
        attach("See @papers.", tmp_path, 0)
