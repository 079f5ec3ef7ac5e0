"""Every test has a home of its own; the real default model is loaded once for all that need it."""

from __future__ import annotations

import gc
import inspect
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from amulet_local.engine.engine import Engine
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.messages import Load
from amulet_local.runtime.llama.model import Model
from amulet_local.settings import models_folder
from tests.tiny_models import write_llama

# Looked up before any test moves AMULET_HOME.
_DEFAULT_MODEL = models_folder() / "SmolLM2-135M-Instruct.Q4_1.gguf"

_ELSEWHERE = (
    "AMULET_MODELS",
    "COLUMNS",  # readline tells workers of pytest-xdist a size of its own
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HUGGINGFACE_HUB_CACHE",
    "LINES",
    "LLAMA_CACHE",
    "OLLAMA_MODELS",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since tests wait for processes and terminals.

    With as many workers, several threads of one evaluation mostly wait for each other; workers and
    their engines load llama.cpp later, and its OpenMP then reads this.
    """
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    return (os.cpu_count() or 1) + 1


# How long an example takes says more of the machine than of the code. Each run has others.
hypothesis.settings.register_profile(
    "here", max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("here")

# An app leaves some twenty thousand objects that only a collection finds. To find and free them
# takes a fifth of the time of all tests that open one; left where they are, they come to 0.7
# to 0.9 GB in each of three processes by the end of the suite.
gc.set_threshold(0)  # Textual turns collections off and on


def pytest_sessionfinish() -> None:
    gc.freeze()  # pytest collects once more, and Python as it ends


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what opens the app: the tests that are coroutines, which share its loop. What is marked
    torture is run only where it is asked for, and by itself."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.app)
    parts: tuple[list[pytest.Item], list[pytest.Item]] = ([], [])
    for item in items:
        parts[item.get_closest_marker("torture") is not None].append(item)
    torture = config.getoption("--torture")
    config.hook.pytest_deselected(items=parts[not torture])
    items[:] = parts[torture]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--torture", action="store_true", help="run what is marked torture, and nothing else"
    )
    parser.addoption(
        "--renew-snapshots", action="store_true", help="keep what screens look like now"
    )
    parser.addoption(
        "--terminal", choices=("emulated", "tmux"), default="emulated", help="where the app runs"
    )


@pytest.fixture
def renew_snapshots(request: pytest.FixtureRequest) -> bool:
    """Whether what screens look like is to be written instead of compared."""
    return bool(request.config.getoption("--renew-snapshots"))


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are not there yet, in one that is: most tests need no more than the name, and
    to make a folder for each (see tmp_path) takes longer than many of them do."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AMULET_HOME, so that no test sees or changes what the user has."""
    folder = next(homes)
    monkeypatch.setenv("AMULET_HOME", str(folder))
    monkeypatch.setenv("HOME", f"{folder}-user")  # where other programs keep models
    for name in _ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The default model's file; `make test` fetches it."""
    if not _DEFAULT_MODEL.exists():
        pytest.fail(f"{_DEFAULT_MODEL} is missing; `amulet models pull default` fetches it")
    return _DEFAULT_MODEL


@pytest.fixture(scope="session")
def model(default_model: Path) -> Iterator[Model]:
    """The default model's weights."""
    loaded = Model(str(default_model))
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Float32 weights: no two evaluations of it differ by quantisation."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    loaded = Model(str(path))
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Float32 weights and no rounding that depends on the size of a batch."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    write_llama(path)
    options = LoadOptions(context=1024, flash_attention="off")
    loaded = Engine(Load(str(path), options), lambda _: True)
    yield loaded
    loaded.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a link in it that leads to itself."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "loop").symlink_to("loop")
    monkeypatch.chdir(folder)
    return folder
