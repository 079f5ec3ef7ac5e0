"""Messages arrive as they were sent, and nothing oversized or foreign is believed."""

from __future__ import annotations

import io
import struct

import msgspec
import pytest

from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.framing import (
    MAX_FRAME,
    ImpossibleCommandError,
    read_command,
    read_event,
    write_frame,
)
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Load, Reply, Step, Stop

REPLY = Reply(
    id=1, messages=(Message("user", "Hé"), Message("assistant", "a", (1, 2))), seed=3, system="s"
)


def test_commands_and_events_survive_the_pipe() -> None:
    pipe = io.BytesIO()
    for command in (Load("m.gguf"), REPLY, Stop()):
        write_frame(pipe, command)
    pipe.seek(0)
    assert [read_command(pipe) for _ in range(4)] == [Load("m.gguf"), REPLY, Stop(), None]
    pipe = io.BytesIO()
    step = Step(1, 2, "x", 3.0, 0.1, True, float("inf"), -1.0, -2.0, -3.0)
    write_frame(pipe, step)
    pipe.seek(0)
    assert read_event(pipe) == (step, len(pipe.getvalue()) - 4)


def test_a_frame_over_the_bound_is_neither_sent_nor_read() -> None:
    with pytest.raises(UsageError, match="exceeds the limit"):
        write_frame(io.BytesIO(), Load("x" * MAX_FRAME))
    with pytest.raises(ValueError, match="exceeds the limit"):
        read_command(io.BytesIO(struct.pack("<I", MAX_FRAME + 1)))


def test_a_frame_cut_short_is_the_end() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, REPLY)
    assert read_command(io.BytesIO(pipe.getvalue()[:-1])) is None


@pytest.mark.parametrize("body", [b"\xc1", b"\x80", msgspec.msgpack.encode({"type": "nonsense"})])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec words these
        read_command(io.BytesIO(struct.pack("<I", len(body)) + body))


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 1.5}, {"top_k": -1}, {"topk": 3}, {"min_p": "a"}]
)
def test_sampling_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Sampling)


@pytest.mark.parametrize("chat", ["../etc/passwd", "a b", "x" * 65, "a/b"])
def test_a_chats_name_cannot_be_a_path(chat: str) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, msgspec.structs.replace(REPLY, chat=chat))
    write_frame(pipe, Stop())
    pipe.seek(0)
    with pytest.raises(ImpossibleCommandError, match=r"at `\$.chat`") as raised:
        read_command(pipe)
    assert raised.value.request == REPLY.id
    assert read_command(pipe) == Stop()  # the next can be read
