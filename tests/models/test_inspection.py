"""A card says what its file says, and only a chat model passes for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFWriter

from amulet_local.errors import NotUsableError
from models.cards import Shape, part_paths, printable, require_chat_model
from models.inspection import inspect
from tests.models.gguf_files import SHAPES, Extra, claim, write_model


def nothing(_: GGUFWriter) -> None:
    pass


def test_a_card_says_what_the_file_says(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf")
    card = inspect(path)
    assert (card.path, card.name, card.architecture) == (path, "Tiny", "llama")
    assert (card.kind, card.quantisation, card.licence) == ("chat", "F32", "mit")
    assert (card.parameters, card.weights) == (1280, 5120)
    assert card.size == path.stat().st_size
    assert (card.context_trained, card.layers, card.vocabulary) == (512, 2, 4)
    assert card.template
    require_chat_model(card)


def test_a_file_that_says_little_still_has_a_card(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "small.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    card = inspect(tmp_path / "small.gguf")
    assert (card.name, card.quantisation, card.licence) == ("small", "", "")
    assert (card.context_trained, card.shape, card.template) == (0, Shape(), False)


def test_values_of_the_wrong_type_count_as_missing(tmp_path: Path) -> None:
    def wrong(writer: GGUFWriter) -> None:
        writer.add_bool("llama.pooling_type", True)
        writer.add_string("general.file_type", "Q4_0")
        writer.add_int32("llama.attention.key_length", -8)

    card = inspect(write_model(tmp_path / "a.gguf", extra=wrong))
    assert (card.kind, card.quantisation, card.shape.kv_numbers) == ("chat", "F32", 64)


def test_numbers_that_llama_cpp_cannot_count_to_count_as_missing(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf", extra=claim("llama.context_length", 2**31)))
    assert card.context_trained == 0
    card = inspect(write_model(tmp_path / "a.gguf", extra=claim("llama.context_length", 2**31 - 1)))
    assert card.context_trained == 2**31 - 1


def test_a_name_does_not_claim_a_hundred_thousand_parts(tmp_path: Path) -> None:
    assert len(part_paths(tmp_path / "a-00001-of-00999.gguf")) == 999
    many = tmp_path / "a-00001-of-99999.gguf"
    assert part_paths(many) == [many]


def test_the_quantisation_is_what_the_file_calls_it(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", extra=lambda w: w.add_file_type(15))
    assert inspect(path).quantisation == "Q4_K_M"


def test_text_of_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", "ll\x1b[2Jama\n" + "x" * 200)
    assert inspect(path).architecture == ("ll [2Jama " + "x" * 200)[:79] + "…"
    assert printable("left\u202eright\x07") == "left right"


# -- what one cannot chat with --------------------------------------------------------------------


def typed(kind: str) -> Extra:
    return lambda writer: writer.add_type(kind)


def pooled(writer: GGUFWriter) -> None:
    writer.add_uint32("qwen3.pooling_type", 3)


@pytest.mark.parametrize(
    ("architecture", "extra", "words"),
    [
        ("clip", nothing, "a projector"),
        ("llama", typed("mmproj"), "a projector"),
        ("bert", nothing, "an embedding model"),
        ("nomic-bert", nothing, "an embedding model"),
        ("jina-bert-v2", nothing, "an embedding model"),
        ("gemma-embedding", nothing, "an embedding model"),
        ("t5encoder", nothing, "an embedding model"),
        ("qwen3", pooled, "an embedding model"),
        ("t5", nothing, "an encoder-decoder model"),
        ("llada", nothing, "a diffusion model"),
        ("llama", typed("adapter"), "an adapter"),
        ("llama", typed("imatrix"), "not a language model"),
    ],
)
def test_what_is_no_chat_model_is_called_what_it_is(
    architecture: str, extra: Extra, words: str, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "a.gguf", architecture, extra=extra)
    with pytest.raises(NotUsableError, match=rf"a\.gguf is {words}.*chat model; choose another"):
        require_chat_model(inspect(path))


def test_a_vocabulary_is_no_chat_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", tensors={})
    with pytest.raises(NotUsableError, match="a vocabulary without model weights"):
        require_chat_model(inspect(path))


def test_weights_without_a_vocabulary_are_no_chat_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", "flux", tokens=None)
    with pytest.raises(NotUsableError, match="is not a language model"):
        require_chat_model(inspect(path))


# -- what memory follows from ---------------------------------------------------------------------


def test_a_cache_holds_keys_and_values_of_every_layer(tmp_path: Path) -> None:
    """Two layers, two KV heads of 8 numbers, keys and values."""
    card = inspect(write_model(tmp_path / "a.gguf"))
    assert card.shape == Shape(kv_numbers=2 * 2 * (8 + 8), width=32, heads=4)


def test_layers_may_differ_in_heads_and_keys_from_values(tmp_path: Path) -> None:
    def per_layer(writer: GGUFWriter) -> None:
        writer.add_array("jamba.attention.head_count_kv", [0, 2, 0, 4])
        writer.add_key_length(16)
        writer.add_value_length(32)

    card = inspect(write_model(tmp_path / "a.gguf", "jamba", extra=per_layer, kv_heads=None))
    assert card.shape.kv_numbers == (2 + 4) * (16 + 32)


def test_layers_that_share_their_cache_have_none_of_their_own(tmp_path: Path) -> None:
    def shared(writer: GGUFWriter) -> None:
        writer.add_uint32("llama.attention.shared_kv_layers", 1)

    assert inspect(write_model(tmp_path / "a.gguf", extra=shared)).shape.kv_numbers == 2 * (8 + 8)


def test_more_cache_than_the_weights_can_compute_counts_as_unknown(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", layers=512)
    assert inspect(path).shape.kv_numbers == 0


@pytest.mark.model
def test_the_default_model_is_a_chat_model_of_135_million(default_model: Path) -> None:
    card = inspect(default_model)
    require_chat_model(card)
    assert (card.parameters, card.quantisation) == (134_515_008, "Q4_1")
    assert (card.weights, card.shape.kv_numbers) == (96_576_768, 30 * 3 * (64 + 64))
    assert (card.shape.q4, card.shape.merges) == (0, 48_900)


# -- split models ---------------------------------------------------------------------------------


def write_part(folder: Path, number: int, count: int = 2, name: str = "m") -> Path:
    def split(writer: GGUFWriter) -> None:
        writer.add_uint16("split.no", number - 1)
        writer.add_uint16("split.count", count)

    shapes = dict([list(SHAPES.items())[number - 1]])
    path = folder / f"{name}-{number:05}-of-{count:05}.gguf"
    return write_model(path, tensors=shapes, extra=split)


def test_a_split_model_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    first, second = write_part(tmp_path, 1), write_part(tmp_path, 2)
    card = inspect(first)
    assert card.parameters == 4 * 32 + 32 * 32
    assert card.size == first.stat().st_size + second.stat().st_size


def test_a_later_part_names_the_first(tmp_path: Path) -> None:
    first, second = write_part(tmp_path, 1), write_part(tmp_path, 2)
    with pytest.raises(NotUsableError, match=f"part 2 of 2 .*use the first part instead: {first}"):
        inspect(second)


@pytest.mark.parametrize("there", [1, 2])
def test_a_missing_part_is_named(there: int, tmp_path: Path) -> None:
    part = write_part(tmp_path, there)
    with pytest.raises(
        NotUsableError, match=f"m-0000{3 - there}-of-00002.gguf is not in the same folder"
    ):
        inspect(part)


def test_a_renamed_part_is_told_its_name(tmp_path: Path) -> None:
    part = write_part(tmp_path, 1).rename(tmp_path / "model.gguf")
    with pytest.raises(NotUsableError, match=r"name it SOMETHING-00001-of-00002\.gguf"):
        inspect(part)


def test_only_names_of_parts_have_parts() -> None:
    assert part_paths(Path("a/m-00002-of-00003.GGUF")) == [
        Path(f"a/m-0000{number}-of-00003.GGUF") for number in (1, 2, 3)
    ]
    for name in ("m.gguf", "m-00004-of-00003.gguf", "m-00000-of-00000.gguf"):
        assert part_paths(Path(name)) == [Path(name)]
