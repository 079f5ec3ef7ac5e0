"""What `import amulet_local` offers: light until it is used, and the README's example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import amulet_local
from amulet_local import LoadedModel, LoadOptions, Message, Sampling
from amulet_local.errors import EngineDiedError, NotUsableError, UsageError
from tests.checks import comes, some
from tests.tiny_models import write_llama

README = Path(__file__).parent.parent / "README.md"
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float32 weights."""
    path = tmp_path_factory.mktemp("library") / "model.gguf"
    write_llama(path)
    return path


@pytest.fixture
def loaded(tiny: Path) -> Iterator[LoadedModel]:
    with amulet_local.load(tiny, LoadOptions(context=512)) as model:
        yield model


def test_the_package_is_light_until_it_is_used() -> None:
    code = (
        "import sys, amulet_local; "
        "print(*{m for m in sys.modules if m.startswith('amulet_local.')}, "
        "*{'llama_cpp', 'msgspec', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_everything_that_is_offered_is_there_and_nothing_else() -> None:
    for name in some(amulet_local.__all__):
        assert getattr(amulet_local, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'unload'"):
        amulet_local.unload  # type: ignore[attr-defined]  # noqa: B018


def test_realign_goes_along_the_line_through_both() -> None:
    base, pref = np.array([1, 2, 3], np.float32), np.array([2, 2, 1], np.float32)
    assert amulet_local.realign([base, pref], [3.0]).tolist() == [4, 2, -3]
    assert amulet_local.realign([base, pref], [0.0]).tolist() == base.tolist()


@pytest.mark.model
def test_the_example_of_the_readme_runs(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.+?)```", README.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tiny.parent)
    usual = LoadedModel.reply.__kwdefaults__
    assert usual is not None
    monkeypatch.setitem(usual, "max_tokens", 24)  # random weights never end by themselves
    scope: dict[str, object] = {
        "base": np.zeros(8, np.float32),
        "pref": np.ones(8, np.float32),
    }
    exec(example, scope)
    model = scope["model"]
    assert isinstance(model, LoadedModel)
    assert model.finished is not None


@pytest.mark.model
def test_the_pieces_of_a_reply_are_its_text(loaded: LoadedModel) -> None:
    pieces = list(loaded.reply("Hello?", "Be brief.", 2, sampling=GREEDY, max_tokens=40))
    assert loaded.finished is not None
    assert "".join(some(pieces)) == loaded.finished.text
    assert loaded.card.context == 512


@pytest.mark.model
def test_the_same_seed_gives_the_same_reply_and_strength_another(loaded: LoadedModel) -> None:
    chat = [Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "And?")]

    def text(strength: float) -> str:
        return "".join(loaded.reply(chat, "Be brief.", strength, guard=0, seed=7, max_tokens=40))

    assert text(3) == text(3)
    assert text(3) != text(-3)


@pytest.mark.model
def test_a_wish_is_for_one_reply(loaded: LoadedModel) -> None:
    def text(question: str | list[Message], strength: float, wish: str = "") -> str:
        return "".join(
            loaded.reply(
                question, strength=strength, wish=wish, sampling=GREEDY, guard=0, max_tokens=30
            )
        )

    assert text("Hello?", 1, "in French") == text("Hello?\n\nin French", 1)
    assert text([Message("user", "Hello?")], 4, "in French") == text("Hello?", 4, "in French")
    assert text("Hello?", 4, "in French") != text("Hello?", 4)


@pytest.mark.model
def test_a_reply_that_is_left_is_stopped_and_the_next_one_is_whole(loaded: LoadedModel) -> None:
    def pieces() -> Iterator[str]:
        return loaded.reply("Go on.", sampling=GREEDY, max_tokens=300)

    written = "".join(pieces())
    left = pieces()
    next(left)
    with pytest.raises(UsageError, match="to its end first"):
        next(pieces())
    left.close()  # type: ignore[attr-defined]
    assert loaded.finished is not None
    assert len(loaded.finished.token_ids) < 300
    assert "".join(pieces()) == written


@pytest.mark.model
def test_what_goes_wrong_is_raised(loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(NotUsableError):
        amulet_local.load(tmp_path / "missing.gguf")
    with pytest.raises(UsageError):
        amulet_local.load(tmp_path / "missing.gguf", LoadOptions(context=-1))
    with pytest.raises(UsageError, match="guard"):
        list(loaded.reply("Hello?", guard=2))
    with pytest.raises(UsageError):
        list(loaded.reply("word " * 2000))
    reply = loaded.reply("Hello?", max_tokens=2000)
    next(iter(reply))
    loaded._engine.kill()
    with pytest.raises(EngineDiedError):
        list(reply)
    assert list(loaded.reply("Hello?", max_tokens=5))


@pytest.mark.model
def test_an_engine_that_died_between_replies_is_replaced(loaded: LoadedModel) -> None:
    def text() -> str:
        return "".join(loaded.reply("Go on.", sampling=GREEDY, max_tokens=20))

    written = text()
    loaded._engine.kill()
    assert comes(lambda: not loaded._engine.events.empty())
    assert text() == written
    assert text() == written
