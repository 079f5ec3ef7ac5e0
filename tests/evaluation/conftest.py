"""A tiny model as evaluation sees it: float32 weights, so that nothing hangs on rounding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amulet_local.evaluation.plan import GREEDY
from amulet_local.evaluation.records import Setting
from amulet_local.evaluation.subject import Subject
from amulet_local.protocol.loading import LoadOptions
from tests.tiny_models import write_llama


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    path = tmp_path_factory.mktemp("evaluated") / "tiny.gguf"
    write_llama(path)
    with Subject(str(path), LoadOptions(flash_attention="off", threads=1)) as opened:
        yield opened


@pytest.fixture
def setting(subject: Subject) -> Setting:
    return Setting(
        model=subject.path,
        system="You help.",
        placement="system",
        sampling=GREEDY,
        seed=1,
        max_tokens=20,
    )
