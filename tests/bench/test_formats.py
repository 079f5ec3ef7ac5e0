"""Two files of one model beside each other: the same weights come out as the same, others not."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from amulet_local.bench.formats import Formats, Measured, _measured, text
from amulet_local.errors import NotUsableError
from amulet_local.protocol.loading import LoadOptions
from tests.tiny_models import write_llama, write_sentencepiece_llama

OPTIONS = LoadOptions(context=512)


def measured(
    one: Path, other: Path, *, is_enough: bool = False
) -> tuple[Measured, list[tuple[int, int]]]:
    """What was found, and the progress that was told."""
    seen: list[tuple[int, int]] = []
    with closing(Formats(str(one), OPTIONS)) as formats:
        found = formats.compare(str(other), lambda *done: seen.append(done), lambda _: is_enough)
    return found, seen


@pytest.fixture
def _few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of four pieces, since here every byte is a token."""
    monkeypatch.setattr("amulet_local.bench.formats.text", lambda: text()[:1000])


@pytest.fixture
def tiny(tmp_path: Path, _few_pages: None) -> Path:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    return path


@pytest.mark.model
def test_the_same_weights_have_the_same_perplexity(tiny: Path) -> None:
    found, seen = measured(tiny, tiny)
    assert (found.perplexity, found.margin) == (1.0, 0.0)
    assert found.speed > 0
    done, total = seen[-1]
    assert done == total


@pytest.mark.model
def test_other_weights_have_another_one_with_a_margin(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    write_llama(other, seed=1)
    found, _ = measured(tiny, other)
    assert found.perplexity != 1.0
    assert found.margin > 0


@pytest.mark.model
def test_no_more_text_is_read_than_is_needed(tiny: Path) -> None:
    _, whole = measured(tiny, tiny)
    _, short = measured(tiny, tiny, is_enough=True)
    assert len(short) < len(whole)


@pytest.mark.model
def test_a_model_that_reads_other_tokens_is_told(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    write_sentencepiece_llama(other)
    with pytest.raises(NotUsableError, match="holds another model"):
        measured(tiny, other)


@pytest.mark.parametrize("surprise", [math.nan, math.inf, 1000.0])
def test_what_says_nothing_is_far_from_good(surprise: float) -> None:
    found = _measured(2.0, np.array([0.1, surprise]))
    assert found.perplexity > 1000
    assert math.isfinite(found.margin)


def test_there_is_text_enough_for_one_percent() -> None:
    assert len(text().split()) > 1500
