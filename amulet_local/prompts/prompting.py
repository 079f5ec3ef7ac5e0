"""From a conversation and a preference to the token list of each stream.

What people and models wrote never becomes a control token: the template is rendered around
placeholders, only its own text is searched for control tokens, and contents are tokenised as plain
text. Replies keep the token ids they were sampled as. Nothing here knows of models' weights,
caches or strengths.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amulet_local.prompts.reasoning import without_thought
from amulet_local.prompts.templates import ChatTemplate, TemplateError, TemplateLimitError
from amulet_local.prompts.thought_marks import knows_of_thoughts, opened_thought
from amulet_local.protocol.alignment import Placement
from amulet_local.protocol.message import Message

if TYPE_CHECKING:
    from amulet_local.runtime.llama.vocabulary import Vocabulary

DEFAULT_SYSTEM = (
    "You are a capable and friendly assistant running on the user's own computer. Understand what "
    "the person needs, give practical and accurate answers, and say so when you are not sure."
)

# Private-use characters around a number stand for a content while the template is rendered.
_PLACEHOLDER = "\ue000{}\ue001"
_PLACEHOLDERS = re.compile("\ue000([0-9]{1,9})\ue001")

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
        self._form = _Form(has_system_role=True)
        self._answer_mark = ""
        self._knows_of_thoughts = False
        if template is not None:
            try:
                self._template = ChatTemplate(template, bos_token, eos_token, _expected())
                self._form = _form_of(self._template)
            except TemplateError as error:
                self._template = None
                self.problem = f"The model's own chat template cannot be used: {error}."
        if self._template is None:
            self.stop = ("\nUser:",)
        else:
            self._knows_of_thoughts = knows_of_thoughts(template or "")
            self._answer_mark = self._find_answer_mark()

    def write(
        self,
        system: str,
        messages: Sequence[Message],
        preference: str = "",
        placement: Placement = "system",
        *,
        wish: str = "",
        thinking: bool = False,
    ) -> tuple[str, list[Content]]:
        """The prompt up to where the assistant's reply starts, and the contents by number.

        messages: alternating, user first and last; their own wishes are not read. preference: in
        words, empty for the base stream; it ends the system prompt, or the newest user message.
        wish: for the reply to that message alone, below its text. Raises TemplateError.
        """
        if preference and placement == "system":
            system = f"{system} {preference}".strip()
        contents: list[Content] = [
            message.token_ids or message.text.strip() for message in messages
        ]
        behind = f"({preference})" if preference and placement == "turn" else ""
        if added := [part for part in (wish.strip(), behind) if part]:
            contents[-1] = "\n\n".join([messages[-1].text.strip(), *added])
        roles: list[str] = [message.role for message in messages]
        if system and self._form.has_system_role:
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
        *,
        wish: str = "",
    ) -> str:
        """The same with every content in its place, for people to read. Raises TemplateError."""
        text, contents = self.write(system, messages, preference, placement, wish=wish)
        return _PLACEHOLDERS.sub(lambda match: str(contents[int(match[1])]), text)

    def opened_thought(self, *, thinking: bool = True) -> str:
        """How a prompt has begun the reply already, be it with a thought; see
        thought_marks.opened_thought. "" where the template cannot render a question."""
        try:
            return opened_thought(self._question(thinking))
        except TemplateError:
            return ""

    @property
    def thinks(self) -> bool:
        """Whether the model can think before it answers: its template can have it begin, or knows
        what a thought is."""
        if self._knows_of_thoughts:
            return True
        try:
            on, off = map(self._question, (True, False))
        except TemplateError:
            return False
        return on != off

    def _question(self, thinking: bool) -> str:
        """The prompt of a first question, behind a system message where the template wants one."""
        try:
            return self._render(_ASKED, thinking)
        except TemplateError:
            return self._render(_CHAT[:2], thinking)

    def _find_answer_mark(self) -> str:
        """What the template writes between the beginning of a past reply and its answer, where no
        switch of thinking has it written already."""
        try:
            prompt, chat = (
                self._rendered(roles, thinking=True) for roles in (_ASKED, _ASKED_AGAIN)
            )
            if self._rendered(_ASKED, thinking=False) != prompt:
                return ""
        except TemplateError:
            return ""
        pieces = _PLACEHOLDERS.split(chat)
        if pieces[1::2] != ["0", "1", "2"]:
            return ""
        reply, beginning = pieces[2], _PLACEHOLDERS.split(prompt)[-1]
        return reply.removeprefix(beginning) if reply.startswith(beginning) else ""

    def _render(self, roles: Sequence[str], thinking: bool) -> str:
        text = self._rendered(roles, thinking)
        return text if thinking else without_thought(text, self._answer_mark)

    def _rendered(self, roles: Sequence[str], thinking: bool) -> str:
        if self._template is None:
            return _transcript(roles)
        text = self._template.render(_numbered(roles, self._form.in_parts), thinking=thinking)
        if any(int(number) >= len(roles) for number in _PLACEHOLDERS.findall(text)):
            raise TemplateError("it writes messages that are not there")
        return text


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
                # From where white space begins, or a long run of it would be searched again and
                # again.
                (r"(?:(?<!\s)\s+)?" if special.strips_left else "")
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
        wish: str = "",
        thinking: bool = False,
    ) -> list[int]:
        """Token ids from the beginning of the chat to where the assistant's reply starts.

        See PromptWriter.write. Raises TemplateError.
        """
        return self._tokens(
            *self._writer.write(
                system, messages, preference, placement, wish=wish, thinking=thinking
            )
        )

    def plain(self, text: str) -> list[int]:
        """Token ids of a text that is to be gone on with, as models read one from its beginning."""
        beginning = self._vocabulary.beginning
        tokens = [] if beginning is None else [beginning]
        tokens += self._vocabulary.tokenize(text)
        return tokens or self._vocabulary.tokenize("\n")  # one at least, for logits to be of

    def opened_thought(self, *, thinking: bool) -> str:
        """See PromptWriter.opened_thought."""
        return self._writer.opened_thought(thinking=thinking)

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


@dataclass(frozen=True)
class _Form:
    """How a template takes a chat. in_parts: the roles whose contents it reads as a list of parts,
    as those of models that see do."""

    has_system_role: bool
    in_parts: frozenset[str] = frozenset()


_ROLES = ("system", "user", "assistant")
_CHAT: tuple[str, ...] = (*_ROLES, "user")
_ASKED: tuple[str, ...] = ("user",)
_ASKED_AGAIN = _CHAT[1:]
# Contents as text first, which all know but a few; then as parts, be it for some roles only.
_IN_PARTS = [
    frozenset(roles)
    for roles in (
        (),
        _ROLES,
        _ROLES[1:],
        ("user",),
        _ROLES[:2],
        _ROLES[::2],
        _ROLES[:1],
        _ROLES[2:],
    )
]


def _expected() -> Iterator[tuple[list[dict[str, object]], bool]]:
    """What is rendered of every template that is as most are, to get to know it."""
    for roles in (_CHAT, _ASKED_AGAIN, _ASKED):
        yield _numbered(roles), False
    for roles in (_ASKED_AGAIN, _ASKED):
        yield _numbered(roles), True


def _form_of(template: ChatTemplate) -> _Form:
    """The first form of a chat of which every content comes out once and in order.

    Raises TemplateError if there is none.
    """
    failure: TemplateError | None = None
    for roles in (_CHAT, _ASKED_AGAIN):
        for in_parts in _IN_PARTS:
            try:
                text = template.render(_numbered(roles, in_parts))
            except TemplateLimitError:
                raise
            except TemplateError as error:
                failure = failure or error
                continue
            if _PLACEHOLDERS.findall(text) == [str(i) for i in range(len(roles))]:
                return _Form(roles == _CHAT, in_parts)
    raise failure or TemplateError("it omits messages")


def _numbered(roles: Sequence[str], in_parts: Collection[str] = ()) -> list[dict[str, object]]:
    """Messages whose contents are placeholders."""
    contents = [_PLACEHOLDER.format(index) for index in range(len(roles))]
    return [
        {"role": role, "content": [{"type": "text", "text": text}] if role in in_parts else text}
        for role, text in zip(roles, contents, strict=True)
    ]


def _transcript(roles: Sequence[str]) -> str:
    """For models without a template: what such a text would look like on a page."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    lines = [names[role] + _PLACEHOLDER.format(index) for index, role in enumerate(roles)]
    if roles[0] == "system":
        lines[0] += "\n"
    return "\n".join([*lines, "Assistant:"])
