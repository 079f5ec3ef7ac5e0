"""Model files that something is wrong with: drawn bytes, and values that contradict each other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from tests import tiny_models
from tests.torture.gguf_bytes import ARRAY, FORMATS, STRING, Model, Tensor, Value, taken_apart

WRITERS = (
    tiny_models.write_llama,
    tiny_models.write_sentencepiece_llama,
    tiny_models.write_qwen2,
    tiny_models.write_qwen3,
    tiny_models.write_phi3,
    tiny_models.write_gpt_oss,
    tiny_models.write_mamba,
    tiny_models.write_hybrid,
    tiny_models.write_sliding_window,
)
_ODD = [
    *(0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257),
    *(511, 512, 513, 1000, 2**15, 2**16 - 1, 2**16, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
]
_KINDS = [*range(42), 99, 1023, 1024, 2**31]
_TEXTS = [b"", b"\0", b"a\0b", b"\xff\xfe", "é".encode(), b"<s>", b"x" * 300, b"\n", b" ", b"llama"]
_NAMES = [
    b"llama",
    b"bert",
    b"mamba",
    b"t5",
    b"gemma3",
    b"qwen3moe",
    b"phi3",
    b"deepseek2",
    b"none",
]
_NUMBERS = [0.0, -0.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"), 1.0, -1.0]
_HEADER = 16_384  # bytes, in which the headers of these models mostly lie


@cache
def original(writer: Callable[[Path], None]) -> bytes:
    """What a writer of a tiny model writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.gguf")
        writer(path)
        return path.read_bytes()


_MOST_DATA = 1 << 24  # bytes that are written for a tensor, whatever its shape says


def broken_bytes(random: Random) -> bytes:
    """Flips, cuts, splices and huge numbers, anywhere, but mostly in the header."""
    data = bytearray(original(random.choice(WRITERS)))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(min(len(data), random.choice([64, 2048, _HEADER, len(data)])))
        match random.randrange(6):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at] = random.randrange(256)
            case 2:
                size = random.choice([4, 8])
                data[at : at + size] = (random.choice(_ODD) & (2**64 - 1)).to_bytes(8, "little")[
                    :size
                ]
            case 3:
                length, to = random.randrange(1, 64), random.randrange(len(data))
                data[to : to + length] = data[at : at + length]
            case 4:
                del data[at : at + random.randrange(1, 64)]
            case 5:
                del data[random.randrange(len(data)) :]
        if not data:
            break
    return bytes(data)


def contradiction(random: Random) -> bytes:
    """A whole file of which some values cannot be, or not together."""
    model = taken_apart(original(random.choice(WRITERS)))
    for _ in range(random.randint(1, 3)):
        random.choice(_WAYS)(model, random)
    return bytes(model)


# -- ways to contradict ---------------------------------------------------------------------------


def _number(model: Model, random: Random) -> None:
    """A hyperparameter, or any other number."""
    numbers = [value for _, value in model.metadata if value.kind in FORMATS]
    if numbers:
        value = random.choice(numbers)
        if FORMATS[value.kind] in "fd":
            value.value = random.choice(_NUMBERS)
        elif random.random() < 0.5 and isinstance(value.value, int):
            value.value = abs(value.value + random.choice([-2, -1, 1, 2, 16]))
        else:
            value.value = random.choice(_ODD)


def _kind(model: Model, random: Random) -> None:
    """A value under another type."""
    place = random.randrange(len(model.metadata))
    key, _ = model.metadata[place]
    kind = random.choice([*FORMATS, STRING, ARRAY])
    if kind == ARRAY:
        items = random.choice([*FORMATS, STRING])
        item: object = b"a" if items == STRING else 1
        value = Value(kind, [item] * random.choice([0, 1, 2, 64, 5000]), items)
    else:
        value = Value(kind, random.choice(_TEXTS) if kind == STRING else random.choice([0, 1, 64]))
    model.metadata[place] = (key, value)


def _text(model: Model, random: Random) -> None:
    texts = [value for _, value in model.metadata if value.kind == STRING]
    random.choice(texts).value = random.choice(_TEXTS + _NAMES)


def _array(model: Model, random: Random) -> None:
    """Tokens, their types and scores, merges; heads of each layer."""
    arrays = [value for _, value in model.metadata if value.kind == ARRAY]
    if not arrays:
        return
    array = random.choice(arrays)
    items = array.value
    assert isinstance(items, list)
    at = random.randrange(len(items)) if items else 0
    match random.randrange(5):
        case 0:
            del items[at:]
        case 1:
            items[at:at] = items[at : at + random.choice([1, 2, 100])]
        case 2 if items:
            del items[at]
        case 3:
            random.shuffle(items)
        case _ if items:
            if array.items_kind == STRING:
                items[at] = random.choice(_TEXTS + items)
            elif FORMATS.get(array.items_kind, "f") in "fd":
                items[at] = random.choice(_NUMBERS)
            else:
                items[at] = random.choice(_ODD)


def _missing(model: Model, random: Random) -> None:
    del model.metadata[random.randrange(len(model.metadata))]


def _twice(model: Model, random: Random) -> None:
    model.metadata.append(random.choice(model.metadata))


def _other_key(model: Model, random: Random) -> None:
    """Two values change places."""
    first, second = (random.randrange(len(model.metadata)) for _ in range(2))
    (one, a), (other, b) = model.metadata[first], model.metadata[second]
    model.metadata[first], model.metadata[second] = (one, b), (other, a)


def _tensor(model: Model, random: Random) -> Tensor:
    return random.choice(model.tensors)


def _type(model: Model, random: Random) -> None:
    """Another type, with the data that it wants, so that the file is whole."""
    tensor = _tensor(model, random)
    kind = random.choice([0, 1, 2, 3, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 25, 26, 27, 28, 30, 39])
    elements = 1
    for length in tensor.shape:
        elements *= length
    sizes = {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2}
    blocks = {2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84)}
    blocks |= {12: (256, 144), 14: (256, 210), 16: (256, 66), 18: (256, 98), 20: (32, 18)}
    blocks |= {39: (32, 17)}
    block, size = blocks.get(kind, (1, sizes.get(kind, 4)))
    tensor.kind, tensor.data = kind, bytes(min(elements // block * size, _MOST_DATA))


def _any_type(model: Model, random: Random) -> None:
    _tensor(model, random).kind = random.choice(_KINDS)


def _shape(model: Model, random: Random) -> None:
    """Another shape of as many numbers, or of more or fewer."""
    tensor = _tensor(model, random)
    match random.randrange(6):
        case 0:
            tensor.shape.reverse()
        case 1:
            tensor.shape.append(1)
        case 2 if tensor.shape:
            tensor.shape[random.randrange(len(tensor.shape))] = random.choice(_ODD)
        case 3:
            tensor.shape = [len(tensor.data) // 4]
        case 4 if tensor.shape and not tensor.shape[0] % 2:
            tensor.shape = [tensor.shape[0] // 2, 2, *tensor.shape[1:]]
        case _:
            tensor.shape = [*tensor.shape[:-1], max(1, tensor.shape[-1] + random.choice([-1, 1]))]
            elements = 4
            for length in tensor.shape:
                elements *= length
            tensor.data = (tensor.data * 2)[:elements]


def _tensor_name(model: Model, random: Random) -> None:
    """A name changes, or two tensors change theirs."""
    one, other = _tensor(model, random), _tensor(model, random)
    match random.randrange(4):
        case 0:
            one.name, other.name = other.name, one.name
        case 1:
            one.name = random.choice([*_TEXTS, b"blk.9.attn_q.weight", b"blk.-1.x", b"output.bias"])
        case 2:
            one.name = other.name
        case 3:
            one.name = one.name.replace(b"blk.0", b"blk.1").replace(b".weight", b".bias")


def _no_tensor(model: Model, random: Random) -> None:
    del model.tensors[random.randrange(len(model.tensors))]
    if not model.tensors:
        model.tensors.append(Tensor(b"alone", [1], 0, bytes(4)))


def _overlap(model: Model, random: Random) -> None:
    _tensor(model, random).claims = random.choice([*_ODD, 32 * random.randrange(1000)])


def _count(model: Model, random: Random) -> None:
    model.counts[random.choice(["tensors", "metadata"])] = random.choice(_ODD)


def _not_numbers(model: Model, random: Random) -> None:
    """Weights that are no numbers."""
    tensor = _tensor(model, random)
    tensor.data = random.choice([b"\xff", b"\x7f", b"\x00", b"\x80"]) * len(tensor.data)


_WAYS: list[Callable[[Model, Random], None]] = [
    *(_number, _number, _number, _kind, _text, _array, _array, _array, _missing, _twice),
    *(_other_key, _type, _type, _any_type, _shape, _shape, _tensor_name, _no_tensor, _overlap),
    *(_count, _not_numbers),
]
