"""Templates are untrusted: they render, or they fail in a sentence; they never run wild."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from amulet_local.prompts.prompting import PromptWriter
from amulet_local.prompts.template_process import NoAnswersError, the_process
from amulet_local.prompts.template_worker import Answers, Request
from amulet_local.prompts.templates import MOST_SOURCE, ChatTemplate, TemplateError
from amulet_local.protocol.message import Message
from tests.checks import comes, tortures

pytestmark = pytest.mark.slow

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


# -- hostile templates ----------------------------------------------------------------------------

LOOPS = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
DEEP = "{% if true %}" * 5_000 + "x" + "{% endif %}" * 5_000
BOMB = "{% set x = ['x' * 99999] %}" + "{% set x = x + x %}" * 40

SLOW_OR_LARGE = "did not finish|memory"  # as the machine is

# What a template is, and what is said of it.
HOSTILE: dict[str, tuple[str, str]] = {
    "endless loops": (LOOPS, "did not finish"),
    "a macro that calls itself": (
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "failed|did not finish",  # whichever limit is met first
    ),
    "a constant text": ("{{ 'x' * 10 ** 9 }}", "memory"),
    "a product": ("{{ messages[0].content * 10 ** 9 }}", "memory"),
    "a list that doubles": (BOMB, SLOW_OR_LARGE),
    "format": ("{{ '%999999999d' | format(1) }}", "memory"),
    "a huge range": ("{% for a in range(10 ** 18) %}{% endfor %}", "failed"),
    "a long number": ("{{ " + "9" * 5_000 + " }}", "not valid"),
    "deep blocks": (DEEP, "not valid"),
    "raw that does not end": ("{% raw %}{{ messages }}", "not valid"),
    "no text": ("{{ '\\ud800' }}", "failed"),
    "a long text": ("{% for a in range(9999) %}" + "x" * 999 + "{% endfor %}", "longer than"),
    "a long source": ("x" * (MOST_SOURCE + 1), "longer than"),
    "messages of its own": ("{% for m in messages %}\ue0009999\ue001{% endfor %}", "omits"),
}
# More of the same kinds.
MORE_HOSTILE: dict[str, tuple[str, str]] = {
    "a constant number": ("{{ 9 ** (9 ** 9) }}", SLOW_OR_LARGE),
    "join": ("{{ range(99999) | join('x' * 99999) }}", SLOW_OR_LARGE),
    "a deep sum": ("{{ " + "1 + " * 9_999 + "1 }}", "not valid|omits"),
    "a long number read": ("{{ ('9' * 5000) | int }}", "omits"),
    "raw text alone": ("{% raw %}{{ messages }}{% endraw %}", "omits"),
    "a long complaint": ("{{ raise_exception('x' * 10 ** 6) }}", "failed"),
    "a deep value": (
        "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
        "{{ n.x }}",
        "nested too deeply|did not finish",
    ),
    "two macros that call each other twice": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) ~ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
        "did not finish",
    ),
    "a text that is folded twice": ("{{ ('x' * 10 ** 5) * 10 ** 5 }}", "memory"),
    "a constant list": ("{{ [0] * 10 ** 9 }}", "memory"),
    "a constant tuple": ("{{ (0,) * 10 ** 9 }}", "memory"),
    "a shift": ("{{ (2 ** 62) ** (2 ** 62) }}", SLOW_OR_LARGE),
    "center": ("{{ 'x' | center(10 ** 9) }}", "memory"),
    "a method": ("{{ 'x'.ljust(10 ** 9) }}", "memory"),
    "indent": ("{{ ('x\n' * 99999) | indent(99999) }}", SLOW_OR_LARGE),
    "a width": ("{{ '{:>999999999}'.format(1) }}", "memory"),
    "precision": ("{{ '%.999999999f' % 1 }}", "memory|failed"),
    "wordwrap": ("{{ ('x ' * 9 ** 7) | wordwrap(1) }}", SLOW_OR_LARGE),
    "replace": ("{{ ('x' * 99999) | replace('', 'x' * 99999) }}", SLOW_OR_LARGE),
    "a long number made": ("{{ 10 ** 5000 }}", "failed|not valid"),
    "deep brackets": ("{{ " + "(" * 9_999 + "1" + ")" * 9_999 + " }}", "not valid"),
    "deep lists": ("{{ " + "[" * 9_999 + "]" * 9_999 + " }}", "not valid"),
    "deep negations": ("{{ " + "not " * 9_999 + "1 }}", "not valid"),
    "raw in raw": ("{% raw %}{% raw %}{% endraw %}{% endraw %}", "not valid"),
    "a comment that does not end": ("{# " * 99, "not valid"),
    "a complaint of many lines": ("{{ raise_exception('x\n' * 99) }}", "failed"),
    "a width of the clock": ("{{ strftime_now('%999999999d') }}", "memory|omits|failed|longer"),
    "a sum of texts": ("{{ ['x' * 99999] | map('upper') | list | sum(start=[]) }}", "failed"),
    "tojson": ("{{ (range(99999) | list * 9999) | tojson }}", SLOW_OR_LARGE),
    "pprint": ("{{ ([1] * 9 ** 6) | pprint }}", "did not finish|memory|longer"),
}


@pytest.mark.parametrize("name", [*HOSTILE, *tortures(*MORE_HOSTILE)])
def test_a_hostile_template_is_told_of_and_a_transcript_takes_its_place(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, said = (HOSTILE | MORE_HOSTILE)[name]
    limit = 0.2 if "did not finish" in said else 0.5
    monkeypatch.setattr("amulet_local.prompts.templates.TIME_LIMIT_S", limit)
    writer = PromptWriter(source)
    sentence = writer.problem
    assert re.search(said, sentence)
    assert sentence.startswith("The model's own chat template cannot be used: ")
    assert len(sentence) < 300
    assert sentence.isprintable()
    assert writer.text("Sys.", CHAT[:1]) == "Sys.\n\nUser: Hi\nAssistant:"
    assert ChatTemplate(SAYS, "", "").render(HELLO) == "Hello"  # the next one works


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("{{ 'x' * messages | length * 10 ** 9 }}", "memory"),
        (LOOPS, "did not finish"),
        ("{{ raise_exception('no') }}", "failed"),
        ("\ue00077\ue001", "messages that are not there"),
    ],
)
def test_a_template_that_does_it_later_fails_in_a_sentence(
    deed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It behaves while it is looked at."""
    monkeypatch.setattr("amulet_local.prompts.templates.TIME_LIMIT_S", 0.5)
    writer = PromptWriter(SAYS + "{% if messages | length > 4 %}" + deed + "{% endif %}")
    assert writer.problem == ""
    assert writer.text("", CHAT) == "HiYoGo"
    with pytest.raises(TemplateError, match=said):
        writer.text("", [*CHAT, *CHAT[1:]])


def test_a_template_that_drops_messages_of_some_chats_is_used_for_others() -> None:
    source = "{% if messages[1:] or enable_thinking %}" + SAYS + "{% endif %}"
    assert PromptWriter(source).text("", CHAT) == "HiYoGo"
    source = "{% if messages | length != 3 %}" + SAYS + "{% endif %}" + "A:"
    assert PromptWriter(source.replace("!= 3", "in [1, 4]")).text("", CHAT[:1]) == "HiA:"


def test_a_number_that_only_looks_like_a_message_is_text() -> None:
    long = "\ue000" + "9" * 5_000 + "\ue001"
    assert PromptWriter(SAYS + long).text("", CHAT) == "HiYoGo" + long


def test_a_template_has_its_time_once_and_not_for_every_rendering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amulet_local.prompts.templates.TIME_LIMIT_S", 0.5)
    slow = "{% for a in range(2500) %}{% for b in range(2000) %}{% endfor %}{% endfor %}"
    template = ChatTemplate(slow, "", "")

    def render_all() -> None:
        for number in range(999):
            template.render([{"role": "user", "content": str(number)}])

    with pytest.raises(TemplateError, match="did not finish"):
        render_all()


def test_a_template_that_met_a_bound_is_not_tried_in_other_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Request] = []

    def ask(request: Request) -> Answers:
        asked.append(request)
        raise NoAnswersError("it did not finish")

    monkeypatch.setattr(the_process, "ask", ask)
    assert "did not finish" in PromptWriter(LOOPS).problem
    assert len(asked) == 1


def test_the_usual_template_is_known_after_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []
    ask = the_process.ask

    def counted(request: Request) -> Answers:
        asked.append(request)
        return ask(request)

    monkeypatch.setattr(the_process, "ask", counted)
    writer = PromptWriter(SAYS + "{{ 'T' if enable_thinking else 'A' }}.")
    assert writer.thinks
    assert len(asked) == 1
    assert writer.text("Sys.", CHAT) == "Sys.HiYoGoA."
    assert writer.text("Sys.", CHAT[:1]) == "Sys.HiA."
    assert writer.text("Sys.", CHAT[:1], "Be brief.") == "Sys. Be brief.HiA."  # the same rendering
    assert len(asked) == 2


# -- the process that renders ---------------------------------------------------------------------


def renders(text: str) -> bool:
    return ChatTemplate(text, "", "").render(HELLO) == text


def test_one_process_renders_all_and_another_takes_its_place_when_it_died() -> None:
    assert renders("one")
    first = psutil.Process(the_process.pid)
    assert renders("two")
    assert the_process.pid == first.pid
    first.kill()
    assert comes(lambda: first.status() == psutil.STATUS_ZOMBIE)
    assert renders("three")
    assert the_process.pid != first.pid


def test_one_that_kept_much_is_not_used_for_the_next() -> None:
    assert ChatTemplate("{% set x = 'x' * 9 ** 8 %}four", "", "").render(HELLO) == "four"
    assert the_process.pid is None
    assert renders("five")
    assert the_process.pid is not None


def test_a_system_without_room_for_another_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    the_process.end()
    monkeypatch.setattr("subprocess.Popen", refused)
    writer = PromptWriter("one more {{ 1 }}")
    assert "no process could be started for it: Resource temporarily" in writer.problem


def test_it_reads_no_input_of_ours_and_loads_little() -> None:
    assert renders("six")
    maps = Path(f"/proc/{the_process.pid}/maps").read_text("utf-8")
    assert "llama" not in maps
    assert "numpy" not in maps
    opened = {path.resolve() for path in Path(f"/proc/{the_process.pid}/fd").iterdir()}
    assert Path("/dev/null") in opened
    assert len([path for path in opened if "pipe" in path.name]) == 2


ALONE = """
import os, sys, threading
from amulet_local.prompts.template_process import the_process
from amulet_local.prompts.templates import ChatTemplate
assert "jinja2" not in sys.modules
ChatTemplate("x", "", "")
assert "jinja2" not in sys.modules
print(the_process.pid, flush=True)
"""


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit()",
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "threading.Thread(target=ChatTemplate, args=(sys.argv[1], '', ''), daemon=True).start(); "
        "threading.Event().wait(0.1); os._exit(0)",
    ],
)
def test_it_ends_with_whom_it_renders_for(end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE + end, LOOPS], stdout=subprocess.PIPE, check=False
    )
    pid = int(done.stdout)
    assert comes(lambda: not psutil.pid_exists(pid))


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
        ("{{ 'T' if thinking_mode is defined and thinking_mode == 'on' else 'A' }}", "A", "T"),
        ("{{ 'T' if mode == 'thinking' else 'A' }}", "A", "T"),
        ("{{ 'A' if chat_mode | default('think') == 'no_think' else 'T' }}", "A", "T"),
        ("{{ 'T' if enable_cot else 'A' }}", "A", "T"),
        # A word that something else is compared with is no value of these names.
        ("{% if messages[0].type == 'thinking' %}{% endif %}{{ tools or '' }}", "", ""),
        ("{% if (tools or '') == 'thinking' %}{% endif %}{{ documents or '' }}", "", ""),
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


def test_a_template_that_demands_a_system_message_is_used() -> None:
    source = (
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if enable_thinking %}<think>{% endif %}"
    )
    writer = PromptWriter(source)
    assert writer.problem == ""
    assert writer.thinks
    assert writer.opened_thought(thinking=True) == "<think>"
    assert writer.text("Be kind.", [Message("user", "Hi.")]) == "[system]Be kind.[user]Hi."


def test_a_template_that_cannot_render_a_question_fails_only_where_one_is_asked() -> None:
    source = (
        "{% if messages | length < 3 %}{{ raise_exception('short') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    writer = PromptWriter(source)
    assert writer.problem == ""
    assert not writer.thinks
    assert writer.opened_thought() == ""
    with pytest.raises(TemplateError, match="short"):
        writer.text("", [Message("user", "Hi.")])
