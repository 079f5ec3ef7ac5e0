"""Templates are untrusted: they render, or they fail in a sentence; they never run wild."""

from __future__ import annotations

import threading

import pytest

from amulet_local.templates import ChatTemplate, TemplateError
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
    monkeypatch.setattr("amulet_local.templates.TIME_LIMIT_S", 0.1)
    loops = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    template = ChatTemplate(loops, "", "")
    before = set(threading.enumerate())
    with pytest.raises(TemplateError, match="did not end"):
        template.render(HELLO)
    assert comes(lambda: set(threading.enumerate()) <= before)
