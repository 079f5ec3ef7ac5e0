"""Chat templates: untrusted Jinja source that a model brings, rendered in a sandbox.

Messages go in as role and content, text comes out. Time is bounded: a template that does not end
is stopped. Nothing here knows of tokens or preferences.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

TIME_LIMIT_S = 2.0


class TemplateError(Exception):
    """The template cannot render these messages; the text says why."""


class _TookTooLong(BaseException):
    """Not an Exception: nothing a template calls may swallow it."""


class ChatTemplate:
    """One compiled template. Raises TemplateError where the source is not valid Jinja."""

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: (
            datetime.now().astimezone().strftime(form)
        )
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError(f"it is not valid ({error})") from None

    def render(self, messages: Sequence[dict[str, str]], *, thinking: bool = False) -> str:
        """The prompt up to where the assistant's next message begins.

        Thinking is switched on or off where the template knows how. Raises TemplateError.
        """
        outcome: list[str | BaseException] = []

        def work() -> None:
            try:
                outcome.append(
                    self._template.render(
                        messages=list(messages),
                        add_generation_prompt=True,
                        enable_thinking=thinking,
                        **self._special,
                    )
                )
            except BaseException as error:  # whatever untrusted code raises
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(TIME_LIMIT_S)
        if thread.is_alive():
            assert thread.ident is not None
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(_TookTooLong)
            )
            raise TemplateError(f"it did not end within {TIME_LIMIT_S:g} s")
        result = outcome[0]
        if isinstance(result, BaseException):
            raise TemplateError(f"it failed ({result or type(result).__name__})")
        return result


def _to_json(value: Any, indent: int | None = None, **_ignored: Any) -> str:
    """Without Jinja's HTML escapes, as templates of chat models expect."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: object) -> None:
    raise jinja2.TemplateError(str(message))
