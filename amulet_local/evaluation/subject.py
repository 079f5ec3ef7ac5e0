"""A loaded model as evaluation uses it: prompts of one question, and streams over them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from amulet_local.errors import NotUsableError
from amulet_local.prompts.prompting import Prompter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.alignment import Placement
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.realignment import Workspace
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import layers_asked, with_autotuned
from amulet_local.runtime.lockstep import Lockstep


class Subject:
    """One model, its prompter, and working memory. A context manager, which frees it all.

    Raises what loading a model raises.
    """

    def __init__(self, path: str, options: LoadOptions) -> None:
        self.path = path
        self.name = Path(path).stem
        self._options = with_autotuned(options, path)
        with ExitStack() as owned:
            self.model = owned.enter_context(closing(Model(path, gpu_layers=layers_asked(options))))
            self.vocabulary = self.model.vocabulary
            self.prompter = Prompter(self.vocabulary, self.model.chat_template)
            self.work = Workspace(self.vocabulary.size)
            owned.pop_all()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *raised: object) -> None:
        self.model.close()

    @cached_property
    def turn_ends(self) -> NDArray[np.intp]:
        """The tokens that end a turn."""
        vocabulary = self.vocabulary
        return np.flatnonzero([vocabulary.ends_turn(token) for token in range(vocabulary.size)])

    @property
    def description(self) -> str:
        """Name, architecture, size and quantisation."""
        return f"{self.name} ({self.model.description})"

    @property
    def length(self) -> int:
        """The most tokens that a stream may hold."""
        return self._options.context or self.model.context_trained

    def prompt(
        self,
        question: str,
        system: str,
        preference: str = "",
        placement: Placement = "system",
        *,
        instead: bool = False,
    ) -> list[int]:
        """Token ids up to where the reply begins. instead: a preference is the whole question, with
        what is preferred in it. Raises NotUsableError."""
        if instead and preference:
            question, preference = preference, ""
        try:
            message = Message("user", question)
            return self.prompter.prompt(system, [message], preference, placement)
        except TemplateError as error:
            raise NotUsableError(
                f"the chat template of {self.name} cannot format a question ({error}); choose "
                "another model."
            ) from None

    def streams(self, count: int, length: int) -> closing[Lockstep]:
        """So many streams of so many tokens each, in one context; to be used with `with`."""
        options = replace(self._options, streams="one-context", context=length)
        return closing(Lockstep(self.model, options, streams=count))
