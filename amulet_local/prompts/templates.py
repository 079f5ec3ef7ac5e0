"""Chat templates: untrusted Jinja source that a model brings.

Messages go in as role and content, text comes out, as transformers renders it. All the work is done
in a process of its own (template_process.py), with limits of time, memory and length: whatever a
template is, a failure is one sentence. Nothing here knows of tokens or preferences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from amulet_local.prompts.template_process import NoAnswersError, the_process
from amulet_local.prompts.template_worker import MOST_TEXT, Answer, Answers, Rendering, Request

TIME_LIMIT_S = 2.0  # of the processor's time
MOST_SOURCE = 1 << 20  # characters; the longest of real ones have some ten thousand

Messages = Sequence[Mapping[str, object]]

_USUAL_S = 0.05  # what takes longer is taken from a template's time
_INCONSTANT = re.compile("strftime_now|datetime|random")  # the text is not always the same
_KEPT = 32


class TemplateError(Exception):
    """The template cannot render these messages; the text says why."""


class TemplateLimitError(TemplateError):
    """The template met a bound; no other way to call it is worth trying."""


class ChatTemplate:
    """One template, with TIME_LIMIT_S for all that is ever done with it, but for what takes no
    longer than any template should.

    expected: messages that will be rendered, with thinking on or off; done at once, it costs less.
    Raises TemplateError where the source is not valid Jinja.
    """

    def __init__(
        self,
        source: str,
        bos_token: str,
        eos_token: str,
        expected: Iterable[tuple[Messages, bool]] = (),
    ) -> None:
        if len(source) > MOST_SOURCE:
            raise TemplateLimitError(f"it is longer than {MOST_SOURCE:,} characters")
        self._left_s = TIME_LIMIT_S
        self._request = Request(source, bos_token, eos_token, TIME_LIMIT_S)
        self._constant = not _INCONSTANT.search(source)
        self._known: dict[Rendering, Answer] = {}
        renderings = tuple(_rendering(*each) for each in expected) if self._constant else ()
        answers = self._ask(renderings)
        if answers.compiled.outcome != "text":
            raise TemplateError(f"it is not valid ({answers.compiled.text})")
        self._known.update(zip(renderings, answers.rendered, strict=True))

    def render(self, messages: Messages, *, thinking: bool = False) -> str:
        """The prompt up to where the assistant's next message begins.

        Thinking is switched on or off where the template knows how. Raises TemplateError.
        """
        rendering = _rendering(messages, thinking)
        answer = self._known.get(rendering) or self._ask((rendering,)).rendered[0]
        if answer.outcome == "long":
            raise TemplateLimitError(f"its text is longer than {MOST_TEXT:,} characters")
        if answer.outcome != "text":
            raise TemplateError(f"it failed ({answer.text})")
        return answer.text

    def _ask(self, renderings: tuple[Rendering, ...]) -> Answers:
        if self._left_s <= 0:
            raise TemplateLimitError(f"it did not finish within {TIME_LIMIT_S:g} s")
        request = msgspec.structs.replace(self._request, renderings=renderings)
        try:
            answers = _answers(request) if self._constant else the_process.ask(request)
        except NoAnswersError as error:
            raise TemplateLimitError(str(error)) from None
        self._left_s -= max(0.0, answers.spent_s - _USUAL_S)
        return answers


def _rendering(messages: Messages, thinking: bool) -> Rendering:
    return Rendering(msgspec.msgpack.encode(messages), thinking)


@lru_cache(_KEPT)
def _answers(request: Request) -> Answers:
    """What the process answers: both streams of a reply, and both prompts of a preview, ask alike.

    Raises NoAnswersError, which is not kept.
    """
    return the_process.ask(request)
