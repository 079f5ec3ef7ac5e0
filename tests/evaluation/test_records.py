"""What an evaluation keeps is read again; a folder that is none, or is damaged, is a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from amulet_local.errors import NotUsableError
from amulet_local.evaluation.records import Folder, Likelihoods

_ODD = [b"", b"[]", b"{}", b"\xff", b'{"model": "\xff"}', b'{"x": ' + b"[" * 3_000]


@pytest.mark.parametrize("body", _ODD, ids=lambda body: repr(body[:20]))
def test_a_setting_that_is_none_is_a_sentence(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "setting.json").write_bytes(body)
    with pytest.raises(
        NotUsableError, match=r"^\S+setting\.json is damaged \(.+\); choose another"
    ):
        Folder(tmp_path).setting()


def test_a_setting_that_cannot_be_read_is_told_without_numbers_and_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotUsableError) as refused:
        Folder(file).setting()
    reason = "(Not a directory); choose another folder."
    assert str(refused.value) == f"{file / 'setting.json'} cannot be read {reason}"


@pytest.mark.parametrize("line", _ODD, ids=lambda line: repr(line[:20]))
def test_a_line_that_is_no_reply_is_told_by_its_number(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_bytes(line + b"\n")
    with pytest.raises(NotUsableError, match=r"^line 1 of \S+replies\.jsonl cannot be read"):
        Folder(tmp_path).replies()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkfifo, "is not a file; choose another folder."),
        (Path.mkdir, "is not a file; choose another folder."),
        (
            lambda path: path.symlink_to(path),
            "cannot be read (Too many levels of symbolic links); choose another folder.",
        ),
    ],
    ids=["pipe", "folder", "loop"],
)
def test_what_stands_in_place_of_the_replies_is_told_and_not_waited_for(
    make: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    replies = tmp_path / "replies.jsonl"
    make(replies)
    with pytest.raises(NotUsableError) as refused:
        Folder(tmp_path).replies()
    assert str(refused.value) == f"{replies} {told}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("without", 1e6),
        ("with_preference", -1e308),
        ("others", [-1e308, -1e308]),
        ("tokens", -(10**18)),
        ("variant", "x" * 9000),
    ],
)
def test_a_judgement_that_cannot_be_is_told_by_its_line(
    field: str, value: object, tmp_path: Path
) -> None:
    judgement = Likelihoods(
        judge="j",
        question=1,
        preference="concise",
        variant="pref",
        digest="",
        tokens=3,
        with_preference=-2.0,
        without=-3.0,
        others=(-4.0,),
    )
    folder = Folder(tmp_path)
    folder.add_judgement(judgement)
    assert folder.judgements() == [judgement]
    document = {**msgspec.to_builtins(judgement), field: value}
    (tmp_path / "judgements.jsonl").write_bytes(msgspec.json.encode(document) + b"\n")
    with pytest.raises(NotUsableError, match=rf"^line 1 of \S+judgements.*`\$.{field}"):
        folder.judgements()
