"""A thought is told apart from its answer, and the answer goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from amulet_local import decoding
from amulet_local.conversation import Message
from amulet_local.decoding import Decoded
from amulet_local.engine import Engine
from amulet_local.prompting import PromptWriter
from amulet_local.protocol import Event, Examined, Finished, Load, LoadOptions
from amulet_local.realignment import AMULET, Row, Steering, Workspace
from amulet_local.sampling import Sampler
from amulet_local.thinking import ThoughtSplitter, without_thought
from tests.asking import HOLIDAY, ask, collect, reply, steps
from tests.tiny_models import write_llama

QWEN = "<think>\nWalk or ride?\n</think>\n\nWalk."
HARMONY = (
    "<|channel|>analysis<|message|>Walk or ride?<|end|><|start|>assistant"
    "<|channel|>final<|message|>Walk."
)
SAYS = "{% for m in messages %}{{ m.content }}{% endfor %}"
OPENS = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    "assistant: {% if enable_thinking %}<think>\n{% endif %}"
)
SAYS = "{% for m in messages %}{{ m.content }}{% endfor %}"
OPENS = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    "assistant: {% if enable_thinking %}<think>\n{% endif %}"
)
GEMMA = "<|channel>thought\nWalk or ride?<channel|>Walk."


def split(splitter: ThoughtSplitter, text: str, size: int) -> tuple[str, str]:
    pieces = [text[k : k + size] for k in range(0, len(text), size)]
    told = [*map(splitter.add, pieces), splitter.finish()]
    thought = "".join(each for each, _ in told)
    answer = "".join(each for _, each in told)
    assert (thought, answer) == (splitter.thought, splitter.answer)
    return thought.strip(), answer


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", [QWEN, HARMONY, GEMMA])
def test_a_thought_and_its_answer(text: str, size: int) -> None:
    assert split(ThoughtSplitter(), text, size) == ("Walk or ride?", "Walk.")


@pytest.mark.parametrize("size", [1, 1000])
def test_a_thought_that_the_prompt_began(size: int) -> None:
    splitter = ThoughtSplitter("<think>")
    assert split(splitter, "Walk or ride?</think>\n\nWalk.", size) == ("Walk or ride?", "Walk.")


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("text", ["Walk.", "<b>Walk</b>", " 1 < 2, <think> is a tag", "<thi", ""])
def test_what_begins_with_no_thought_is_all_answer(text: str, size: int) -> None:
    assert split(ThoughtSplitter(), text, size) == ("", text)


def test_a_thought_that_never_ends_is_no_answer() -> None:
    assert split(ThoughtSplitter(), "<think>On and on </thi", 1) == ("On and on </thi", "")


def test_an_answer_that_is_continued_is_no_thought() -> None:
    assert split(ThoughtSplitter(answering=True), "<think>x", 3) == ("", "<think>x")


def test_a_final_channel_without_a_thought_loses_its_mark() -> None:
    assert split(ThoughtSplitter(), "<|channel|>final<|message|>Walk.", 4) == ("", "Walk.")


def test_a_prompt_may_begin_the_thought() -> None:
    assert PromptWriter(OPENS).opened_thought() == "<think>"
    assert PromptWriter(None).opened_thought() == ""


@pytest.mark.parametrize(
    ("template", "thinks"),
    [
        (OPENS, True),
        (SAYS + "{% if not enable_thinking %}<think></think>{% endif %}", True),
        (SAYS + "<think>\n", True),  # it always thinks: the thought is closed
        (SAYS + "<|start|>assistant", True),
        (SAYS, False),
        ("{{ raise_exception('no') }}", False),
        (None, False),
    ],
)
def test_whether_a_model_can_think_is_told_by_its_template(
    template: str | None, thinks: bool
) -> None:
    assert PromptWriter(template).thinks == thinks


def test_behind_a_prompt_without_a_thought_the_answer_begins_at_once() -> None:
    assert without_thought("Hi<think>\n") == "Hi<think>\n\n</think>\n\n"
    assert without_thought("Hi<|start|>assistant").endswith("<|channel|>final<|message|>")
    assert without_thought("Hi<|im_start|>assistant\n") == "Hi<|im_start|>assistant\n"


# -- the engine -----------------------------------------------------------------------------------


THOUGHT = b"or ride?</think>\n\n"


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path: Path = tmp_path_factory.mktemp("tiny") / "thinker.gguf"
    write_llama(path, template=OPENS)
    options = LoadOptions(context=1024, flash_attention="off", draft="off")
    engine = Engine(Load(str(path), options), lambda _: True)
    yield engine
    engine.close()


def script(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Have the model say this first; then it is free."""
    said = iter(text)
    free = decoding.choose

    def choose(
        logits: Sequence[Row], steering: Steering, sampler: Sampler, work: Workspace
    ) -> Decoded:
        chosen = free(logits, steering, sampler, work)
        return Decoded(next(said, chosen.token), chosen.strengths, chosen.measures)

    monkeypatch.setattr(decoding, "choose", choose)


def test_a_thought_is_counted_and_timed_apart(
    thinker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert thinker.card().thinks
    script(monkeypatch, THOUGHT + b"Walk.")
    events = collect(thinker, ask(thinking=True, max_tokens=len(THOUGHT) + 5))
    finished = next(event for event in events if isinstance(event, Finished))
    assert (finished.thought, finished.text) == ("or ride?", "Walk.")
    assert bytes(finished.token_ids) == b"Walk."
    assert finished.stats.tokens == len(THOUGHT) + 5
    assert finished.stats.thought_tokens == len(THOUGHT)
    assert 0 < finished.stats.thought_s < finished.stats.decode_s
    assert "".join(step.thought for step in steps(events)) == "or ride?"


def test_a_thought_without_an_answer_is_all_before_it(
    thinker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, THOUGHT)
    finished = reply(thinker, ask(thinking=True, max_tokens=5))
    assert (finished.thought, finished.text, finished.token_ids) == ("or ri", "", ())
    assert finished.stats.thought_tokens == finished.stats.tokens == 5


def test_an_answer_goes_on_and_is_looked_into_behind_its_thought(
    thinker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, THOUGHT + b"W")
    whole = reply(thinker, ask(thinking=True, max_tokens=len(THOUGHT) + 24))
    before, first = tuple(THOUGHT), Message("assistant", "", whole.token_ids[:9])
    rest = ask(thinking=True, thought=before, begun=first, max_tokens=15)
    assert reply(thinker, rest).token_ids == whole.token_ids[9:]
    forgotten = reply(thinker, ask(thinking=True, begun=first, max_tokens=15))
    assert forgotten.token_ids != whole.token_ids[9:]
    events: list[Event] = []
    looked = ask(thinking=True, thought=before, begun=Message("assistant", "", whole.token_ids))
    thinker.examine(looked, [AMULET], events.append)
    examined = [event for event in events if isinstance(event, Examined)]
    places = [place for event in examined for place in event.places]
    assert [place.realigned[0].token for place in places[1:]] == list(whole.token_ids[1:])


def test_later_turns_do_not_tell_the_thought(thinker: Engine) -> None:
    answer = Message("assistant", "Walk.", tuple(b"Walk."))
    told = thinker._prompts(ask(HOLIDAY, answer, Message("user", "Why?"), thinking=True), 0)
    piece = thinker._model.vocabulary.piece
    prompt = b"".join(piece(token) for token in told[0]).decode()
    assert "assistant: Walk.\nuser: Why?" in prompt
    assert prompt.count("<think>") == 1
