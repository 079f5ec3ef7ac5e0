"""What is kept of every token: nothing lost beyond float32, and at most 40 bytes."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from amulet_local.chats.provenance import (
    BYTES_A_TOKEN,
    Ending,
    Origin,
    StoredOrigin,
    TokenMeasures,
    measures_of,
    pack,
    unpack,
)
from amulet_local.protocol.alignment import MOST_FADERS, Alignment, Fader, Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Reply, Step

_TOKEN_ID_BYTES = 4

numbers = st.floats(width=32, allow_nan=False)
tokens = st.builds(
    TokenMeasures,
    characters=st.integers(0, 2**32 - 1),
    strength=numbers,
    shift=st.none() | numbers,
    flip=st.none() | st.booleans(),
    flip_strength=st.none() | numbers,
    logp_base=st.none() | numbers,
    logp_pref=st.none() | numbers,
    logp_realigned=st.none() | numbers,
)
faders = st.integers(0, MOST_FADERS + 1).flatmap(
    lambda count: st.tuples(
        st.lists(numbers, min_size=count, max_size=count).map(tuple),
        st.just(()) | st.lists(numbers, min_size=count, max_size=count).map(tuple),
    )
)


def with_faders(token: TokenMeasures, of: tuple[tuple[float, ...], ...]) -> TokenMeasures:
    return msgspec.structs.replace(token, strengths=of[0], shares=of[1])


mixed_tokens = st.builds(with_faders, tokens, faders)


@pytest.mark.slow
@given(st.lists(mixed_tokens))
def test_measures_come_back_exactly(measured: list[TokenMeasures]) -> None:
    packed = pack(measured)
    assert unpack(packed) == tuple(measured)
    assert pack(unpack(packed)) == packed


@pytest.mark.slow
@given(st.lists(mixed_tokens, min_size=1), st.integers(1, 28))
def test_measures_that_were_cut_are_refused(measured: list[TokenMeasures], cut: int) -> None:
    packed = pack(measured)
    lost = cut % (BYTES_A_TOKEN if not measured[-1].strengths else 8)
    assume(lost)
    with pytest.raises(ValueError, match="bytes"):
        unpack(packed[:-lost])


def test_a_mix_is_stored_with_its_faders_and_one_preference_as_ever() -> None:
    faders = (Fader("Be brief.", 2.0, "concise"), Fader("Rhyme.", -1.5, muted=True))
    origin = Origin(
        model="m", file="f", seed=1, system="s", alignment=Alignment(mix=faders, guard=0.1)
    )
    stored = msgspec.msgpack.encode(StoredOrigin.of(origin))
    assert msgspec.msgpack.decode(stored, type=StoredOrigin).origin() == origin
    alone = msgspec.structs.replace(origin, alignment=Alignment(preference="Be brief."))
    assert b"mix" not in msgspec.msgpack.encode(StoredOrigin.of(alone))


@pytest.mark.slow
@given(st.lists(tokens))
def test_a_token_takes_at_most_forty_bytes_its_id_included(measured: list[TokenMeasures]) -> None:
    assert len(pack(measured)) == len(measured) * BYTES_A_TOKEN
    assert BYTES_A_TOKEN + _TOKEN_ID_BYTES <= 40


def kept(number: float) -> float | None:
    """What becomes of a strength."""
    return unpack(pack([TokenMeasures(1, number)]))[0].strength


@given(st.floats(-3.4e38, 3.4e38))
def test_any_number_is_kept_to_the_precision_of_float32(number: float) -> None:
    assert kept(number) == pytest.approx(number, rel=1e-7, abs=1e-44)


@given(st.floats(3.5e38))
def test_a_number_too_large_for_float32_stays_large(number: float) -> None:
    assert kept(number) == math.inf
    assert kept(-number) == -math.inf


def test_what_was_not_measured_stays_unknown() -> None:
    step = Step(id=1, token=5, text="äh", strength=2.5)
    assert unpack(pack([measures_of(step)])) == (TokenMeasures(2, 2.5),)


def test_all_that_a_step_measured_is_kept() -> None:
    step = Step(1, 5, "so", 2.5, 0.25, False, math.inf, -1.5, -0.5, -0.125)
    assert unpack(pack([measures_of(step)])) == (
        TokenMeasures(2, 2.5, 0.25, False, math.inf, -1.5, -0.5, -0.125),
    )


def test_half_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="not a whole number of tokens"):
        unpack(pack([TokenMeasures(1, 1.0)])[:-1])


def test_an_origin_has_all_that_a_request_asks() -> None:
    request = Reply(
        id=1,
        messages=(Message("user", "Hello.", wish="short"),),
        seed=9,
        system="You help.",
        alignment=Alignment(
            preference="Be brief.",
            method="la",
            strength=3.0,
            guard=0.2,
            placement="turn",
            sampling=Sampling(temperature=0),
        ),
        thinking=True,
    )
    origin = Origin.of(request, model="SmolLM2", file="/m.gguf", preset="concise")
    assert (origin.model, origin.file, origin.preset) == ("SmolLM2", "/m.gguf", "concise")
    for name in ("seed", "system", "alignment", "thinking", "wish"):
        assert getattr(origin, name) == getattr(request, name)


FIRST_ORIGIN = """{
    "model": "m", "file": "/m.gguf", "seed": 1, "system": "s",
    "preset": "concise", "preference": "p", "method": "amulet", "strength": 5.65,
    "guard": 0.1, "placement": "system",
    "sampling": {
        "temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0,
        "frequency_penalty": 0.0, "presence_penalty": 0.0, "penalty_last_n": 64,
        "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2
    }
}"""
FIRST_ENDING = """{
    "reason": "interrupted",
    "stats": {
        "prompt_tokens": 1, "cached_tokens": 2, "evaluated_tokens": 3, "tokens": 4,
        "prefill_s": 0.5, "first_token_s": 0.6, "decode_s": 0.7, "tokens_per_s": 8.0,
        "context_tokens": 9, "streams": 2
    }
}"""


@pytest.mark.parametrize(("stored", "kind"), [(FIRST_ORIGIN, StoredOrigin), (FIRST_ENDING, Ending)])
def test_what_the_first_version_stored_is_still_read(
    stored: str, kind: type[StoredOrigin | Ending]
) -> None:
    document = json.loads(stored)
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(document), type=kind)
    assert holds(msgspec.to_builtins(read), document)


def test_an_origin_is_stored_flat_as_before_it_had_an_alignment() -> None:
    document = json.loads(FIRST_ORIGIN) | {"thinking": True, "wish": "short"}
    origin = Origin(
        model="m",
        file="/m.gguf",
        seed=1,
        system="s",
        preset="concise",
        alignment=Alignment(preference="p", strength=5.65, guard=0.1),
        thinking=True,
        wish="short",
    )
    stored = msgspec.msgpack.encode(StoredOrigin.of(origin))
    assert stored == msgspec.msgpack.encode(document)  # the order of the keys included
    assert msgspec.msgpack.decode(stored, type=StoredOrigin).origin() == origin


def test_what_an_old_origin_lacks_is_what_it_was_then() -> None:
    document = {"model": "m", "file": "/m.gguf", "seed": 1, "system": "s"}
    origin = msgspec.convert(document, StoredOrigin).origin()
    assert origin == Origin(model="m", file="/m.gguf", seed=1, system="s")
    assert (origin.alignment.guard, origin.alignment.method) == (0.0, "amulet")


def holds(read: object, stored: object) -> bool:
    """Whether all that was stored is read; fields that came later are beside it."""
    if isinstance(stored, dict) and isinstance(read, dict):
        return all(name in read and holds(read[name], value) for name, value in stored.items())
    return read == stored
