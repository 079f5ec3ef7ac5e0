"""A thought is told apart from its answer, and the answer goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from amulet_local.engine.engine import Engine
from amulet_local.engine.requests import prompts_of
from amulet_local.generation import decoding
from amulet_local.generation.decoding import Decoded
from amulet_local.generation.sampling import Sampler
from amulet_local.prompts.prompting import PromptWriter
from amulet_local.prompts.reasoning import ThoughtSplitter, without_thought
from amulet_local.prompts.thought_marks import mark_tokens, opened_thought
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Event, Examined, Finished, Load
from amulet_local.realignment import Combination, Row, Workspace
from amulet_local.strengths import AMULET
from tests.asking import HOLIDAY, ask, collect, reply, steps
from tests.tiny_models import write_llama

QWEN = "<think>\nWalk or ride?\n</think>\n\nWalk."
HARMONY = (
    "<|channel|>analysis<|message|>Walk or ride?<|end|><|start|>assistant"
    "<|channel|>final<|message|>Walk."
)
SAYS = "{% for m in messages %}{{ m.content }}{% endfor %}"
OPENS = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    "assistant: {% if enable_thinking %}<think>\n{% endif %}"
)
EMPTY = "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>"
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


# One reply of each family that thinks; all think "Walk or ride?" and say "Walk.".
REPLIES = {
    "Qwen": QWEN,
    "Seed": "<seed:think>Walk or ride?</seed:think>Walk.",
    "MiniMax 3": "<mm:think>Walk or ride?</mm:think>\nWalk.",
    "Hunyuan 3": "<think:opensource>Walk or ride?</think:opensource>Walk.",
    "LongCat": "<longcat_think>\nWalk or ride?\n</longcat_think>\nWalk.",
    "thought": "<thought>\nWalk or ride?\n</thought>\nWalk.",
    "Magistral": "[THINK]Walk or ride?[/THINK]Walk.",
    "PLaMo": "<|plamo:begin_think:plamo|>Walk or ride?<|plamo:end_think:plamo|>Walk.",
    "Kimi VL": "◁think▷Walk or ride?◁/think▷Walk.",
    "Command R7B": (
        "<|START_THINKING|>Walk or ride?<|END_THINKING|><|START_RESPONSE|>Walk.<|END_RESPONSE|>"
    ),
    "Command A": "<|START_THINKING|>Walk or ride?<|END_THINKING|>\n<|START_TEXT|>Walk.<|END_TEXT|>",
    "no end": "<|START_THINKING|>Walk or ride?<|START_TEXT|>Walk.<|END_TEXT|>",
    "OpenThinker": (
        "<|begin_of_thought|>\n\nWalk or ride?\n\n<|end_of_thought|>\n\n"
        "<|begin_of_solution|>Walk.<|end_of_solution|>"
    ),
    "Apertus": "<|inner_prefix|>Walk or ride?<|inner_suffix|>Walk.",
    "Granite 3.3": "<think>Walk or ride?</think>\n<response>Walk.</response>",
    "Granite 3.2": "Here is my thought process:\nWalk or ride?\n\nHere is my response:\nWalk.",
    "Apriel": (
        "Here are my reasoning steps:\nWalk or ride?\n"
        "[BEGIN FINAL RESPONSE]\nWalk.[END FINAL RESPONSE]"
    ),
    "gpt-oss": HARMONY,
    "gpt-oss, ended": HARMONY + "<|return|>",
    "gpt-oss, opened": f"<|start|>assistant{HARMONY}",
    "gpt-oss, no end": (
        "<|channel|>analysis<|message|>Walk or ride?<|channel|>final<|message|>Walk."
    ),
    "gpt-oss, JSON": HARMONY.replace("final", "final <|constrain|>json"),
    "gpt-oss, stray": HARMONY.replace("analysis", "commentary to=assistant<|channel|>analysis", 1),
    "Muse": (
        "<|start|>assistant to=self<|message|>Walk or ride?<|eom|>"
        "<|start|>assistant to=user<|message|>Walk.<|eot|>"
    ),
    "Solar": "<|think|>Walk or ride?<|end|><|begin|>assistant<|content|>Walk.<|flush|>",
    "Kimi K3": (
        "<|open|>think<|sep|>Walk or ride?<|close|>think<|sep|>"
        "<|open|>response<|sep|>Walk.<|close|>response<|sep|><|close|>message<|sep|>"
    ),
    "Gemma 4": GEMMA,
    "MedGemma": "<unused94>thought\nWalk or ride?<unused95>Walk.",
}


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("family", REPLIES)
def test_each_familys_marks_are_neither_thought_nor_answer(family: str, size: int) -> None:
    assert split(ThoughtSplitter(), REPLIES[family], size) == ("Walk or ride?", "Walk.")


MESSAGES = (
    "<|channel|>analysis<|message|>Walk?<|end|>",
    "<|channel|>commentary<|message|>I look it up.<|end|>",
    '<|channel|>commentary to=functions.find <|constrain|>json<|message|>{"a": 1}<|call|>',
    ' to=functions.find<|channel|>commentary json<|message|>{"b": 2}<|call|>',
    "<|channel|>analysis<|message|>Or ride?<|end|>",
)
FINAL = "<|channel|>final<|message|>Walk."


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("messages", "thought"),
    [
        ((0, 4), "Walk?\n\nOr ride?"),
        ((1, 0), "I look it up.\n\nWalk?"),
        ((0, 2, 4), 'Walk?\n\n{"a": 1}\n\nOr ride?'),
        ((3, 1), '{"b": 2}\n\nI look it up.'),
        ((), ""),
    ],
)
def test_every_message_of_gpt_oss_before_its_final_one_is_a_thought(
    messages: tuple[int, ...], thought: str, size: int
) -> None:
    text = "<|start|>assistant".join([*(MESSAGES[number] for number in messages), FINAL])
    assert split(ThoughtSplitter("<|start|>assistant"), text, size) == (thought, "Walk.")


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "text", ["Walk.", "to be or not", "tell", "<b>Walk</b>", " Walk, then <|message|>"]
)
def test_a_reply_without_the_header_that_its_prompt_began_is_all_answer(
    text: str, size: int
) -> None:
    header_end = "" if text != "<b>Walk</b>" else " " * 300
    told = split(ThoughtSplitter("<|start|>assistant"), text + header_end, size)
    assert told[0] == ""
    assert text.strip() in told[1]


def test_an_answer_may_think_again() -> None:
    text = "<|channel>thought\nWalk?<channel|>Walk.<|channel>thought\nOr?<channel|> Or ride."
    assert split(ThoughtSplitter(), text, 3) == ("Walk?\n\nOr?", "Walk. Or ride.")
    twice = "<think>Walk?</think>\n<think>Or?</think>\nWalk."
    assert split(ThoughtSplitter(), twice, 3) == ("Walk?Or?", "Walk.")


def test_a_header_that_is_cut_off_is_no_text() -> None:
    assert split(ThoughtSplitter(), "<|channel|>analysis<|mess", 2) == ("", "")


PIECES = st.sampled_from(
    (
        *(
            "<think>",
            "</think>",
            "<seed:think>",
            "</seed:think>",
            "[THINK]",
            "[/THINK]",
            "<response>",
        ),
        *(
            "</response>",
            "<|START_THINKING|>",
            "<|END_THINKING|>",
            "<|START_TEXT|>",
            "<|END_TEXT|>",
        ),
        *("<|start|>assistant", "<|start|>", "<|channel|>", "analysis", "commentary", "final"),
        *(" to=self", "<|constrain|>json", "<|message|>", "<|end|>", "<|call|>", "<|return|>"),
        *("<|eom|>", "<|begin|>assistant", "<|think|>", "<|content|>", "<|open|>think", "<|sep|>"),
        *("<|close|>think<|sep|>", "<|open|>response", "<|channel>thought\n", "<channel|>"),
        *("Here is my thought process:", "Here is my response:", "Here are my reasoning steps:"),
        *("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]", "assistant", "thought", "to", "t"),
        *(" ", "\n", "\n\n", "Walk", "<", "|", ">", "[", "</", "x" * 299),
    )
)
OPENED = (
    "",
    "<think>",
    "[THINK]",
    "<|start|>assistant",
    "<|begin|>assistant",
    "<|open|>think<|sep|>",
)


@pytest.mark.slow
@given(
    text=st.one_of(
        st.lists(PIECES, max_size=12).map("".join), st.sampled_from([*REPLIES.values()])
    ),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    opened=st.sampled_from(OPENED),
    answering=st.booleans(),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_it_is_the_same_wherever_the_pieces_end(
    text: str, cuts: list[int], opened: str, answering: bool
) -> None:
    whole = ThoughtSplitter(opened, answering=answering)
    whole.add(text)
    whole.finish()
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    for pieces in (text, [text[a:b] for a, b in pairwise(places)]):
        parts = ThoughtSplitter(opened, answering=answering)
        told = [*map(parts.add, pieces), parts.finish()]
        assert "".join(thought for thought, _ in told) == parts.thought == whole.thought
        assert "".join(answer for _, answer in told) == parts.answer == whole.answer


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


@pytest.mark.parametrize(
    ("prompt", "opened", "closed"),
    [
        ("Hi<think>\n", "<think>", "Hi<think>\n\n</think>\n\n"),
        ("Hi<mm:think>", "<mm:think>", "Hi<mm:think>\n\n</mm:think>\n\n"),
        ("Hi[THINK]", "[THINK]", "Hi[THINK][/THINK]"),
        ("Hi<|START_THINKING|>", "<|START_THINKING|>", "Hi<|START_THINKING|><|END_THINKING|>"),
        ("Hi<|start|>assistant", "<|start|>assistant", f"Hi<|start|>assistant{EMPTY}"),
        (
            "Hi<|open|>think<|sep|>",
            "<|open|>think<|sep|>",
            "Hi<|open|>think<|sep|><|close|>think<|sep|>",
        ),
        ("Hi<|begin|>assistant", "<|begin|>assistant", "Hi<|begin|>assistant"),
        ("Hi<|channel>thought\n", "<|channel>thought\n", "Hi<|channel>thought\n<channel|>"),
        ("<think>Hi</think>assistant:", "", "<think>Hi</think>assistant:"),
        ("Hi<|im_start|>assistant\n", "", "Hi<|im_start|>assistant\n"),
    ],
)
def test_a_prompt_may_begin_the_thought(prompt: str, opened: str, closed: str) -> None:
    assert opened_thought(prompt) == opened
    assert without_thought(prompt) == closed
    thought, answer = split(ThoughtSplitter(opened_thought(closed)), "Walk.", 2)
    assert (thought, answer) == ("", "Walk.")


@pytest.mark.parametrize(
    ("template", "thinks"),
    [
        (OPENS, True),
        (SAYS + "{% if not enable_thinking %}<think></think>{% endif %}", True),
        (SAYS + "{% if thinking %}Think first.{% endif %}", True),
        (SAYS + "{% if thinking_budget == 0 %}Answer at once.{% endif %}", True),
        (SAYS + "{% if reasoning_effort == 'none' %}[THINK][/THINK]{% endif %}", True),
        (SAYS + "<think>\n", True),  # it always thinks: the thought is closed
        (SAYS + "<|START_THINKING|>", True),
        (SAYS + "<|start|>assistant", True),
        (SAYS.replace("{{", "{% if m.thought %}<seed:think></seed:think>{% endif %}{{"), True),
        (SAYS.replace("m.content", "m.content.split('</think>')[-1]"), True),
        ("Think in [THINK] and [/THINK]." + SAYS, True),
        (SAYS, False),
        ("Reason, then think <b>hard</b>. " + SAYS, False),
        (SAYS + "{% if reasoning_effort %}{{ reasoning_effort }}{% endif %}", False),
        ("{{ raise_exception('no') }}", False),
        (None, False),
    ],
)
def test_whether_a_model_can_think_is_told_by_its_template(
    template: str | None, thinks: bool
) -> None:
    assert PromptWriter(template).thinks == thinks


def test_behind_a_prompt_without_a_thought_stands_what_past_replies_begin_with() -> None:
    """Without a switch, the template shows how it writes an answer that was not thought about."""
    turn = "{% if m.role == 'user' %}{{ m.content }}{% else %}A:HEAD{{ m.content }}{% endif %}"
    chat = [Message("user", "Hi")]
    for head in ("<think></think>", "[THINK][/THINK]", "<think>\n\n</think>\n\n"):
        loop = "{% for m in messages %}" + turn.replace("HEAD", head) + "{% endfor %}A:"
        writer = PromptWriter(loop)
        assert writer.text("", chat) == f"HiA:{head}"
        assert writer.write("", chat, thinking=True)[0].endswith("A:")
    loop = "{% for m in messages %}" + turn.replace("HEAD", "**") + "{% endfor %}A:"
    assert PromptWriter(loop).text("", chat) == "HiA:"
    to = turn.replace("A:HEAD", "<|start|>assistant to=user<|message|>")
    writer = PromptWriter("{% for m in messages %}" + to + "{% endfor %}<|start|>assistant")
    assert writer.text("", chat) == "Hi<|start|>assistant to=user<|message|>"
    assert writer.opened_thought(thinking=False) == "<|start|>assistant to=user<|message|>"


def test_marks_are_seen_even_where_they_are_control_tokens() -> None:
    assert mark_tokens(["<|im_end|>", "<think>", "</seed:think>", "[THINK]", "[INST]"]) == {
        *("<think>", "</seed:think>", "[THINK]")
    }
    assert mark_tokens(["<|START_THINKING|>", "<|END_THINKING|>", "<|END_TEXT|>", "<|SEP|>"]) == {
        *("<|START_THINKING|>", "<|END_THINKING|>", "<|END_TEXT|>")
    }
    kimi = {"<|open|>", "<|close|>", "<|sep|>"}
    assert mark_tokens(["<|sep|>", "<|content|>"]) == set()  # others have tokens of these names
    assert mark_tokens([*kimi, "<|end_of_msg|>"]) == kimi


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
        logits: Sequence[Row], combination: Combination, sampler: Sampler, work: Workspace
    ) -> Decoded:
        chosen = free(logits, combination, sampler, work)
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
    places = [place for event in examined for place in event.candidates]
    assert [place.realigned[0].token for place in places[1:]] == list(whole.token_ids[1:])


def test_marks_behind_an_answer_are_none_of_its_tokens(
    thinker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = b"<|START_THINKING|>or ride?<|END_THINKING|><|START_TEXT|>Walk.<|END_TEXT|>"
    script(monkeypatch, said)
    finished = reply(thinker, ask(max_tokens=len(said)))
    assert (finished.thought, finished.text) == ("or ride?", "Walk.")
    assert bytes(finished.token_ids) == b"Walk."
    assert finished.stats.thought_tokens == len(said) - len(b"Walk.<|END_TEXT|>")


def test_later_turns_do_not_tell_the_thought(thinker: Engine) -> None:
    answer = Message("assistant", "Walk.", tuple(b"Walk."))
    asked = ask(HOLIDAY, answer, Message("user", "Why?"), thinking=True)
    told = prompts_of(asked, thinker._prompter)
    piece = thinker._model.vocabulary.piece
    prompt = b"".join(piece(token) for token in told[0]).decode()
    assert "assistant: Walk.\nuser: Why?" in prompt
    assert prompt.count("<think>") == 1
