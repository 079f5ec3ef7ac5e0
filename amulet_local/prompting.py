"""From a conversation and a preference to the token list of each stream.

What people and models wrote never becomes a control token: the template is rendered around
placeholders, only its own text is searched for control tokens, and contents are tokenised as plain
text. Replies keep the token ids they were sampled as. Nothing here knows of models' weights,
caches or strengths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from amulet_local.conversation import Message
from amulet_local.protocol import Placement
from amulet_local.templates import ChatTemplate, TemplateError
from amulet_local.thinking import opened_thought, without_thought

if TYPE_CHECKING:
    from amulet_local.llama import Vocabulary

DEFAULT_SYSTEM = (
    "You are a capable and friendly assistant running on the user's own computer. Understand what "
    "the person needs, give practical and accurate answers, and say so when you are not sure."
)

# Private-use characters around a number stand for a content while the template is rendered.
_PLACEHOLDER = "\ue000{}\ue001"
_PLACEHOLDERS = re.compile("\ue000(\\d+)\ue001")

Content = str | tuple[int, ...]


class PromptWriter:
    """Writes prompts as text, with a placeholder for each content.

    template: the model's own, None for a base model, which then gets a plain transcript. bos_token,
    eos_token: their texts, for templates that name them.
    problem: why the model's template could not be used, if so.
    stop: strings that end a reply where no control token does.
    """

    def __init__(self, template: str | None, bos_token: str = "", eos_token: str = "") -> None:
        self.problem = ""
        self.stop: tuple[str, ...] = ()
        self._template: ChatTemplate | None = None
        self._has_system_role = False
        if template is not None:
            try:
                self._template = ChatTemplate(template, bos_token, eos_token)
                self._has_system_role = _takes_system_role(self._template)
            except TemplateError as error:
                self._template = None
                self.problem = f"The model's own chat template cannot be used: {error}."
        if self._template is None:
            self.stop = ("\nUser:",)

    def write(
        self,
        system: str,
        messages: Sequence[Message],
        preference: str = "",
        placement: Placement = "system",
        *,
        thinking: bool = False,
    ) -> tuple[str, list[Content]]:
        """The prompt up to where the assistant's reply starts, and the contents by number.

        messages: alternating, user first and last. preference: in words, empty for the base
        stream; it ends the system prompt, or the newest user message. Raises TemplateError.
        """
        if preference and placement == "system":
            system = f"{system} {preference}".strip()
        contents: list[Content] = [
            message.token_ids or message.text.strip() for message in messages
        ]
        if preference and placement == "turn":
            contents[-1] = f"{messages[-1].text.strip()}\n\n({preference})"
        roles: list[str] = [message.role for message in messages]
        if system and (self._has_system_role or self._template is None):
            roles.insert(0, "system")
            contents.insert(0, system)
        elif system:
            contents[0] = f"{system}\n\n{contents[0]}"
        return self._render(roles, thinking), contents

    def text(
        self,
        system: str,
        messages: Sequence[Message],
        preference: str = "",
        placement: Placement = "system",
    ) -> str:
        """The same with every content in its place, for people to read. Raises TemplateError."""
        text, contents = self.write(system, messages, preference, placement)
        return _PLACEHOLDERS.sub(lambda match: str(contents[int(match[1])]), text)

    def opened_thought(self) -> str:
        """The mark with which a prompt has begun the model's thought already, where it may think;
        "" where thinking is left to the model. Raises TemplateError."""
        return opened_thought(self._render(["user"], thinking=True))

    @property
    def thinks(self) -> bool:
        """Whether the model can be told to think before it answers: its template knows of that."""
        try:
            on, off = (self._render(["user"], thinking=thinking) for thinking in (True, False))
        except TemplateError:
            return False
        return on != off

    def _render(self, roles: Sequence[str], thinking: bool) -> str:
        if self._template is None:
            return _transcript(roles)
        text = self._template.render(_numbered(roles), thinking=thinking)
        return text if thinking else without_thought(text)


class Prompter:
    """Writes prompts for one model, as tokens; template, problem, stop, thinks: see
    PromptWriter."""

    def __init__(self, vocabulary: Vocabulary, template: str | None) -> None:
        self._vocabulary = vocabulary
        self._special_by_text = {
            special.text: special.token for special in vocabulary.special_tokens
        }
        self._specials = re.compile(
            "|".join(
                ("\\s*" if special.strips_left else "")
                + f"({re.escape(special.text)})"
                + ("\\s*" if special.strips_right else "")
                for special in vocabulary.special_tokens
            )
            or r"(?!)"
        )
        self._writer = PromptWriter(template, vocabulary.bos_text, vocabulary.eos_text)
        self.problem, self.stop = self._writer.problem, self._writer.stop
        self.thinks = self._writer.thinks

    def prompt(
        self,
        system: str,
        messages: Sequence[Message],
        preference: str = "",
        placement: Placement = "system",
        *,
        thinking: bool = False,
    ) -> list[int]:
        """Token ids from the beginning of the chat to where the assistant's reply starts.

        See PromptWriter.write. Raises TemplateError.
        """
        return self._tokens(
            *self._writer.write(system, messages, preference, placement, thinking=thinking)
        )

    def opened_thought(self, *, thinking: bool) -> str:
        """See PromptWriter.opened_thought."""
        return self._writer.opened_thought() if thinking else ""

    def _tokens(self, text: str, contents: Sequence[Content]) -> list[int]:
        """Tokenise as llama.cpp would tokenise the whole, but for control tokens in contents.

        llama.cpp splits a text at control tokens and tokenises what lies between in one piece; so
        template text and contents that touch are tokenised together, as plain text.
        """
        tokens: list[int] = []
        plain = ""

        def flush() -> None:
            nonlocal plain
            if plain:
                tokens.extend(self._vocabulary.tokenize(plain))
            plain = ""

        for index, part in enumerate(_PLACEHOLDERS.split(text)):
            if index % 2 == 0:
                start = 0
                for match in self._specials.finditer(part):
                    plain += part[start : match.start()]
                    flush()
                    tokens.append(self._special_by_text[match[match.lastindex or 0]])
                    start = match.end()
                plain += part[start:]
                continue
            content = contents[int(part)]
            if isinstance(content, str):
                plain += content
            else:
                flush()
                tokens.extend(content)
        flush()
        beginning = self._vocabulary.beginning
        if beginning is not None and tokens[:1] != [beginning]:
            tokens.insert(0, beginning)
        return tokens


def _takes_system_role(template: ChatTemplate) -> bool:
    """Whether every content of a chat with a system message comes out once and in order.

    Raises TemplateError if not even a chat without one does.
    """
    roles = ["system", "user", "assistant", "user"]
    for wanted in (roles, roles[1:]):
        try:
            text = template.render(_numbered(wanted))
        except TemplateError:
            if wanted == roles:
                continue
            raise
        if _PLACEHOLDERS.findall(text) == [str(i) for i in range(len(wanted))]:
            return wanted == roles
    raise TemplateError("it leaves out messages")


def _numbered(roles: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"role": role, "content": _PLACEHOLDER.format(index)} for index, role in enumerate(roles)
    ]


def _transcript(roles: Sequence[str]) -> str:
    """For models without a template: what such a text would look like on a page."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    lines = [names[role] + _PLACEHOLDER.format(index) for index, role in enumerate(roles)]
    if roles[0] == "system":
        lines[0] += "\n"
    return "\n".join([*lines, "Assistant:"])
