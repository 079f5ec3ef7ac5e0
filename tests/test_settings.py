"""config.toml: in whatever encoding an editor kept it, and why it is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.settings import Settings, config_folder, load_settings


def config(data: bytes) -> Path:
    path = config_folder() / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_the_config_may_begin_with_a_byte_order_mark(codec: str) -> None:
    config('\ufeffmodel = "modèle"\r\n[engine]\r\nthreads = 3\r\n'.encode(codec))
    assert load_settings().model == "modèle"
    assert load_settings().engine.threads == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'model = "caf\xe9"', "cannot be read (line 1: it is not text in UTF-8, byte 13"),
        (b"\x7fELF\0", "cannot be read (line 1: it is binary, not text"),
        (b"#" * 2_000_000, "cannot be read (it is larger than 262,144 bytes)"),
        (b"\nmodel = ", "is not valid (line 2: invalid value)"),
        (
            b"max_token = 9",
            "is not valid (line 1: max_token: there is no such key; did you mean max",
        ),
        (b"colour = 9", "is not valid (line 1: colour: there is no such key)"),
        (b"[engine]\nctx = 9", "is not valid (line 2: ctx: there is no such key)"),
        (b"max_tokens = 0", "is not valid (line 1: max_tokens: expected"),
        (b"model_folders = 'x'", "is not valid (line 1: model_folders: expected a list, got text)"),
        (b"max_tokens = " + b"9" * 60_000, "is not valid (line 1: a number has more than 400"),
        (b"\n" + b"a." * 99_999 + b"b = 1", "is not valid (line 2: a key has more than 32 parts"),
        (b"k" * 99_999 + b" = 1", f"is not valid (line 1: {'k' * 59}…: there is no such key)"),
        (b"x = " + b"[" * 5000, "is not valid (its values are nested too deeply)"),
        (b"\n'' = 1", "is not valid (line 2: '': there is no such key)"),
        (b"'a b' = 1", "is not valid (line 1: 'a b': there is no such key)"),
        (b'"\\n" = 1', r"is not valid ('\n': there is no such key)"),
        (b"' - at !' = 1", "is not valid (line 1: ' - at !': there is no such key)"),
        (b"' - at `$`' = 1", "is not valid (line 1: ' - at `$`': there is no such key)"),
        (b"[engine]\n'' = 1", "is not valid (line 2: '': there is no such key)"),
        (b"[engine]\nstreams = 'a - at !'", "is not valid (line 2: streams: it cannot be 'a - "),
        (b"model = 2026-01-01", "is not valid (line 1: model: expected text, got a date)"),
    ],
)
def test_a_config_that_cannot_be_used_is_told_with_the_line_and_the_reason(
    data: bytes, reason: str
) -> None:
    path = config(data)
    with pytest.raises(NotUsableError) as raised:
        load_settings()
    assert str(raised.value).startswith(f"{path} {reason}")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "(Permission denied), so the usual settings are used; make it readable, or"),
        (errno.EIO, "(Input/output error), so the usual settings are used; check the disk."),
        (errno.EMFILE, "(Too many open files), so the usual settings are used; close other"),
    ],
)
def test_a_config_that_the_system_does_not_give_is_told_and_done_without(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(b"")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", refuse)
    told: list[str] = []
    assert load_settings(told.append) == Settings()
    assert told[0].startswith(f"{path} cannot be read {said}")


def test_a_folder_in_place_of_the_config_is_told() -> None:
    (config_folder() / "config.toml").mkdir(parents=True)
    told: list[str] = []
    assert load_settings(told.append) == Settings()
    assert "cannot be read (Is a directory)" in told[0]


def test_a_pipe_in_place_of_the_config_keeps_nothing_waiting() -> None:
    config_folder().mkdir(parents=True)
    os.mkfifo(config_folder() / "config.toml")
    assert load_settings() == Settings()
