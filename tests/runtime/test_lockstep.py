"""Both arrangements say the same, and a cache that was reused says what a fresh one would."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.protocol.loading import Arrangement, LoadOptions
from amulet_local.realignment import Workspace, log_softmax, realign
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_state import restore, save
from amulet_local.sealing import read_sealed
from amulet_local.settings import data_folder
from amulet_local.strengths import AMULET
from tests import tiny_models
from tests.checks import some

pytestmark = pytest.mark.model

Logits = NDArray[np.float32] | list[NDArray[np.float32]]
ARRANGEMENTS: tuple[Arrangement, ...] = ("one-context", "two-contexts")
CHAT = (
    "<|im_start|>system\nYou help.{}<|im_end|>\n<|im_start|>user\nWhat makes a good walking "
    "holiday?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(params=ARRANGEMENTS)
def lockstep(request: pytest.FixtureRequest, tiny_model: Model) -> Iterator[Lockstep]:
    streams = Lockstep(tiny_model, LoadOptions(context=512, streams=request.param))
    yield streams
    streams.close()


def fresh(model: Model, prompt: list[int]) -> NDArray[np.float32]:
    """The logits after a prompt from an evaluation that shares nothing with any other."""
    alone = Lockstep(model, LoadOptions(context=2048), streams=1)
    try:
        return alone.prefill({0: prompt})[0].copy()
    finally:
        alone.close()


def same(one: Logits, other: Logits) -> bool:
    """Equal up to the rounding of a half-precision cache; other prompts differ by whole units."""
    return bool(np.abs(np.asarray(one) - np.asarray(other)).max() < 0.05)


def held(lockstep: Lockstep) -> list[list[int]]:
    return [stream.tokens for stream in lockstep._streams]


def numbers(seed: int, count: int) -> list[int]:
    return [int(n) for n in np.random.default_rng(seed).integers(0, 250, count)]


def test_both_arrangements_agree_on_the_default_model(model: Model) -> None:
    """Behind every token of a reply, up to rounding: by the batch, and on quantised activations the
    last bit becomes a unit at some token. What the streams say differs ten times as much."""
    vocabulary = model.vocabulary
    reply = vocabulary.tokenize(
        "A walking holiday needs a path that suits your legs, a bed at the end of each day, dry "
        "socks, a map, and company that walks at your pace."
    )
    prompts = {
        k: vocabulary.tokenize(CHAT.format(preference), parse_special=True)
        for k, preference in enumerate(("", " Rhyme as a pirate would."))
    }
    rows: list[list[NDArray[np.floating[Any]]]] = []
    for arrangement in ARRANGEMENTS:
        lockstep = Lockstep(model, LoadOptions(context=512, streams=arrangement))
        found = [*lockstep.prefill(prompts)]
        for token in reply:
            (logits,) = lockstep.advance([token])
            found += [row.copy() for row in logits]
        rows.append([log_softmax(row.astype(np.float64)) for row in found])
        lockstep.close()
    together, apart = rows
    assert len(together) == 2 * (1 + len(reply)) > 40
    assert divergence(together, apart) < 0.015 < 0.04 < divergence(together[::2], together[1::2])


def divergence(ps: list[NDArray[np.floating[Any]]], qs: list[NDArray[np.floating[Any]]]) -> float:
    """The mean of KL(p || q) over pairs of rows of log-probabilities, in nats."""
    return float(np.mean([(np.exp(p) * (p - q)).sum() for p, q in zip(ps, qs, strict=True)]))


def test_the_yardstick_tells_prompts_apart(tiny_model: Model) -> None:
    assert not same(fresh(tiny_model, numbers(1, 40)), fresh(tiny_model, [*numbers(1, 39), 5]))
    assert not same(fresh(tiny_model, numbers(1, 40)), fresh(tiny_model, [5, *numbers(1, 40)[1:]]))


def test_both_arrangements_write_the_same_on_float_weights(tiny_model: Model) -> None:
    work = Workspace(tiny_model.vocabulary.size)
    replies = []
    for arrangement in ARRANGEMENTS:
        lockstep = Lockstep(tiny_model, LoadOptions(context=512, streams=arrangement))
        logits = lockstep.prefill({0: numbers(1, 40), 1: numbers(2, 30)})
        tokens = []
        for _ in range(60):
            tokens.append(int(realign(logits, [AMULET], work).argmax()))
            (logits,) = lockstep.advance(tokens[-1:])
        replies.append(tokens)
        lockstep.close()
    assert replies[0] == replies[1]
    assert len(set(replies[0])) > 5


def test_streams_advance_by_the_same_tokens(lockstep: Lockstep, tiny_model: Model) -> None:
    prompts = {0: numbers(1, 40), 1: numbers(2, 30)}
    block = numbers(3, 5)
    lockstep.prefill(prompts)
    rows = lockstep.advance(block)
    for length in some(range(len(block))):
        for stream, prompt in some(prompts.items()):
            expected = fresh(tiny_model, [*prompt, *block[: length + 1]])
            assert same(rows[length][stream], expected)


def test_any_number_of_streams(tiny_model: Model) -> None:
    common = numbers(4, 20)
    prompts = {k: [*common, *numbers(k, 5 + k)] for k in range(4)}
    lockstep = Lockstep(tiny_model, LoadOptions(context=256), streams=4)
    logits = lockstep.prefill(prompts)
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(tiny_model, prompt))
    lockstep.close()


def test_only_what_changed_is_evaluated(lockstep: Lockstep, tiny_model: Model) -> None:
    base, pref = numbers(1, 60), numbers(2, 50)
    lockstep.prefill({0: base, 1: pref})
    reply = numbers(3, 10)
    for token in reply:
        lockstep.advance([token])
    turn = numbers(4, 7)
    before = lockstep.evaluated
    logits = lockstep.prefill({0: [*base, *reply, *turn], 1: [*pref, *reply, *turn]})
    assert lockstep.evaluated - before == 2 * len(turn)
    assert same(logits[0], fresh(tiny_model, [*base, *reply, *turn]))
    assert same(logits[1], fresh(tiny_model, [*pref, *reply, *turn]))


def test_the_same_prompt_again_costs_nothing_and_says_the_very_same(lockstep: Lockstep) -> None:
    prompts = {0: numbers(1, 60), 1: numbers(2, 50)}
    first = [row.copy() for row in lockstep.prefill(prompts)]
    after = np.array(lockstep.advance([5])[0])
    lockstep.advance(numbers(3, 7))
    before = lockstep.evaluated
    assert np.array_equal(first, lockstep.prefill(prompts))
    assert lockstep.evaluated == before
    assert np.array_equal(after, lockstep.advance([5])[0])


def test_common_tokens_are_evaluated_once_in_one_context(tiny_model: Model) -> None:
    common, base, pref = numbers(1, 100), numbers(2, 5), numbers(3, 9)
    prompts = {0: common + base, 1: common + pref}
    costs = {}
    for arrangement in some(ARRANGEMENTS):
        lockstep = Lockstep(tiny_model, LoadOptions(context=512, streams=arrangement))
        logits = lockstep.prefill(prompts)
        costs[arrangement] = lockstep.evaluated
        for row, prompt in some(zip(logits, prompts.values(), strict=True)):
            assert same(row, fresh(tiny_model, prompt))
        lockstep.close()
    assert costs["one-context"] == 100 + 5 + 9
    assert costs["two-contexts"] == 105 + 109


def test_an_edit_keeps_what_comes_before_it(lockstep: Lockstep, tiny_model: Model) -> None:
    base, pref = numbers(1, 60), numbers(2, 50)
    lockstep.prefill({0: base, 1: pref})
    base[40:], pref[30:] = numbers(5, 6), numbers(6, 8)
    before = lockstep.evaluated
    logits = lockstep.prefill({0: base, 1: pref})
    assert lockstep.evaluated - before == 6 + 8
    assert same(logits[0], fresh(tiny_model, base))
    assert same(logits[1], fresh(tiny_model, pref))


def test_a_stream_that_rests_keeps_what_it_has(lockstep: Lockstep) -> None:
    base, pref = numbers(1, 60), numbers(2, 50)
    lockstep.prefill({0: base, 1: pref})
    lockstep.prefill({1: [*pref, 1, 2, 3]})
    lockstep.advance([4])
    before = lockstep.evaluated
    lockstep.prefill({0: [*base, 9]})
    assert lockstep.evaluated - before == 1


def test_rewinding_forgets(lockstep: Lockstep, tiny_model: Model) -> None:
    base, pref = numbers(1, 20), numbers(2, 10)
    lockstep.prefill({0: base, 1: pref})
    lockstep.advance(numbers(3, 6))
    lockstep.rewind(4)
    (logits,) = lockstep.advance([7])
    kept = [*numbers(3, 6)[:2], 7]
    assert same(logits[0], fresh(tiny_model, base + kept))
    assert same(logits[1], fresh(tiny_model, pref + kept))


def test_prompts_longer_than_a_batch(lockstep: Lockstep, tiny_model: Model) -> None:
    options = LoadOptions(context=2048, streams=lockstep.arrangement)
    long = Lockstep(tiny_model, options)
    prompts = {0: numbers(1, 1300), 1: numbers(2, 1030)}
    seen: list[tuple[int, int]] = []
    logits = long.prefill(prompts, lambda done, total: seen.append((done, total)))
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(tiny_model, prompt))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (2330, 2330)
    long.close()


def test_an_abort_leaves_no_trace(lockstep: Lockstep, tiny_model: Model) -> None:
    prompts = {0: numbers(1, 60), 1: numbers(2, 50)}
    lockstep.prefill(prompts)
    lockstep.abort()
    with pytest.raises(AbortedError):
        lockstep.advance([5])
    with pytest.raises(AbortedError):
        lockstep.prefill({0: numbers(3, 60), 1: numbers(4, 50)})
    lockstep.resume()
    logits = lockstep.prefill({k: [*prompt, 8] for k, prompt in prompts.items()})
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(tiny_model, [*prompt, 8]))


@pytest.mark.parametrize("elsewhere", [True, False], ids=["from a thread", "at its beginning"])
def test_a_long_prefill_stops_in_the_batch_under_way(
    model: Model, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """llama.cpp itself gives the second of a dozen batches up, and what the first read is kept."""
    lockstep = Lockstep(model, LoadOptions(batch=128))
    ends: list[int] = []
    decode = llama_cpp.llama_decode

    def stopped(*batch: Any) -> int:
        if len(ends) == 1 and elsewhere:
            threading.Thread(target=lockstep.abort).start()
        elif len(ends) == 1:
            lockstep.abort()
        ends.append(decode(*batch))
        return ends[-1]

    monkeypatch.setattr(llama_cpp, "llama_decode", stopped)
    prompts = {k: numbers(k, 750) for k in range(2)}
    with pytest.raises(AbortedError):
        lockstep.prefill(prompts)
    assert ends == [0, 2]
    lockstep.resume()
    kept = [len(tokens) for tokens in held(lockstep)]
    assert 0 < sum(kept) < 375
    logits = lockstep.prefill({0: prompts[0][: kept[0] + 1], 1: numbers(3, 3)})
    assert np.isfinite(logits).all()
    lockstep.close()


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_a_model_that_cannot_rewind_is_evaluated_again(
    arrangement: Arrangement, tmp_path: Path
) -> None:
    path = tmp_path / "mamba.gguf"
    tiny_models.write_mamba(path)
    model = Model(str(path))
    lockstep = Lockstep(model, LoadOptions(context=256, streams=arrangement))
    assert not lockstep.can_rewind
    common = numbers(1, 30)
    prompts = {0: common + numbers(2, 8), 1: common + numbers(3, 9)}
    for _ in range(2):  # the second time nothing can be cut back, so all is evaluated again
        logits = lockstep.prefill(prompts)
        for row, prompt in some(zip(logits, prompts.values(), strict=True)):
            assert same(row, fresh(model, prompt))
    before = lockstep.evaluated
    longer = {k: [*prompt, 5, 6] for k, prompt in prompts.items()}
    logits = lockstep.prefill(longer)
    assert lockstep.evaluated - before == 4  # going on needs no rewinding
    for row, prompt in some(zip(logits, longer.values(), strict=True)):
        assert same(row, fresh(model, prompt))
    lockstep.close()
    model.close()


def test_sliding_windows_are_reused_exactly(tmp_path: Path) -> None:
    path = tmp_path / "window.gguf"
    tiny_models.write_sliding_window(path)
    model = Model(str(path))
    lockstep = Lockstep(model, LoadOptions(context=256))
    base, pref = numbers(1, 80), numbers(2, 70)
    lockstep.prefill({0: base, 1: pref})
    logits = lockstep.prefill({0: [*base[:30], 1], 1: [*pref[:20], 2]})
    assert same(logits[0], fresh(model, [*base[:30], 1]))
    assert same(logits[1], fresh(model, [*pref[:20], 2]))
    lockstep.close()
    model.close()


def test_a_turn_placed_preference_needs_hardly_more_cells_than_a_plain_chat(
    tiny_model: Model,
) -> None:
    lockstep = Lockstep(tiny_model, LoadOptions(context=2048))
    common = numbers(1, 1900)
    lockstep.prefill({0: common + numbers(2, 20), 1: common + numbers(3, 30)})
    assert lockstep.cells <= 1.15 * 2048
    lockstep.close()


def test_streams_that_share_little_grow_the_cache_and_lose_nothing(tiny_model: Model) -> None:
    lockstep = Lockstep(tiny_model, LoadOptions(context=1024))
    small = lockstep.cells
    prompts = {0: numbers(1, 1000), 1: numbers(2, 1000)}
    logits = lockstep.prefill(prompts)
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(tiny_model, prompt))
    assert lockstep.cells > small
    (logits,) = lockstep.advance([5])
    assert same(logits[1], fresh(tiny_model, [*prompts[1], 5]))
    lockstep.close()


def test_a_chat_saved_to_disk_goes_on_where_it_was(
    lockstep: Lockstep, tiny_model: Model, tmp_path: Path
) -> None:
    prompts = {0: numbers(1, 200), 1: numbers(2, 150)}
    lockstep.prefill(prompts)
    path = tmp_path / "chats" / "one.state"
    assert save(lockstep, path, "tiny f16")
    assert list(path.parent.iterdir()) == [path]
    lockstep.prefill({0: numbers(3, 100), 1: numbers(4, 100)})
    assert restore(lockstep, path, "tiny f16") == 200
    before = lockstep.evaluated
    logits = lockstep.prefill({k: [*prompt, 9] for k, prompt in prompts.items()})
    assert lockstep.evaluated - before == 2
    for row, prompt in some(zip(logits, prompts.values(), strict=True)):
        assert same(row, fresh(tiny_model, [*prompt, 9]))


def test_a_stale_or_damaged_state_is_ignored(lockstep: Lockstep, tmp_path: Path) -> None:
    lockstep.prefill({0: numbers(1, 50), 1: numbers(2, 50)})
    path = tmp_path / "one.state"
    save(lockstep, path, "this model")
    assert restore(lockstep, path, "another model") == 0
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.state").write_bytes(data)
    (tmp_path / "cut.state").write_bytes(data[:1000])
    (tmp_path / "empty.state").write_bytes(b"")
    for name in ("flipped", "cut", "empty", "missing"):
        assert restore(lockstep, tmp_path / f"{name}.state", "this model") == 0
    assert [len(tokens) for tokens in held(lockstep)] == [50, 50]


def test_llama_cpp_never_sees_a_state_that_was_not_written_here(
    lockstep: Lockstep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockstep.prefill({0: numbers(1, 50), 1: numbers(2, 50)})
    save(lockstep, tmp_path / "one.state", "key")
    body = bytes(read_sealed(tmp_path / "one.state", b"streams"))
    (data_folder() / "state.key").unlink()
    forged = {
        "sealed elsewhere": (tmp_path / "one.state").read_bytes(),
        "as once": hashlib.blake2b(body).digest() + body,
        "bare": body,
    }
    monkeypatch.setattr(Context, "restore", lambda *_: pytest.fail("it was handed on"))
    for name, data in some(forged.items()):
        (tmp_path / name).write_bytes(data)
        assert restore(lockstep, tmp_path / name, "key") == 0


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("streams", [1, 2, 6, 12])
@pytest.mark.parametrize("batch", [1, 16, 31, 5000])
def test_any_batch_and_number_of_streams_give_every_row(
    tiny_model: Model, batch: int, streams: int, arrangement: Arrangement
) -> None:
    """Blocks of 16 tokens are those of 15 guesses."""
    prompts = {k: numbers(1, 20) + numbers(k + 2, 5) for k in range(streams)}
    block = numbers(50, 16)
    told = []
    for size in (512, batch):
        options = LoadOptions(context=256, streams=arrangement, batch=size, threads=1)
        lockstep = Lockstep(tiny_model, options, streams)
        rows = np.array([lockstep.prefill(prompts), *lockstep.advance(block)])
        assert rows.shape == (17, streams, tiny_model.vocabulary.size)
        lockstep.rewind(16)
        each = lockstep.advance_each(dict.fromkeys(range(streams), block[0]))
        told.append((rows, np.array([each[k] for k in range(streams)])))
        lockstep.close()
    (usual, usual_each), (rows, each_row) = told
    assert same(rows, usual)
    assert same(each_row, usual_each)
    assert same(each_row, rows[1])


def test_cells_lie_as_if_every_token_had_been_a_block(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention adds up in their order: else guesses, right or wrong, would change the rounding."""
    decoded: list[list[int]] = []
    usual = Context.decode

    def decode(context: Context, batch: Batch) -> None:
        rows = range(batch.size)
        decoded.append([batch.native.seq_id[row][0] for row in rows])
        usual(context, batch)

    lockstep = Lockstep(tiny_model, LoadOptions(context=256))
    lockstep.prefill({0: [1, 2], 1: [1, 3]})
    monkeypatch.setattr(Context, "decode", decode)
    lockstep.advance([5, 6, 7])
    lockstep.close()
    assert decoded == [[0, 1, 0, 1, 0, 1]]


def test_more_streams_than_rows_of_logits_are_usual(tiny_model: Model) -> None:
    lockstep = Lockstep(tiny_model, LoadOptions(context=256, threads=1), streams=80)
    rows = lockstep.prefill({k: [k + 1, 7] for k in range(80)})
    assert same(rows[70], fresh(tiny_model, [71, 7]))
    lockstep.close()


def test_a_block_that_is_stopped_within_leaves_none_of_it(tiny_model: Model) -> None:
    lockstep = Lockstep(tiny_model, LoadOptions(context=256, batch=4))
    lockstep.prefill({0: [1, 2], 1: [3, 4]})
    usual, calls = lockstep._appended, 0

    def stopped_at_the_third(block: Sequence[int]) -> list[list[NDArray[np.float32]]]:
        nonlocal calls
        calls += 1
        if calls == 3:
            lockstep.abort()
        return usual(block)

    lockstep._appended = stopped_at_the_third  # type: ignore[method-assign]
    with pytest.raises(AbortedError):
        lockstep.advance(numbers(1, 9))
    assert held(lockstep) == [[1, 2], [3, 4]]
    lockstep.close()
