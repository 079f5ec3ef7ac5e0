"""A thought is told apart from its answer, however the pieces fall."""

from __future__ import annotations

import pytest

from amulet_local.prompting import PromptWriter
from amulet_local.thinking import ThoughtSplitter

QWEN = "<think>\nWalk or ride?\n</think>\n\nWalk."
HARMONY = (
    "<|channel|>analysis<|message|>Walk or ride?<|end|><|start|>assistant"
    "<|channel|>final<|message|>Walk."
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
    template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
        "assistant: {% if enable_thinking %}<think>\n{% endif %}"
    )
    assert PromptWriter(template).opened_thought() == "<think>"
    assert PromptWriter(None).opened_thought() == ""
