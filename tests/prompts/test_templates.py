"""Templates are untrusted: they render, or they fail in a sentence; they never run wild."""

from __future__ import annotations

import itertools
import threading

import pytest

from amulet_local.prompts.prompting import PromptWriter
from amulet_local.prompts.templates import ChatTemplate, TemplateError
from amulet_local.protocol.message import Message
from tests.checks import comes

HELLO = [{"role": "user", "content": "Hello"}]


def test_a_template_sees_messages_and_its_special_tokens() -> None:
    source = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m['content'] }}{% endfor %}"
    assert ChatTemplate(source, "<s>", "</s>").render(HELLO) == "<s>user: Hello"


def test_thinking_is_switched_off_and_a_reply_is_asked_for() -> None:
    source = "{{ enable_thinking }} {{ add_generation_prompt }}"
    assert ChatTemplate(source, "", "").render(HELLO) == "False True"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% import 'os' as os %}",
        "{{ raise_exception('no system role') }}",
        "{{ 1 / 0 }}",
        "{{ missing.attribute.deeper }}",
    ],
)
def test_what_a_template_may_not_do_is_a_template_error(source: str) -> None:
    template = ChatTemplate(source, "", "")
    with pytest.raises(TemplateError, match="failed"):
        template.render(HELLO)


def test_a_template_that_is_no_jinja_is_a_template_error() -> None:
    with pytest.raises(TemplateError, match="not valid"):
        ChatTemplate("{% for %}", "", "")


def test_a_template_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amulet_local.prompts.templates.TIME_LIMIT_S", 0.1)
    loops = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    template = ChatTemplate(loops, "", "")
    before = set(threading.enumerate())
    with pytest.raises(TemplateError, match="did not finish"):
        template.render(HELLO)
    assert comes(lambda: set(threading.enumerate()) <= before)


# -- what transformers gives ----------------------------------------------------------------------

SAYS = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% generation %}" + SAYS + "{% endgeneration %}.", "Hello."),
        (
            "{% for m in messages %}{%- generation -%} {{ loop.index }} {%- endgeneration -%}"
            "{% endfor %}",
            "1",
        ),
        ("{% set x = 1 %}{% generation %}{% set x = 2 %}{% endgeneration %}{{ x }}", "1"),
        ("{% if tools is not none %}{{ tools | tojson }}{% endif %}" + SAYS, "Hello"),
        ("{% if documents is none %}none{% endif %}", "none"),
        ("{% if tools is defined %}{% for t in tools %}x{% endfor %}{% endif %}" + SAYS, "Hello"),
        ("{{ 'Tools: ' + functions + '.' }}" + SAYS, "Tools: .Hello"),
        ("{{ functions | length }}{{ 'Now' if builtins is none else datetime[0:0] }}", "0"),
        ("{{ {'b': '<é>', 'a': 1} | tojson }}", '{"b": "<é>", "a": 1}'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", '{"a": 2, "b": 1}'),
        ("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]"),
        ("{{ 'é' | tojson(ensure_ascii=true) }}", '"\\u00e9"'),
        (
            "{% for m in messages * 3 %}{% if loop.first %}{% continue %}{% endif %}x{% endfor %}",
            "xx",
        ),
        ("{% if true %}\n  {% set a = 1 %}\nx\n{% endif %}", "x\n"),
        ("{{ strftime_now('%Z') }}.", "."),
    ],
)
def test_a_template_is_given_what_transformers_gives(source: str, text: str) -> None:
    assert ChatTemplate(source, "", "").render(HELLO) == text


def test_what_a_template_says_of_its_failure_is_what_it_said_first() -> None:
    source = "{% if tools is none %}{{ raise_exception('first') }}{% endif %}{{ 1 / 0 }}"
    with pytest.raises(TemplateError, match="first"):
        ChatTemplate(source, "", "").render(HELLO)


# -- contents as a list of parts ------------------------------------------------------------------

TEXTS_OF = (
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
)
CHAT = [Message("user", "Hi"), Message("assistant", "Yo"), Message("user", "Go")]
ALL = "{% for m in messages %}[{{ m.role }}]" + TEXTS_OF + "{% endfor %}"
USER = (
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'user' %}" + TEXTS_OF + "{% else %}"
    "{{ m.content.upper().lower() }}{% endif %}{% endfor %}"
)
FAILS = ALL.replace("{% for part", "{{ '' + m.content[0].text }}{% for part").replace(
    "{{ part.text }}", ""
)


@pytest.mark.parametrize(
    "source",
    [
        ALL,
        USER,
        FAILS,
        ALL.replace("[{{", "{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}[{{"),
        USER.replace("== 'user'", "!= 'assistant'"),
        USER.replace("== 'user'", "!= 'system'"),
        USER.replace("== 'user'", "== 'assistant'"),
    ],
)
def test_contents_may_be_read_as_a_list_of_parts(source: str) -> None:
    writer = PromptWriter(source)
    assert writer.problem == ""
    texts = ("[system]Sys.[user]Hi[assistant]Yo[user]Go", "[user]Sys.\n\nHi[assistant]Yo[user]Go")
    assert writer.text("Sys.", CHAT) == texts["raise_exception" in source]


def test_a_template_that_reads_contents_either_way_is_given_texts() -> None:
    source = "{% for m in messages %}{{ m.content if m.content is string else 1 / 0 }}{% endfor %}"
    assert PromptWriter(source).text("", CHAT) == "HiYoGo"


def test_a_template_that_does_not_end_is_not_tried_in_other_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amulet_local.prompts.templates.TIME_LIMIT_S", 0.1)
    calls = itertools.count()
    loops = "{{ count() }}" + "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    template = ChatTemplate(loops, "", "")
    template._template.globals["count"] = lambda: next(calls)
    with pytest.raises(TemplateError, match="did not finish"):
        template.render(HELLO)
    assert next(calls) == 1


# -- switches of thinking -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "off", "on"),
    [
        ("{{ 'T' if enable_thinking else 'A' }}", "A", "T"),
        ("{{ 'T' if thinking else 'A' }}", "A", "T"),
        (
            "{% if thinking is not defined %}{% set thinking = true %}{% endif %}{{ thinking }}",
            "False",
            "True",
        ),
        ("{{ 'T' if reasoning | default(true) else 'A' }}", "A", "T"),
        ("{{ 'A' if no_thinking else 'T' }}", "A", "T"),
        ("{{ 'A' if disable_reasoning is true else 'T' }}", "A", "T"),
        ("{{ 'T' if use_deep_thought else 'A' }}", "A", "T"),
        (
            "{% if thinking_budget is not defined %}{% set thinking_budget = -1 %}{% endif %}"
            "{{ thinking_budget }}",
            "0",
            "-1",
        ),
        ("{{ 'A' if reasoning_effort == 'none' else 'T' }}", "A", "T"),
        (
            "{{ 'A' if reasoning_effort | default('high') in ['minimal', 'low'] else 'T' }}",
            "A",
            "T",
        ),
        (
            "{% set effort = reasoning_effort | default('no_think') %}{% if effort not in "
            "['high', 'low', 'no_think'] %}{{ raise_exception(effort) }}{% endif %}{{ effort }}",
            "no_think",
            "high",
        ),
        ("{{ {'disabled': 'A', 'enabled': 'T'}[thinking_mode] }}", "A", "T"),
        (
            "{{ 'T' if thinking_option == 'on' else 'A' }}{{ '' if thinking_option != 'off' }}",
            "A",
            "T",
        ),
        # How hard to think is no switch: neither is anything of what others may have thought.
        ("{{ 'Effort: ' + (reasoning_effort | default('medium')) }}", *["Effort: medium"] * 2),
        ("{{ 'x' if preserve_thinking and messages | length > 1 }}", "", ""),
        ("{% set reasoning_content = 'x' %}{{ reasoning_content }}", "x", "x"),
        ("{{ 'x' if tools }}", "", ""),
    ],
)
def test_thinking_is_switched_by_the_name_that_the_template_knows(
    source: str, off: str, on: str
) -> None:
    template = ChatTemplate(source + SAYS, "", "")
    assert template.render(HELLO) == f"{off}Hello"
    assert template.render(HELLO, thinking=True) == f"{on}Hello"


def test_the_usual_switch_comes_before_all_others() -> None:
    source = "{{ enable_thinking }} {{ thinking }} {{ reasoning }} {{ messages[0].content }}"
    assert ChatTemplate(source, "", "").render(HELLO) == "False   Hello"


def test_a_switch_is_found_where_contents_are_lists_of_parts() -> None:
    source = "{{ messages[0].content[0].text }}{{ '<think>' if thinking else '</think>' }}"
    assert PromptWriter(source.replace("messages[0]", "messages[-1]")).problem  # not every content
    source = ALL + "{{ '<think>' if thinking else '</think>' }}"
    assert PromptWriter(source).text("", CHAT).endswith("Go</think>")
    assert PromptWriter(source).opened_thought() == "<think>"
